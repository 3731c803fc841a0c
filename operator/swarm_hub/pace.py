"""How fast calls may go out: one pace for all calls of one key, because the provider counts by key.

A 429 stops every call until the time the provider asked for; then one call goes out, and each success lets
one more go at a time, so that a hundred waiting agents do not return as a herd. Who would wait too long is
told when to come again. Headers that state what is left of a window are believed before a 429 comes of it.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Final

from swarmrun.core.errors import SwarmError

#: Statuses by which providers say "too fast": OpenAI and Anthropic 429, Anthropic 529, others 503.
_TOO_FAST: Final = frozenset({429, 503, 529})
#: No pause is longer, whatever the provider asks for: then one call looks whether it still wants it.
LONGEST_PAUSE_SECONDS: Final = 60.0
_FIRST_PAUSE_SECONDS: Final = 1.0
#: A call that must wait longer than this is answered instead.
PATIENCE_SECONDS: Final = 20.0
#: Those told to come again are spread over this time.
_SPREAD_SECONDS: Final = 5.0
#: From so many calls at a time on, there is no limit to them any more.
_WIDE: Final = 64
#: Calls that may wait for a turn.
_MOST_WAITING: Final = 4096
_SUCCESS: Final = 300
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: (what is left, when it is full again) by the vendors' names.
_WINDOWS: Final = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
)


class TooFastError(SwarmError):
    """The provider wants no calls for now. `seconds`: when to come again."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the provider's rate limit is reached; come again in {seconds:.0f} s")
        self.seconds = seconds


class Pace:
    """Hands out turns, first come, first served. A turn lasts until the status of the call is known."""

    def __init__(self, now: Callable[[], float], *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._now, self._patience = now, patience_seconds
        #: Calls that may await their status at a time; `out` do.
        self._width, self._out, self._strikes = math.inf, 0, 0
        self._closed_until = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def check(self) -> None:
        """See whether it is worth waiting for a turn.

        Raises:
            TooFastError: it would take too long.
        """
        pause = self._closed_until - asyncio.get_running_loop().time()
        if pause > self._patience or len(self._waiting) >= _MOST_WAITING:
            raise self._come_again(pause)

    def turn(self) -> Turn:
        """Return a context that spans a call until its status is known.

        Raises (on entering):
            TooFastError: it would have to wait too long.
        """
        return Turn(self)

    async def enter(self) -> None:
        """Wait for a turn; see `turn`."""
        loop = asyncio.get_running_loop()
        if self._free(loop.time()) and not self._waiting:
            self._out += 1
            return
        self.check()
        place: asyncio.Future[None] = loop.create_future()
        self._waiting.append(place)
        self._admit()
        try:
            async with asyncio.timeout(self._patience):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                self.leave()
            self._waiting = deque(other for other in self._waiting if other is not place)
            if isinstance(error, TimeoutError):
                raise self._come_again(self._closed_until - loop.time()) from None
            raise

    def leave(self) -> None:
        """End a turn."""
        self._out -= 1
        self._admit()

    def saw(self, status: int, headers: Mapping[str, str]) -> None:
        """Learn from an answer."""
        loop = asyncio.get_running_loop()
        if status in _TOO_FAST:
            self._strikes += 1
            backoff = _FIRST_PAUSE_SECONDS * 2.0 ** min(self._strikes - 1, 16)
            asked = retry_after(headers)
            pause = backoff * random.uniform(0.5, 1) if asked is None else asked  # noqa: S311 — spreads load
            self._close(loop.time() + pause)
        elif status < _SUCCESS:
            self._strikes = 0
            self._width = self._width + 1 if self._width < _WIDE else math.inf
            if (pause := _exhausted_for(headers, self._now())) > 0:
                self._close(loop.time() + pause)

    def _close(self, until: float) -> None:
        """Let nothing out until then, and begin anew with one call."""
        until = min(until, asyncio.get_running_loop().time() + LONGEST_PAUSE_SECONDS)
        self._closed_until, self._width = max(self._closed_until, until), 1

    def _free(self, now: float) -> bool:
        return self._out < self._width and now >= self._closed_until

    def _admit(self) -> None:
        """Let those in whose turn it is; look again when the pause is over."""
        loop = asyncio.get_running_loop()
        while self._waiting and self._free(loop.time()):
            place = self._waiting.popleft()
            if not place.done():
                self._out += 1
                place.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and loop.time() < self._closed_until:
            self._timer = loop.call_at(self._closed_until, self._admit)

    def _come_again(self, pause: float) -> TooFastError:
        spread = random.uniform(0, _SPREAD_SECONDS)  # noqa: S311 — spreads load, guards nothing
        return TooFastError(max(pause, 1.0) + spread)


class Turn:
    """One call's turn, a context."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    async def __aenter__(self) -> None:
        await self._pace.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pace.leave()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how long the provider wants us to wait, in seconds. A date counts as nothing."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    return None


def _exhausted_for(headers: Mapping[str, str], now: float) -> float:
    """Return the seconds until an exhausted window is full again; 0 when none is exhausted."""
    return max(
        (_until(headers.get(reset, ""), now) for left, reset in _WINDOWS if headers.get(left) == "0"),
        default=0.0,
    )


def _until(reset: str, now: float) -> float:
    """OpenAI sends durations ("6m0s", "20ms"), Anthropic RFC 3339 times."""
    parts = _DURATION.findall(reset)
    if parts and "".join(number + unit for number, unit in parts) == reset:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        return datetime.fromisoformat(reset).timestamp() - now
    except ValueError:
        return 0.0

"""Waiting between tries: exponential with jitter, capped (AWS Architecture Blog, "Exponential Backoff")."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Final

_MAX_EXPONENT: Final = 16


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds: the first wait is at most `base`, none is longer than `cap`."""

    base: float = 1.0
    cap: float = 30.0

    def delay(self, failures: int) -> float:
        """Draw the wait after the `failures`-th failure in a row (1-based); at least a tenth of its bound."""
        bound = min(self.cap, self.base * 2.0 ** min(failures - 1, _MAX_EXPONENT))
        return random.uniform(bound / 10, bound)  # noqa: S311 — spreads load, guards nothing

    def asked(self, seconds: float) -> float:
        """Return the wait that a server asked for, capped, with a little jitter on top."""
        return min(max(seconds, 0.0), self.cap) + self.delay(1) / 10


async def wait(stop: asyncio.Event, seconds: float) -> bool:
    """Wait, but not longer than until `stop` is set; tell whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return stop.is_set()
    return True

"""Admission of model calls to the budget, without refusals that a moment's patience would spare.

Reservations hold the worst case, many times what a call costs in the end. A refusal by the ledger marks the
budget as exhausted and stops the run until a person raises the limit, so the ledger is asked only when it
must say yes, or when money that is spent for good leaves no room. A call that merely has to wait for others
to settle waits here. That works because one hub makes all reservations of a run.

While there is plenty, nobody looks: a call that fits into what the last look found, less all that was granted
since, is reserved at once. Near the limit calls go one at a time, in the order of their arrival; repairs have
a lane of their own, because a part of the limit is theirs alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from swarm_hub.background import Background, persist
from swarmrun.core.task import Lease
from swarmrun.queue.port import ReserveOutcome, Totals, WorkQueue

#: How long a call waits for others to settle before its caller is told to come again.
PATIENCE_SECONDS: Final = 20.0
#: Holds may also end without this process knowing: by the reaper, by a higher limit.
_LOOK_AGAIN_SECONDS: Final = 2.0
#: A person may lower the limit; so old a look is still good enough.
_LOOK_LASTS_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Worst:
    """The most that a call can use. `fix`: it is for a repair, which may use the whole limit."""

    micro_usd: int
    tokens: int
    fix: bool


class Held(StrEnum):
    """The one outcome that the ledger does not know."""

    HELD = "held"


class _Look:
    """What the ledger said, and what was granted since."""

    def __init__(self, totals: Totals, at: float) -> None:
        self._totals, self._until = totals, at + _LOOK_LASTS_SECONDS
        self._micro_usd = self._tokens = 0

    def grant(self, worst: Worst, now: float) -> bool:
        """Tell whether the call fits for certain, and count it."""
        micro_usd, tokens = self._micro_usd + worst.micro_usd, self._tokens + worst.tokens
        if now > self._until or not self._totals.fits(micro_usd, tokens, fix=worst.fix):
            return False
        self._micro_usd, self._tokens = micro_usd, tokens
        return True


class Admission:
    """Reserves the worst case of calls."""

    def __init__(
        self, queue: WorkQueue, background: Background, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._queue, self._background, self._patience = queue, background, patience_seconds
        self._look: _Look | None = None
        #: Reservations under way, which a look would miss.
        self._unseen: set[asyncio.Task[ReserveOutcome]] = set()
        self._looking = asyncio.Lock()
        self._lanes = {fix: asyncio.Lock() for fix in (False, True)}
        self._change = asyncio.Event()

    async def reserve(
        self, call_id: str, lease: Lease, worst: Worst, *, model: str, ttl_seconds: int
    ) -> ReserveOutcome | Held:
        """Reserve the worst case of a call; HELD when calls in flight held the budget all the while."""

        def begin() -> asyncio.Task[ReserveOutcome]:
            work = self._queue.reserve(
                call_id,
                lease,
                worst_micro_usd=worst.micro_usd,
                worst_tokens=worst.tokens,
                model=model,
                ttl_seconds=ttl_seconds,
            )
            reserving = self._background.spawn(work)
            self._unseen.add(reserving)
            reserving.add_done_callback(self._unseen.discard)
            return reserving

        if self._granted(worst):
            outcome = await self._complete(call_id, begin())
            # Refused all the same: the limit was lowered since. Whether that is final shows below.
            if outcome is not ReserveOutcome.BUDGET:
                return outcome
        deadline = asyncio.get_running_loop().time() + self._patience
        try:
            async with asyncio.timeout_at(deadline):
                await self._lanes[worst.fix].acquire()
        except TimeoutError:
            return Held.HELD
        try:
            return await self._in_turn(call_id, worst, begin, deadline)
        finally:
            self._lanes[worst.fix].release()

    async def _in_turn(
        self,
        call_id: str,
        worst: Worst,
        begin: Callable[[], asyncio.Task[ReserveOutcome]],
        deadline: float,
    ) -> ReserveOutcome | Held:
        """Look, and reserve once the ledger can only say yes, or no for good."""
        loop = asyncio.get_running_loop()
        while True:
            change = self._change
            async with self._looking:
                # Those who waited for the same look need none of their own.
                if self._granted(worst) or await self._decidable(worst):
                    return await self._complete(call_id, begin())
            remaining = deadline - loop.time()
            if remaining <= 0:
                return Held.HELD
            with suppress(TimeoutError):
                async with asyncio.timeout(min(remaining, _LOOK_AGAIN_SECONDS)):
                    await change.wait()

    async def _decidable(self, worst: Worst) -> bool:
        self._look = None
        if self._unseen:
            await asyncio.wait(set(self._unseen))
        totals = await self._queue.totals()
        size = (worst.micro_usd, worst.tokens)
        if not totals.fits(*size, fix=worst.fix):
            return not totals.fits(*size, fix=worst.fix, held=False)
        self._look = _Look(totals, asyncio.get_running_loop().time())
        return self._granted(worst)

    def _granted(self, worst: Worst) -> bool:
        return self._look is not None and self._look.grant(worst, asyncio.get_running_loop().time())

    async def _complete(self, call_id: str, reserving: asyncio.Task[ReserveOutcome]) -> ReserveOutcome:
        """Await a reservation; if the caller leaves or the answer is lost, drop what it may hold."""
        try:
            return await asyncio.shield(reserving)
        except BaseException:
            self._background.spawn(self._drop(call_id, reserving))
            raise

    async def _drop(self, call_id: str, reserving: asyncio.Task[ReserveOutcome]) -> None:
        await asyncio.wait({reserving})
        await persist(lambda: self._queue.cancel_reservation(call_id))
        self.settled()

    def settled(self) -> None:
        """Tell waiting calls that a hold has ended."""
        self._change.set()
        self._change = asyncio.Event()

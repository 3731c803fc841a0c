"""Admission of model calls to the budget, without refusals that a moment's patience would spare.

Reservations hold the worst case, many times what a call costs in the end. A refusal by the ledger marks the
budget as exhausted and stops the run until a person raises the limit, so the ledger is asked only when it
must say yes, or when money that is spent for good leaves no room. A call that merely has to wait for others
to settle waits here. That works because one hub makes all reservations of a run.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import StrEnum
from typing import Final

from swarm_hub.background import Background, persist
from swarmrun.core.task import Frozen, Lease
from swarmrun.queue.port import ReserveOutcome, WorkQueue

#: How long a call waits for others to settle before its caller is told to come again.
PATIENCE_SECONDS: Final = 20.0
#: Holds may also end without this process knowing: by the reaper, by a higher limit.
_LOOK_AGAIN_SECONDS: Final = 2.0


class Worst(Frozen):
    """The most that a call can use. `fix`: it is for a repair, which may use the whole limit."""

    micro_usd: int
    tokens: int
    fix: bool


class Held(StrEnum):
    """The one outcome that the ledger does not know."""

    HELD = "held"


class Admission:
    """Reserves one call at a time."""

    def __init__(
        self, queue: WorkQueue, background: Background, *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._queue, self._background, self._patience = queue, background, patience_seconds
        self._changed = asyncio.Condition()

    async def reserve(
        self, call_id: str, lease: Lease, worst: Worst, *, model: str, ttl_seconds: int
    ) -> ReserveOutcome | Held:
        """Reserve the worst case of a call; HELD when calls in flight held the budget all the while."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        async with self._changed:
            while not await self._decidable(worst):
                remaining = deadline - loop.time()
                if remaining <= 0:
                    return Held.HELD
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), min(remaining, _LOOK_AGAIN_SECONDS))
            work = self._queue.reserve(
                call_id,
                lease,
                worst_micro_usd=worst.micro_usd,
                worst_tokens=worst.tokens,
                model=model,
                ttl_seconds=ttl_seconds,
            )
            return await self._complete(call_id, self._background.spawn(work))

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
        await self.settled()

    async def settled(self) -> None:
        """Tell waiting calls that a hold has ended."""
        async with self._changed:
            self._changed.notify_all()

    async def _decidable(self, worst: Worst) -> bool:
        totals = await self._queue.totals()
        size = (worst.micro_usd, worst.tokens)
        return totals.fits(*size, fix=worst.fix) or not totals.fits(*size, fix=worst.fix, held=False)

"""Claims: the long poll, and what the hub remembers of the leases it handed out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from swarm_hub.background import Background, persist
from swarm_hub.bell import Bell
from swarmrun.core.errors import SwarmError
from swarmrun.core.task import Lease
from swarmrun.queue.port import Claimed, Empty, EmptyReason, WorkQueue

#: Leases kept in memory for their task type, a metric label; far more than any run has agents.
_REMEMBERED: Final = 4096
#: Long polls at a time; each holds one connection of an agent.
MAX_WAITING: Final = 8192


class TooManyWaitingError(SwarmError):
    """All places of the long poll are taken."""


class TaskTypes:
    """Remembers the type of each leased task. After a restart of the hub it is "unknown" for a while."""

    def __init__(self) -> None:
        self._types: OrderedDict[str, str] = OrderedDict()

    def remember(self, claimed: Claimed) -> None:
        """Keep the type of a claim just made."""
        self._types[claimed.task.id] = claimed.task.type.value
        self._types.move_to_end(claimed.task.id)
        if len(self._types) > _REMEMBERED:
            self._types.popitem(last=False)

    def of(self, task_id: str) -> str:
        """Return the type's label."""
        return self._types.get(task_id, "unknown")


class Claims:
    """Hands out work. A claim that nobody can receive any more is given back."""

    def __init__(
        self, queue: WorkQueue, background: Background, *, ttl_seconds: int, max_waiting: int = MAX_WAITING
    ) -> None:
        self._queue, self._background, self._ttl = queue, background, ttl_seconds
        self._max_waiting, self._waiting = max_waiting, 0
        self._bell = Bell(queue)
        self.draining = False
        self.types = TaskTypes()

    def drain(self) -> None:
        """Make no more claims, because the process is about to end; long polls under way end with nothing."""
        self.draining = True
        self._bell.close()

    async def next(self, pod: str, wait_seconds: float) -> Claimed | Empty:
        """Claim a task for the pod, waiting for one up to `wait_seconds`.

        Raises:
            TooManyWaitingError: come again later.
        """
        if self._waiting >= self._max_waiting:
            raise TooManyWaitingError
        self._waiting += 1
        try:
            return await self._poll(pod, wait_seconds)
        finally:
            self._waiting -= 1

    def give_back(self, lease: Lease, reason: str) -> None:
        """Release a claim in the background."""
        self._background.spawn(persist(lambda: self._queue.release(lease, reason)))

    async def _poll(self, pod: str, wait_seconds: float) -> Claimed | Empty:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_seconds
        if self.draining:
            return Empty(reason=EmptyReason.NO_WORK)
        await self._queue.register(pod)
        answer = await self._claim(pod)
        while isinstance(answer, Empty) and await self._bell.wait(deadline - loop.time()):
            answer = await self._claim(pod)
            self._bell.found(work=isinstance(answer, Claimed))
        return answer

    async def _claim(self, pod: str) -> Claimed | Empty:
        claim = self._background.spawn(self._queue.claim(pod, ttl_seconds=self._ttl))
        try:
            answer = await asyncio.shield(claim)
        except asyncio.CancelledError:
            self._background.spawn(self._abandon(claim))
            raise
        if isinstance(answer, Claimed):
            self.types.remember(answer)
        return answer

    async def _abandon(self, claim: asyncio.Task[Claimed | Empty]) -> None:
        answer = await claim
        if isinstance(answer, Claimed):
            self.give_back(answer.lease, "the agent went away while it claimed")

"""The operator's part: look at the store, raise the epoch of a lost queue and build it again, and reap."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Final

from swarm_operator.stores import STORE_ERRORS, RedisStores
from swarmrun.core.task import Task, TaskState
from swarmrun.queue.port import RunState
from swarmrun.queue.redis import connect
from swarmrun.queue.redis_store import single

LIMIT: Final = 10_000_000_000
MAX_ATTEMPTS: Final = 3
#: Seconds between looks when nothing happens: as the operator.
REAP_EVERY: Final = 5.0


class Steward:
    """One run's operator. `epoch` is what the custom resource would hold: nothing rolls it back."""

    def __init__(self, url: str, uid: str, *, look_every: float = REAP_EVERY) -> None:
        self.client = connect(url)
        self._stores = RedisStores(single(self.client))
        self._uid, self._look_every = uid, look_every
        self.queue = self._stores.queue(uid)
        self.epoch = 0
        self.tasks: list[Task] = []
        #: (epoch, time) of every opening, by the monotonic clock.
        self.openings: list[tuple[int, float]] = []

    async def open(self) -> None:
        """Raise the epoch, then open and plan, as the operator does in this order."""
        self.epoch += 1
        await self.queue.open(self.epoch)
        await self._enqueue(self.tasks)
        await self.queue.set_limit(LIMIT)
        await self.queue.set_state(RunState.ACTIVE)
        self.openings.append((self.epoch, time.monotonic()))

    async def enqueue(self, tasks: Sequence[Task]) -> None:
        """Add new tasks to the plan, which is kept, and to the queue."""
        self.tasks += tasks
        await self._enqueue(tasks)

    async def _enqueue(self, tasks: Sequence[Task]) -> None:
        await self.queue.enqueue(tasks, plan_hash="plan", max_attempts=MAX_ATTEMPTS, landed={})

    async def look(self) -> None:
        """Look once; mend what is wrong."""
        view = await self._stores.observe(self._uid)
        if view.error:
            return
        if view.epoch is None or view.epoch < self.epoch or view.snapshot is None:
            await self.open()
            return
        await self.queue.reap()
        for task in view.snapshot.tasks:
            if task.state is TaskState.BLOCKED:
                await self.queue.resolve(task.id, "retry", "look again")

    async def work(self) -> None:
        """Look for ever."""
        while True:
            with contextlib.suppress(*STORE_ERRORS):
                await self.look()
            await asyncio.sleep(self._look_every)

    async def states(self) -> dict[str, TaskState]:
        """Read the state of every task."""
        return {task.id: task.state for task in (await self.queue.snapshot()).tasks}

    async def ended(self) -> bool:
        """Tell whether every task of the plan is completed."""
        states = await self.states()
        return len(states) == len(self.tasks) and set(states.values()) <= {TaskState.COMPLETED}

    async def commits(self) -> dict[str, str]:
        """Read the commit of every completed task."""
        return {task.id: task.commit for task in (await self.queue.snapshot()).tasks if task.commit}

    @property
    def urgent(self) -> set[str]:
        """The tasks that wait for nothing."""
        return {task.id for task in self.tasks if not task.depends_on}

    async def until(self, done: Callable[[], bool], *, seconds: float) -> bool:
        """Wait for a condition of the caller, while looking goes on elsewhere."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True

"""The two backends behind one `World`, whose deadlines can be read, and made old without waiting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, cast

import redis.asyncio as redis

from swarmrun.queue.memory import MemoryQueue
from swarmrun.queue.port import MergeQueue, QueueAdmin, WorkQueue
from swarmrun.queue.redis import RedisQueue

START = 1_700_000_000.0


class World(Protocol):
    """A backend by its three roles, and a hand on its clocks."""

    admin: QueueAdmin
    work: WorkQueue
    merge: MergeQueue

    async def expire_lease(self, task_id: str) -> None: ...

    async def expire_hold(self, call_id: str) -> None: ...

    async def lease_left(self, task_id: str) -> float: ...

    async def hold_left(self, call_id: str) -> float: ...

    async def forget_agent(self, index: int) -> None: ...

    async def outwait_merger(self) -> None: ...

    async def leaked(self) -> list[str]: ...


@dataclass
class MemoryWorld:
    """The backend in memory."""

    now: float = START
    queue: MemoryQueue = field(init=False)

    def __post_init__(self) -> None:
        self.queue = MemoryQueue(lambda: self.now)
        self.admin: QueueAdmin = self.queue
        self.work: WorkQueue = self.queue
        self.merge: MergeQueue = self.queue

    async def expire_lease(self, task_id: str) -> None:
        self.queue._state.tasks[task_id].deadline = self.now - 1

    async def expire_hold(self, call_id: str) -> None:
        self.queue._ledger.calls[call_id].deadline = self.now - 1

    async def lease_left(self, task_id: str) -> float:
        return self.queue._state.tasks[task_id].deadline - self.now

    async def hold_left(self, call_id: str) -> float:
        return self.queue._ledger.calls[call_id].deadline - self.now

    async def forget_agent(self, index: int) -> None:
        for agent in self.queue._state.agents.values():
            if agent.index == index:
                agent.seen = self.now - 121

    async def outwait_merger(self) -> None:
        self.queue._state.unreported = self.now

    async def leaked(self) -> list[str]:
        return sorted(self.queue._state.tasks)


@dataclass
class RedisWorld:
    """The backend on Redis, each role with the login it has in a cluster."""

    root: redis.Redis
    hub: redis.Redis
    merger: redis.Redis
    uid: str

    def __post_init__(self) -> None:
        self.admin: QueueAdmin = RedisQueue(self.root, self.uid)
        self.work: WorkQueue = RedisQueue(self.hub, self.uid)
        self.merge: MergeQueue = RedisQueue(self.merger, self.uid)

    def _key(self, name: str) -> str:
        return f"swr:{{{self.uid}}}:{name}"

    async def expire_lease(self, task_id: str) -> None:
        await self.root.zadd(self._key("leases"), {task_id: 1}, xx=True)

    async def expire_hold(self, call_id: str) -> None:
        await self.root.zadd(self._key("holds"), {call_id: 1}, xx=True)

    async def lease_left(self, task_id: str) -> float:
        return await self._left("leases", task_id)

    async def hold_left(self, call_id: str) -> float:
        return await self._left("holds", call_id)

    async def _left(self, name: str, member: str) -> float:
        """Seconds until a deadline."""
        deadline = await self.root.zscore(self._key(name), member)
        assert deadline is not None
        whole, micro = await self.root.time()
        return float(deadline) / 1000 - (whole + micro / 1e6)

    async def forget_agent(self, index: int) -> None:
        line = str(await self.root.hget(self._key("agents"), str(index)))
        pod, _, *rest = line.split("\t")
        await self.root.hdel(self._key("agents"), "gone_from")
        await self.root.hset(self._key("agents"), str(index), "\t".join([pod, "1", *rest]))

    async def outwait_merger(self) -> None:
        await self.root.hset(self._key("run"), "unreported", "1")

    async def leaked(self) -> list[str]:
        return cast("list[str]", sorted([key async for key in self.root.scan_iter(self._key("*"))]))

"""The auditor finds every kind of disagreement that somebody could plant."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis.asyncio as redis

from redis_server import RedisServer, redis_server
from swarmrun.core.task import ChangeSet, FileEdit, Task, TaskType
from swarmrun.queue.keys import READY, RECORD, Keys
from swarmrun.queue.port import Claimed, RunState
from swarmrun.queue.redis import RedisQueue, connect

__all__ = ["redis_server"]

pytestmark = pytest.mark.redis

CHANGE = ChangeSet(base="", edits=(FileEdit(path="a", content="b"),))


class Store:
    """A run with a task in each of four states, and a way past its scripts."""

    def __init__(self, client: redis.Redis, uid: str) -> None:
        self.client, self.keys, self.queue = client, Keys(uid), RedisQueue(client, uid)

    async def fill(self) -> None:
        """Leave `done` submitted, `work` leased with a call in flight, `next` ready, `last` pending."""
        await self.queue.open(1)
        await self.queue.set_state(RunState.ACTIVE)
        await self.queue.set_limit(1_000)
        plan = [
            Task(id="done", type=TaskType.SCAFFOLD, title="d", priority=9),
            Task(id="work", type=TaskType.SCAFFOLD, title="w", priority=8),
            Task(id="next", type=TaskType.SCAFFOLD, title="n"),
            Task(id="last", type=TaskType.WRITE_DOCS, title="l", depends_on=("next",)),
        ]
        await self.queue.enqueue(plan, plan_hash="h", max_attempts=3, landed={})
        first = await self.queue.claim("pod-a", ttl_seconds=60)
        assert isinstance(first, Claimed)
        _, second = await self.queue.submit_and_claim(first.lease, CHANGE, "pod-a", ttl_seconds=60)
        assert isinstance(second, Claimed)
        await self.queue.reserve("call", second.lease, worst_micro_usd=100, model="m", ttl_seconds=60)

    async def rewrite(self, task_id: str, field: str, value: str) -> None:
        """Change one field of a record behind the scripts' back."""
        line = str(await self.client.hget(self.keys["tasks"], task_id)).split("\t")
        line[RECORD.index(field)] = value
        await self.client.hset(self.keys["tasks"], task_id, "\t".join(line))


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[Store]:
    client = connect(redis_server.url)
    store = Store(client, str(uuid.uuid4()))
    await store.fill()
    yield store
    await store.queue.purge()
    await client.aclose()


async def test_a_healthy_run_has_no_violation(store: Store) -> None:
    assert await store.queue.audit() == ()


PLANTED: list[tuple[str, Callable[[Store], Awaitable[Any]]]] = [
    ("task next is not in ready:", lambda s: s.client.delete(s.keys[READY["scaffold"]])),
    ("task work is not in leases", lambda s: s.client.zrem(s.keys["leases"], "work")),
    ("task done is not in submitted", lambda s: s.client.zrem(s.keys["submitted"], "done")),
    ("task done is not in changes", lambda s: s.client.hdel(s.keys["changes"], "done")),
    ("task last is in leases", lambda s: s.client.zadd(s.keys["leases"], {"last": 1})),
    ("task last waits for 1 tasks, and 0", lambda s: s.client.delete(s.keys["dependents"])),
    ("task last waits for 2 tasks, and 1", lambda s: s.rewrite("last", "waits", "2")),
    ("task next is fixing, and its repair (none)", lambda s: s.rewrite("next", "state", "fixing")),
    ("the counter open says 7, and there are 4", lambda s: s.client.hincrby(s.keys["run"], "open", 3)),
    ("the counter total says 5", lambda s: s.client.hincrby(s.keys["run"], "total", 1)),
    ("reserved is 101, and the calls", lambda s: s.client.hincrby(s.keys["ledger"], "reserved", 1)),
    ("call call is in flight and has no record", lambda s: s.client.delete(s.keys["calls"])),
    ("exceed the limit 1000", lambda s: s.client.hincrby(s.keys["ledger"], "spent", 901)),
    ("the tasks were charged 5", lambda s: s.rewrite("work", "cost", "5")),
]


@pytest.mark.parametrize(("message", "plant"), PLANTED, ids=[message for message, _ in PLANTED])
async def test_a_planted_disagreement_is_found(
    store: Store, message: str, plant: Callable[[Store], Awaitable[Any]]
) -> None:
    await plant(store)
    assert any(message in found for found in await store.queue.audit())

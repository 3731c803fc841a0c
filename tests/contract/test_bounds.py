"""What Redis keeps of a run stays bounded, however long it goes on: hints, events, calls.

Seen from inside, for the port shows only a part of it.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import redis.asyncio as redis

from contract.swarm import TTL, change, claimed, opened, task, waiting
from redis_server import RedisServer
from swarmrun.core.task import Reply
from swarmrun.queue import rules
from swarmrun.queue.keys import Keys
from swarmrun.queue.port import Usage
from swarmrun.queue.redis import RedisQueue, connect
from swarmrun.queue.scripts import WAKE_LENGTH

pytestmark = pytest.mark.redis

#: A stream is cut at the border of a node, which holds so many entries.
NODE = 100


@dataclass
class Run:
    """One run, by the port and by its keys."""

    client: redis.Redis
    keys: Keys
    queue: RedisQueue

    @property
    def admin(self) -> RedisQueue:
        return self.queue

    work = merge = admin

    async def milliseconds(self) -> int:
        whole, micro = await self.client.time()
        return int(whole) * 1000 + int(micro) // 1000


@pytest.fixture
async def run(redis_server: RedisServer) -> AsyncIterator[Run]:
    client, uid = connect(redis_server.url), str(uuid.uuid4())
    one = Run(client, Keys(uid), RedisQueue(client, uid))
    yield one
    await one.queue.purge()
    await client.aclose()


async def test_hints_for_agents_are_capped_and_gone_when_there_is_nothing(run: Run) -> None:
    await opened(run, *(task(f"t{number}") for number in range(3 * WAKE_LENGTH)))
    assert await run.client.llen(run.keys["wake"]) == WAKE_LENGTH
    for number in range(3 * WAKE_LENGTH):
        await claimed(run, f"pod-{number}")
    await run.work.claim("pod-late", ttl_seconds=TTL)
    assert await run.client.llen(run.keys["wake"]) == 0


async def test_a_run_that_goes_on_has_a_hint_for_everybody_who_waits(run: Run) -> None:
    await opened(run)
    assert await run.client.llen(run.keys["wake"]) == WAKE_LENGTH


async def test_hints_for_the_merger_are_gone_when_there_is_nothing(run: Run) -> None:
    await opened(run, task("a"))
    await run.work.submit((await claimed(run)).lease, change())
    assert await run.client.llen(run.keys["wake:merge"]) == 1
    assert await run.merge.land(await waiting(run), {"a": "sha"}) is Reply.OK
    assert list(await run.merge.submissions(limit=1, timeout_seconds=0)) == []
    assert await run.client.llen(run.keys["wake:merge"]) == 0


async def test_events_are_capped(run: Run) -> None:
    await opened(run, task("a"))
    pipe = run.client.pipeline(transaction=False)
    for _ in range(2 * rules.EVENTS_LENGTH):
        pipe.xadd(run.keys["events"], {"e": "claimed\t0\ta"})
    await pipe.execute()
    await claimed(run)
    assert await run.client.xlen(run.keys["events"]) <= rules.EVENTS_LENGTH + NODE


async def test_old_calls_are_forgotten(run: Run) -> None:
    await opened(run, task("a"))
    lease = (await claimed(run)).lease
    old = {f"old-{number}": number for number in range(rules.CALLS_REMEMBERED)}
    await run.client.zadd(run.keys["settled"], old)
    await run.client.hset(run.keys["calls"], mapping=dict.fromkeys(old, "settled 1 1 write_docs a m"))
    await run.work.reserve("new", lease, worst_micro_usd=5, model="m", ttl_seconds=TTL)
    assert await run.work.settle("new", Usage(cost_micro_usd=3)) is Reply.OK
    assert await run.client.hlen(run.keys["calls"]) == rules.CALLS_REMEMBERED
    assert await run.client.zcard(run.keys["settled"]) == rules.CALLS_REMEMBERED
    replies = [await run.work.settle(call, None) for call in ("old-0", "old-1", "new")]
    assert replies == [Reply.STALE, Reply.DUP, Reply.DUP]


async def test_the_search_for_a_gone_agent_is_put_off_no_longer_than_until_one_may_be_gone(run: Run) -> None:
    await opened(run)
    await run.work.register("pod-a")
    now, gone = await run.milliseconds(), rules.AGENT_GONE_SECONDS * 1000
    line = str(await run.client.hget(run.keys["agents"], "0"))
    pod, _, *rest = line.split("\t")
    long_ago = now - gone + 20_000
    await run.client.hset(run.keys["agents"], "0", "\t".join([pod, str(long_ago), *rest]))
    await run.client.hdel(run.keys["agents"], "gone_from")
    assert (await run.work.register("pod-b")).agent == "agent-1"
    assert int(str(await run.client.hget(run.keys["agents"], "gone_from"))) <= long_ago + gone

"""What a lost script cache, a killed server and a lost store do to the queue."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest
import redis.asyncio as redis

from contract.swarm import change, claimed, landed, opened, state, task, waiting
from redis_server import RedisServer, lasting_server
from swarmrun.core.task import Reply, TaskState
from swarmrun.queue.port import Claimed, Empty, EmptyReason
from swarmrun.queue.redis import RedisQueue, connect
from swarmrun.queue.rules import QueueUnavailable

__all__ = ["lasting_server"]

pytestmark = pytest.mark.redis

T = TypeVar("T")
TASKS, KILLS = 200, 5


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[redis.Redis]:
    client = connect(server.url)
    yield client
    await client.aclose()


class Swarm:
    """One queue in all three roles."""

    def __init__(self, client: redis.Redis) -> None:
        self.admin = self.work = self.merge = RedisQueue(client, str(uuid.uuid4()))


@pytest.fixture
def swarm(client: redis.Redis) -> Swarm:
    return Swarm(client)


async def test_scripts_survive_a_flushed_cache(client: redis.Redis, swarm: Swarm) -> None:
    await opened(swarm, task("a"))
    await client.script_flush()
    assert (await claimed(swarm)).task.id == "a"


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call until the server answers; the first ones may meet connections that died with it."""
    for _ in range(2_000):
        try:
            return await call()
        except QueueUnavailable:
            await asyncio.sleep(0)
    raise AssertionError("the server never came back")


async def looked_after(swarm: Swarm, epoch: int) -> None:
    """Do what operator and merger do when another server process answers."""
    await swarm.admin.open(epoch)
    await swarm.merge.mark_landed({}, epoch=epoch)


async def test_nothing_is_claimed_from_a_restarted_server_before_the_epoch_has_risen(
    server: RedisServer, swarm: Swarm
) -> None:
    await opened(swarm, task("a"))
    server.kill()
    server.start()
    assert await insist(lambda: swarm.work.claim("pod-a", ttl_seconds=60)) == Empty(reason=EmptyReason.PAUSED)
    await looked_after(swarm, 2)
    assert (await claimed(swarm)).lease.token == "2-1"


async def test_a_killed_server_forgets_nothing_it_acknowledged(server: RedisServer, swarm: Swarm) -> None:
    await opened(swarm, task("a"), task("b"))
    before = await swarm.admin.generation()
    lease = (await claimed(swarm)).lease
    server.kill()
    with pytest.raises(QueueUnavailable):
        await swarm.work.heartbeat(lease)
    server.start()
    assert await insist(lambda: swarm.work.submit(lease, change())) is Reply.OK
    server.kill()
    server.start()
    assert await insist(lambda: swarm.work.submit(lease, change())) is Reply.DUP
    after = await swarm.admin.generation()
    await landed(swarm)
    server.kill()
    server.start()
    assert await insist(lambda: state(swarm, "a")) is TaskState.COMPLETED
    # The operator sees that another server speaks, and raises the epoch.
    assert before is not None
    assert after is not None
    assert (before[0] != after[0], before[1]) == (True, after[1])


async def test_many_kills_in_the_middle_of_work_lose_and_repeat_nothing(
    server: RedisServer, swarm: Swarm
) -> None:
    await opened(swarm, *(task(f"t{number}") for number in range(TASKS)))
    accepted: list[str] = []
    enough = asyncio.Semaphore(0)

    async def agent(pod: str) -> None:
        while len(accepted) < TASKS:
            answer = await insist(lambda: swarm.work.claim(pod, ttl_seconds=60))
            if not isinstance(answer, Claimed):
                assert answer.reason in {EmptyReason.PAUSED, EmptyReason.NO_WORK}
                await asyncio.sleep(0)
                continue
            lease = answer.lease
            reply = await insist(partial(swarm.work.submit, lease, change(pod)))
            assert reply in {Reply.OK, Reply.DUP}
            accepted.append(lease.task_id)
            enough.release()

    agents = [asyncio.create_task(agent(f"pod-{number}")) for number in range(4)]
    for kill in range(KILLS):
        # Killed amid work: a few tasks after the last time, never at rest.
        for _ in range(TASKS // (2 * KILLS)):
            await enough.acquire()
        server.kill()
        await asyncio.to_thread(server.start)
        await insist(partial(looked_after, swarm, kill + 2))
    await asyncio.gather(*agents)
    assert sorted(accepted) == sorted(f"t{number}" for number in range(TASKS))
    assert len(await swarm.merge.submissions(limit=2 * TASKS, timeout_seconds=0)) == TASKS


async def test_a_lost_store_is_rebuilt_and_old_tokens_are_worth_nothing(
    client: redis.Redis, swarm: Swarm
) -> None:
    await opened(swarm, task("a"), task("b"))
    old = (await claimed(swarm)).lease
    await client.flushall()
    assert await swarm.admin.generation() is None
    assert await swarm.work.heartbeat(old) is Reply.STALE
    await swarm.admin.open(2)
    await opened(swarm, task("a"), task("b"))
    new = (await claimed(swarm)).lease
    assert new.token == "2-1"
    assert await swarm.work.submit(old, change()) is Reply.STALE
    assert await swarm.work.submit(new, change()) is Reply.OK
    assert (await waiting(swarm)).lease == new


async def test_a_thousand_waiting_agents_share_one_connection(client: redis.Redis, swarm: Swarm) -> None:
    await opened(swarm)
    before = len(await client.client_list())
    waiters = [
        asyncio.create_task(swarm.work.wait(f"pod-{number}", timeout_seconds=30)) for number in range(1_000)
    ]
    # Opening left hints behind; once they are used up, everybody waits.
    while await client.llen(f"{swarm.admin._keys.prefix}wake"):
        pass
    assert len(await client.client_list()) <= before + 2
    still = [waiter for waiter in waiters if not waiter.done()]
    assert len(still) > 900
    await swarm.admin.enqueue([task("a")], plan_hash="h", max_attempts=3, landed={})
    done, _ = await asyncio.wait(still, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    assert 1 <= len(done) <= 2
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)

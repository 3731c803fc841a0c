"""Calls that travel together: each hears its own answer, whatever the others hear."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis
from redis.exceptions import ResponseError

from contract.swarm import change, claimed, opened, task
from redis_server import RedisServer, redis_server
from swarmrun.core.task import Lease, Reply
from swarmrun.queue.batching import Caller, Script
from swarmrun.queue.keys import RECORD, Keys
from swarmrun.queue.redis import RedisQueue, connect

__all__ = ["redis_server"]

pytestmark = pytest.mark.redis

CALLS = 300


@pytest.fixture
async def client(redis_server: RedisServer) -> AsyncIterator[redis.Redis]:
    client = connect(redis_server.url)
    yield client
    await client.aclose()


class Swarm:
    """One queue in all three roles."""

    def __init__(self, client: redis.Redis) -> None:
        self.uid = str(uuid.uuid4())
        self.admin = self.work = self.merge = RedisQueue(client, self.uid)


async def test_an_error_of_one_call_is_not_an_error_of_those_beside_it(client: redis.Redis) -> None:
    swarm = Swarm(client)
    await opened(swarm, task("good"), task("bad"))
    leases: list[Lease] = [(await claimed(swarm, f"pod-{number}")).lease for number in range(2)]
    key = Keys(swarm.uid)["tasks"]
    line = str(await client.hget(key, "bad")).split("\t")
    line[RECORD.index("agent")] = "nobody's index"
    line[RECORD.index("type")] = "no type"
    await client.hset(key, "bad", "\t".join(line))

    answers = await asyncio.gather(
        *(swarm.work.release(lease, "x") for lease in leases), return_exceptions=True
    )

    by_task = {lease.task_id: answer for lease, answer in zip(leases, answers, strict=True)}
    assert by_task["good"] is Reply.OK
    assert isinstance(by_task["bad"], ResponseError)


async def test_many_calls_at_once_are_all_answered_each_with_its_own(client: redis.Redis) -> None:
    swarm = Swarm(client)
    await opened(swarm, *(task(f"t{number}") for number in range(CALLS)))
    leases = [c.lease for c in await asyncio.gather(*(claimed(swarm, f"pod-{n}") for n in range(CALLS)))]
    assert len({lease.task_id for lease in leases}) == len({lease.token for lease in leases}) == CALLS

    stale = [lease.model_copy(update={"token": "1-999999"}) for lease in leases[::2]]
    calls = [swarm.work.submit(lease, change()) for lease in (*stale, *leases)]
    assert await asyncio.gather(*calls) == [Reply.STALE] * len(stale) + [Reply.OK] * CALLS


async def test_a_caller_that_goes_on_at_once_finds_a_sender(client: redis.Redis) -> None:
    text = "#!lua\nlocal rows = {} for row = 2, #ARGV do rows[row - 1] = 1 end return rows"
    caller, script = Caller(client), Script(text, "0" * 40, ())

    async def ask_again_and_again() -> int:
        return sum([int(await caller.call(script, (), ("x",))) for _ in range(50)])

    async with asyncio.timeout(20):
        assert await asyncio.gather(*(ask_again_and_again() for _ in range(5))) == [50] * 5


async def test_a_script_that_answers_too_little_is_an_error_and_nobody_waits_for_ever(
    client: redis.Redis,
) -> None:
    caller, script = Caller(client), Script("#!lua\nreturn {}", "0" * 40, ())
    with pytest.raises(ResponseError, match="once for each row"):
        await asyncio.wait_for(caller.call(script, (), ("x",)), 20)

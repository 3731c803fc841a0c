"""What is measured of our queue. Every function starts from a run of its own on a running server."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio as redis

from swarmrun.core.task import ChangeSet, FileEdit, Task, TaskType
from swarmrun.queue.port import Claimed, RunState
from swarmrun.queue.redis import RedisQueue, connect
from swarmrun.queue.rules import MAX_TASKS

_TTL: Final = 600
_BODY: Final = 380
_KINDS: Final = (
    TaskType.IMPLEMENT_ENDPOINT,
    TaskType.WRITE_TESTS,
    TaskType.IMPLEMENT_DATABASE,
    TaskType.WRITE_DOCS,
)
CHANGE: Final = ChangeSet(
    base="0" * 40, edits=(FileEdit(path="src/resources/users/create.ts", content="x" * 200),), summary="done"
)


#: How an agent of that name works; gives the number of its tasks.
Work = Callable[[RedisQueue, str], Awaitable[int]]


@dataclass(frozen=True)
class Throughput:
    """Tasks claimed and submitted. CPU is in microseconds per task, memory in bytes per queued task."""

    tasks: int
    seconds: float
    server_cpu_us: float
    client_cpu_us: float
    bytes_per_task: float

    @property
    def per_second(self) -> float:
        """Tasks per second."""
        return self.tasks / self.seconds


def plan(tasks: int) -> list[Task]:
    """Tasks of all kinds with bodies of about 500 bytes, each third one depending on the one before."""
    names = [f"api.resource-{number // 100}.endpoint-{number}" for number in range(tasks)]
    return [
        Task(
            id=name,
            type=_KINDS[number % len(_KINDS)],
            title=f"Implement endpoint {number}",
            priority=number % 50,
            spec={"text": "x" * _BODY},
            depends_on=(names[number - 1],) if number % 3 == 2 else (),  # noqa: PLR2004 — each third
        )
        for number, name in enumerate(names)
    ]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[RedisQueue, redis.Redis, str]]:
    """Give an open run without tasks, and purge it afterwards."""
    client, uid = connect(url), str(uuid.uuid4())
    queue = RedisQueue(client, uid)
    await queue.open(1)
    await queue.set_limit(10**12)
    await queue.set_state(RunState.ACTIVE)
    try:
        yield queue, client, uid
    finally:
        await queue.purge()
        await client.aclose()


async def fill(queue: RedisQueue, tasks: Sequence[Task]) -> None:
    """Queue tasks in as few pieces as the bounds allow."""
    for first in range(0, len(tasks), MAX_TASKS):
        await queue.enqueue(tasks[first : first + MAX_TASKS], plan_hash="b", max_attempts=3, landed={})


async def server_cpu(client: redis.Redis) -> float:
    """Seconds of CPU that the server has used."""
    info: dict[str, Any] = await client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


async def _used_memory(client: redis.Redis) -> int:
    info: dict[str, Any] = await client.info("memory")
    return int(info["used_memory"])


async def apart(queue: RedisQueue, pod: str) -> int:
    """Work as agents behind a hub do until nothing is ready: claim, submit, each a call."""
    done = 0
    while isinstance(answer := await queue.claim(pod, ttl_seconds=_TTL), Claimed):
        await queue.submit(answer.lease, CHANGE)
        done += 1
    return done


async def together(queue: RedisQueue, pod: str) -> int:
    """Work until nothing is ready: submit and claim the next in one call."""
    done = 0
    answer = await queue.claim(pod, ttl_seconds=_TTL)
    while isinstance(answer, Claimed):
        _, answer = await queue.submit_and_claim(answer.lease, CHANGE, pod, ttl_seconds=_TTL)
        done += 1
    return done


async def throughput(url: str, *, tasks: int, agents: int, work: Work = together) -> Throughput:
    """Let agents of one process work through a plan of which two thirds are ready."""
    async with opened(url) as (queue, client, _):
        before = await _used_memory(client)
        await fill(queue, plan(tasks))
        per_task = (await _used_memory(client) - before) / tasks
        # Indexes are given once in an agent's life.
        await asyncio.gather(*(queue.register(f"pod-{number}") for number in range(agents)))
        busy, own, start = await server_cpu(client), time.process_time(), time.perf_counter()
        done = sum(await asyncio.gather(*(work(queue, f"pod-{number}") for number in range(agents))))
        seconds = time.perf_counter() - start
        own, busy = time.process_time() - own, await server_cpu(client) - busy
    return Throughput(done, seconds, busy / done * 1e6, own / done * 1e6, per_task)


async def latencies(url: str, *, samples: int) -> list[float]:
    """Milliseconds from the enqueue of a task to its claim by an agent that was waiting; sorted."""
    async with opened(url) as (queue, _, __):
        found: list[float] = []
        for number in range(samples):
            waiting = asyncio.create_task(_next(queue, "pod-0"))
            await asyncio.sleep(0)
            start = time.perf_counter()
            task = Task(id=f"t{number}", type=TaskType.SCAFFOLD, title="t", spec={"text": "x" * _BODY})
            await queue.enqueue([task], plan_hash="b", max_attempts=3, landed={})
            lease = await waiting
            found.append((time.perf_counter() - start) * 1e3)
            await queue.submit(lease.lease, CHANGE)
    return sorted(found)


async def _next(queue: RedisQueue, pod: str) -> Claimed:
    while True:
        answer = await queue.claim(pod, ttl_seconds=_TTL)
        if isinstance(answer, Claimed):
            return answer
        await queue.wait(pod, timeout_seconds=15)


async def idle_share(url: str, *, agents: int, seconds: float) -> tuple[float, float]:
    """Share of a core that waiting agents cost the server and their own process."""
    async with opened(url) as (queue, client, _):
        waiting = [
            asyncio.create_task(queue.wait(f"pod-{number}", timeout_seconds=600)) for number in range(agents)
        ]
        await asyncio.sleep(1)
        busy, own, start = await server_cpu(client), time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds)
        own, busy = time.process_time() - own, await server_cpu(client) - busy
        passed = time.perf_counter() - start
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return busy / passed, own / passed

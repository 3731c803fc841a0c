"""An agent process: claim, heartbeat, submit, as long as it lives; it knows nothing of the chaos."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from swarmchaos.journal import CLAIMING, Ack, Journal
from swarmchaos.values import Site, dice
from swarmchaos.workload import change_set
from swarmrun.core.errors import Retryable
from swarmrun.core.task import Failure, FailureKind, Lease, Reply
from swarmrun.queue.port import Claimed
from swarmrun.queue.redis import RedisQueue, connect

#: Pods of one process.
PODS: Final = 2
_PAUSE: Final = 0.05
_IDLE: Final = 0.3
_LOST: Final = Failure(kind=FailureKind.INFRASTRUCTURE, message="the node went away")
_RED: Final = Failure(kind=FailureKind.CHECK, message="1 test failed")


async def run(site: Site, name: str) -> None:
    """Play `PODS` pods over one connection pool."""
    client = connect(site.url)
    queue, journal = RedisQueue(client, site.uid), Journal(site.folder, name)
    async with asyncio.TaskGroup() as pods:
        for number in range(PODS):
            pod = f"{name}.{number}"
            agent = Agent(site, queue, journal, pod, dice(site.seed, pod))
            pods.create_task(agent.live())


class Agent:
    """One pod."""

    def __init__(self, site: Site, queue: RedisQueue, journal: Journal, pod: str, rng: Random) -> None:
        self._site, self._queue, self._journal, self._pod, self._rng = site, queue, journal, pod, rng

    async def live(self) -> None:
        """Work for ever."""
        while True:
            claimed = await self._claim()
            if claimed is None:
                await self._wait()
                continue
            if await self._work(claimed.lease):
                await self._finish(claimed.lease)

    async def _wait(self) -> None:
        try:
            await self._queue.wait(self._pod, timeout_seconds=_IDLE)
        except Retryable:
            await asyncio.sleep(_PAUSE)

    async def _claim(self) -> Claimed | None:
        began = time.monotonic()
        # Who dies now may hold a lease of which nobody knows.
        self._journal.add(Ack(began, began, self._pod, CLAIMING, self._site.uid, "", "", ""))
        try:
            answer = await self._queue.claim(self._pod, ttl_seconds=self._site.ttl)
        except Retryable:
            await asyncio.sleep(_PAUSE)
            return None
        if isinstance(answer, Claimed):
            self._note(began, "claim", answer.lease, Reply.OK)
            return answer
        return None

    async def _work(self, lease: Lease) -> bool:
        """Take some time, with heartbeats; tell whether the lease is still ours."""
        left = self._rng.random() * self._site.work
        while left > 0:
            await asyncio.sleep(min(left, self._site.ttl / 4))
            left -= self._site.ttl / 4
            reply = await self._said("heartbeat", lease, lambda: self._queue.heartbeat(lease))
            if reply is not Reply.OK:
                return False
        return True

    async def _finish(self, lease: Lease) -> None:
        mishap = self._rng.random() / self._site.mishaps if self._site.mishaps else 1.0
        if mishap < 1 / 3:
            await self._said("release", lease, lambda: self._queue.release(lease, "drain"))
        elif mishap < 2 / 3:
            await self._said("fail", lease, lambda: self._queue.fail(lease, _LOST))
        elif mishap < 1:
            await self._said("fail", lease, lambda: self._queue.fail(lease, _RED))
        else:
            result = change_set(lease.task_id, lease.token)
            await self._said("submit", lease, lambda: self._queue.submit(lease, result))

    async def _said(self, what: str, lease: Lease, call: Callable[[], Awaitable[Reply]]) -> Reply:
        """Make a call until it is answered: repeating by token is what the queue promises to bear."""
        while True:
            began = time.monotonic()
            try:
                reply = await call()
            except Retryable:
                await asyncio.sleep(_PAUSE)
                continue
            self._note(began, what, lease, reply)
            return reply

    def _note(self, began: float, what: str, lease: Lease, reply: Reply) -> None:
        ended = time.monotonic()
        self._journal.add(
            Ack(began, ended, self._pod, what, self._site.uid, lease.task_id, lease.token, reply.value)
        )

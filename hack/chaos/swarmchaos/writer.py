"""Writers for the kill loop of the store: many pods of a process work through one run after another.

They take no time over a task, hold long leases and give nothing back, so that every answered transition must
be found again, and a lost one shows: as a refused holder, a second claim, or a second landing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from swarmchaos.journal import Ack, Journal
from swarmchaos.values import Site, dice
from swarmchaos.workload import change_set
from swarmrun.core.errors import Retryable
from swarmrun.core.task import Lease, Reply
from swarmrun.queue.port import Claimed, Empty, EmptyReason, Submission
from swarmrun.queue.redis import RedisQueue, connect

#: Pods of one process.
PODS: Final = 100
#: Tasks of one run.
SIZE: Final = 2_000
#: Seconds; nothing expires.
TTL: Final = 3_600
_BATCH: Final = 128
_LINES: Final = 40
_PAUSE: Final = 0.01
_IDLE: Final = 0.02


def uid_of(site: Site, number: int) -> str:
    """Name a run."""
    return f"{site.uid}-{number}"


class _Runs:
    """The queues of all runs over one connection pool."""

    def __init__(self, site: Site, name: str) -> None:
        self._site, self._client = site, connect(site.url)
        self._queues: dict[int, RedisQueue] = {}
        self.journal = Journal(site.folder, name, batch=_LINES)

    def queue(self, number: int) -> RedisQueue:
        if number not in self._queues:
            self._queues[number] = RedisQueue(self._client, uid_of(self._site, number))
        return self._queues[number]

    def note(
        self, began: float, number: int, pod: str, what: str, lease: Lease, *, reply: Reply, commit: str = ""
    ) -> None:
        run, ended = uid_of(self._site, number), time.monotonic()
        names = (run, lease.task_id, lease.token, reply.value, commit)
        self.journal.add(Ack(began, ended, pod, what, *names))


async def run(site: Site, name: str) -> None:
    """Play `PODS` pods."""
    runs = _Runs(site, name)
    async with asyncio.TaskGroup() as group:
        for number in range(PODS):
            pod = f"{name}.{number}"
            group.create_task(_Pod(runs, pod, dice(site.seed, pod)).live())
        group.create_task(_flush(runs.journal))


async def _flush(journal: Journal) -> None:
    while True:
        await asyncio.sleep(_IDLE)
        journal.flush()


class _Pod:
    def __init__(self, runs: _Runs, name: str, rng: Random) -> None:
        self._runs, self._name, self._rng = runs, name, rng
        self._number = 0

    async def live(self) -> None:
        lease: Lease | None = None
        while True:
            if lease is None:
                lease = await self._claim()
            elif self._rng.random() < 0.5:  # noqa: PLR2004 — half by the one way, half by the other
                lease = await self._submit_and_claim(lease)
            else:
                await self._submit(lease)
                lease = None

    async def _claim(self) -> Lease | None:
        queue = self._runs.queue(self._number)
        began = time.monotonic()
        try:
            answer = await queue.claim(self._name, ttl_seconds=TTL)
        except Retryable:
            await asyncio.sleep(_PAUSE)
            return None
        return await self._taken(began, answer)

    async def _taken(self, began: float, answer: Claimed | Empty) -> Lease | None:
        if isinstance(answer, Claimed):
            self._runs.note(began, self._number, self._name, "claim", answer.lease, reply=Reply.OK)
            return answer.lease
        if answer.reason in {EmptyReason.DONE, EmptyReason.NO_WORK}:
            self._number += 1
        else:
            await asyncio.sleep(_IDLE)
        return None

    async def _submit(self, lease: Lease) -> None:
        """Submit until it is answered."""
        result = change_set(lease.task_id, lease.token)
        queue = self._runs.queue(self._number)
        while await self._said("submit", lease, lambda: queue.submit(lease, result)) is None:
            pass

    async def _submit_and_claim(self, lease: Lease) -> Lease | None:
        result, began = change_set(lease.task_id, lease.token), time.monotonic()
        queue = self._runs.queue(self._number)
        try:
            reply, answer = await queue.submit_and_claim(lease, result, self._name, ttl_seconds=TTL)
        except Retryable:
            await asyncio.sleep(_PAUSE)
            await self._submit(lease)
            return None
        self._runs.note(began, self._number, self._name, "submit", lease, reply=reply)
        return await self._taken(began, answer)

    async def _said(self, what: str, lease: Lease, call: Callable[[], Awaitable[Reply]]) -> Reply | None:
        began = time.monotonic()
        try:
            reply = await call()
        except Retryable:
            await asyncio.sleep(_PAUSE)
            return None
        self._runs.note(began, self._number, self._name, what, lease, reply=reply)
        return reply


async def merge(site: Site, name: str) -> None:
    """Land what is submitted, run after run; the branch does not matter here."""
    runs, number, landed = _Runs(site, name), 0, set[str]()
    while True:
        queue = runs.queue(number)
        try:
            waiting = await queue.submissions(limit=_BATCH, timeout_seconds=_IDLE)
        except Retryable:
            await asyncio.sleep(_PAUSE)
            continue
        landed |= set(await asyncio.gather(*(_land(runs, number, each) for each in waiting)))
        runs.journal.flush()
        if len(landed) >= SIZE:
            number, landed = number + 1, set()


async def _land(runs: _Runs, number: int, submission: Submission) -> str:
    """Land one until it is answered, for what has landed is not shown again; returns its id."""
    commit = f"commit-{submission.task.id}"
    while True:
        began = time.monotonic()
        try:
            reply = await runs.queue(number).land(submission, {submission.task.id: commit})
        except Retryable:
            await asyncio.sleep(_PAUSE)
            continue
        runs.note(began, number, "merger", "land", submission.lease, reply=reply, commit=commit)
        return submission.task.id

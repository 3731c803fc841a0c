"""Ours: a lease that nobody renews is reaped, and every answer to a claim carries that claim's token."""

from __future__ import annotations

import asyncio
import time

from swarmpeers.workers import protocol
from swarmrun.core.task import ChangeSet, FileEdit, Reply, Task, TaskType
from swarmrun.queue.port import Claimed, RunState
from swarmrun.queue.redis import RedisQueue, connect

_UID = "stale-workers"
_LEASE_SECONDS = 1
_REAP_PAUSE = 0.2


def _task(task_id: str) -> Task:
    return Task(id=task_id, type=TaskType.IMPLEMENT_ENDPOINT, title=task_id)


async def _plan(*ids: str) -> None:
    client = connect(protocol.URL)
    queue = RedisQueue(client, _UID)
    await queue.open(1)
    await queue.set_limit(1)
    await queue.enqueue([_task(one) for one in ids], plan_hash="p", max_attempts=3, landed={})
    await queue.set_state(RunState.ACTIVE)
    await client.aclose()


async def enqueue() -> None:
    """Put the job in."""
    await _plan(protocol.JOB_ID)


async def probes() -> None:
    """Put some probes in, each time other ones: a task's id is its identity."""
    await _plan(*(f"probe-{time.time_ns()}-{number}" for number in range(6)))


async def reap() -> None:
    """Do what the operator does: return expired leases."""
    queue = RedisQueue(connect(protocol.URL), _UID)
    while True:
        await queue.reap()
        await asyncio.sleep(_REAP_PAUSE)


async def work() -> None:
    """Claim, do, submit, as an agent does through the hub."""
    queue = RedisQueue(connect(protocol.URL), _UID)
    while True:
        got = await queue.claim(protocol.WORKER, ttl_seconds=_LEASE_SECONDS)
        if isinstance(got, Claimed):
            await _do(queue, got)
        else:
            await queue.wait(protocol.WORKER, timeout_seconds=1)


async def _do(queue: RedisQueue, claimed: Claimed) -> None:
    label = ""
    if claimed.task.id == protocol.JOB_ID:
        label = await protocol.slow()
    else:
        protocol.probe()
    edit = FileEdit(path="src/result", content=label)
    reply = await queue.submit(claimed.lease, ChangeSet(base="", edits=(edit,)))
    if label and reply is not Reply.OK:
        protocol.journal("told", label=label, answer=str(reply))


async def result() -> None:
    """Tell whose change set waits for the merger."""
    queue = RedisQueue(connect(protocol.URL), _UID)
    for submission in await queue.submissions(limit=100, timeout_seconds=0):
        if submission.task.id == protocol.JOB_ID:
            protocol.answer("submitted", submission.change_set.edits[0].content)
            return
    protocol.answer("open")


if __name__ == "__main__":
    protocol.main(enqueue=enqueue, probe=probes, work=work, result=result, reap=reap)

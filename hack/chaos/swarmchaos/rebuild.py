"""Many runs are built again after FLUSHALL, against the clock: plan, limit, state, what is on the branch."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from swarmchaos.steward import LIMIT, MAX_ATTEMPTS
from swarmchaos.store import Store
from swarmchaos.values import Kind, Violation
from swarmchaos.workload import plan
from swarmrun.core.task import Reply, TaskState
from swarmrun.queue.port import RunState
from swarmrun.queue.redis import RedisQueue, connect
from swarmrun.queue.rules import MAX_TASKS

#: Seconds that building 100,000 tasks may take.
_PROMISE: Final = 10.0
_PROMISED_TASKS: Final = 100_000
_EPOCH: Final = 2


@dataclass(frozen=True)
class Rebuilt:
    """How much was built again, in how many seconds."""

    tasks: int
    seconds: float
    violations: list[Violation]


async def rebuild(store: Store, runs: int) -> Rebuilt:
    """Build `runs` runs of `MAX_TASKS` tasks, every other one of them on the branch already."""
    client = connect(store.url)
    tasks = plan(0, MAX_TASKS)
    landed = {task.id: f"commit-{task.id}" for task in tasks[::2]}
    queues = [RedisQueue(client, f"rebuilt-{number}") for number in range(runs)]
    await client.flushall()
    began = time.monotonic()
    replies = []
    for queue in queues:
        await queue.open(_EPOCH)
        await queue.enqueue(tasks, plan_hash="plan", max_attempts=MAX_ATTEMPTS, landed={})
        await queue.set_limit(LIMIT)
        await queue.set_state(RunState.ACTIVE)
        replies.append(await queue.mark_landed(landed, epoch=_EPOCH))
    seconds = time.monotonic() - began
    total = runs * len(tasks)
    violations = []
    if seconds > _PROMISE * max(1.0, total / _PROMISED_TASKS):
        violations.append(
            Violation(Kind.LATE, f"{total:,} tasks took {seconds:.1f} s, more than {_PROMISE:.0f} s")
        )
    for queue, reply in zip(queues, replies, strict=True):
        found = {task.id: task for task in (await queue.snapshot()).tasks}
        wrong = [t.id for t in tasks if (found[t.id].state is TaskState.COMPLETED) != (t.id in landed)]
        if reply is not Reply.OK or wrong or len(found) != len(tasks):
            violations.append(
                Violation(Kind.LOST, f"{reply}: {len(found)} tasks, {len(wrong)} in a wrong state")
            )
        await asyncio.sleep(0)
    await client.aclose()
    return Rebuilt(total, seconds, violations)

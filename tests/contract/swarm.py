"""A small language for the contract tests: plans, deliveries and verdicts in one word each."""

from __future__ import annotations

from typing import Protocol

from swarmrun.core.task import (
    ChangeSet,
    Failure,
    FailureKind,
    FileEdit,
    Lease,
    Reply,
    Task,
    TaskState,
    TaskType,
)
from swarmrun.queue.port import (
    Claimed,
    MergeQueue,
    QueueAdmin,
    RunState,
    Submission,
    TaskView,
    WorkQueue,
)

TTL = 60
RED = Failure(kind=FailureKind.GATE, message="2 tests failed", step="test", output="expected 201")


class Roles(Protocol):
    """Whatever holds the three sides of one run."""

    @property
    def admin(self) -> QueueAdmin: ...

    @property
    def work(self) -> WorkQueue: ...

    @property
    def merge(self) -> MergeQueue: ...


def task(task_id: str, kind: TaskType = TaskType.IMPLEMENT_ENDPOINT, *after: str, priority: int = 0) -> Task:
    return Task(id=task_id, type=kind, title=f"Do {task_id}", depends_on=after, priority=priority)


def fix_for(target: str) -> Task:
    return Task(id=f"fix.{target}", type=TaskType.FIX_BUG, title=f"Fix {target}", fix_of=target, priority=99)


def change(text: str = "1") -> ChangeSet:
    return ChangeSet(base="", edits=(FileEdit(path="src/a.ts", content=f"export const a = {text} // é\n"),))


async def opened(world: Roles, *tasks: Task, attempts: int = 3, limit: int = 1_000) -> None:
    """Open the run, plan it, let it go."""
    await world.admin.open(1)
    await world.admin.set_limit(limit)
    await world.admin.enqueue(tasks, plan_hash="h1", max_attempts=attempts, landed={})
    if (epoch := await world.merge.unreported_epoch()) is not None:
        await world.merge.mark_landed({}, epoch=epoch)
    await world.admin.set_state(RunState.ACTIVE)


async def claimed(world: Roles, pod: str = "pod-a") -> Claimed:
    answer = await world.work.claim(pod, ttl_seconds=TTL)
    assert isinstance(answer, Claimed), answer
    return answer


async def delivered(world: Roles, pod: str = "pod-a", text: str = "1") -> Lease:
    """Claim the best task and submit it."""
    lease = (await claimed(world, pod)).lease
    assert await world.work.submit(lease, change(text)) is Reply.OK
    return lease


async def waiting(world: Roles) -> Submission:
    """The oldest submission."""
    found = await world.merge.submissions(limit=1, timeout_seconds=0)
    assert found
    return found[0]


async def landed(world: Roles) -> Submission:
    """Land the oldest submission with its stack."""
    submission = await waiting(world)
    commits = {one.task.id: f"sha-{one.task.id}" for one in (submission, *submission.stack)}
    assert await world.merge.land(submission, commits) is Reply.OK
    return submission


async def view(world: Roles, task_id: str) -> TaskView:
    return next(one for one in (await world.admin.snapshot()).tasks if one.id == task_id)


async def state(world: Roles, task_id: str) -> TaskState:
    return (await view(world, task_id)).state

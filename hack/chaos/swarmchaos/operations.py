"""Every fenced call, ready to be made again and again, and all that an effect shows in.

Each works in a run of its own, so that what it left can be read off a snapshot.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from swarmchaos.steward import LIMIT
from swarmchaos.workload import change_set, plan
from swarmrun.core.task import Failure, FailureKind, Lease, Task, TaskState, TaskType
from swarmrun.queue.port import Claimed, RunState, Snapshot, Submission, Usage
from swarmrun.queue.redis import RedisQueue

#: Seconds; nothing expires here.
_TTL: Final = 3_600
_POD: Final = "pod-a"
_RED: Final = Failure(kind=FailureKind.GATE, message="1 test failed")
_USAGE: Final = Usage(input_tokens=7, output_tokens=3, cost_micro_usd=40)
_WORST: Final = 100

Facts = tuple[object, ...]
Call = Callable[[RedisQueue], Awaitable[str]]


@dataclass(frozen=True)
class Prepared:
    """A call on some lease. `settled`: what repetitions may answer once it has taken effect."""

    call: Call
    first: str
    settled: frozenset[str]


@dataclass(frozen=True)
class Operation:
    """`prepare` brings a fresh run to where the call makes sense; `effect` reads off what it has changed."""

    name: str
    prepare: Callable[[RedisQueue], Awaitable[Prepared]]


_AGAIN: Final = frozenset({"DUP", "STALE"})


async def opened(queue: RedisQueue) -> None:
    """Open a run of three tasks."""
    await queue.open(1)
    await queue.set_limit(LIMIT)
    await queue.enqueue(plan(0, 3, chained=False), plan_hash="plan", max_attempts=3, landed={})
    await queue.set_state(RunState.ACTIVE)


def facts(snapshot: Snapshot) -> Facts:
    """Return all that an effect shows in, without times and tokens."""
    tasks = tuple(
        (t.id, t.state, t.agent, t.attempt, len(t.failures), t.commit, t.cost_micro_usd)
        for t in snapshot.tasks
    )
    agents = tuple((a.agent, a.pod, a.task_id, a.completed, a.failed) for a in snapshot.agents)
    return tuple(sorted(tasks)), tuple(sorted(agents)), snapshot.totals


async def _lease(queue: RedisQueue) -> Lease:
    answer = await queue.claim(_POD, ttl_seconds=_TTL)
    if not isinstance(answer, Claimed):
        raise TypeError(f"a fresh run must have work: {answer}")
    return answer.lease


async def _submission(queue: RedisQueue) -> Submission:
    lease = await _lease(queue)
    await queue.submit(lease, change_set(lease.task_id, lease.token))
    return (await queue.submissions(limit=1, timeout_seconds=0))[0]


async def _submit(queue: RedisQueue) -> Prepared:
    lease = await _lease(queue)
    result = change_set(lease.task_id, lease.token)
    return Prepared(lambda q: q.submit(lease, result), "OK", _AGAIN)


async def _submit_and_claim(queue: RedisQueue) -> Prepared:
    lease = await _lease(queue)
    result = change_set(lease.task_id, lease.token)

    async def call(q: RedisQueue) -> str:
        reply, _ = await q.submit_and_claim(lease, result, _POD, ttl_seconds=_TTL)
        return reply

    return Prepared(call, "OK", _AGAIN)


async def _claim(_: RedisQueue) -> Prepared:
    async def call(q: RedisQueue) -> str:
        answer = await q.claim(_POD, ttl_seconds=_TTL)
        return answer.lease.task_id if isinstance(answer, Claimed) else answer.reason

    # A repeated claim gives back what the lost one took, and takes the same again.
    return Prepared(call, "t000000", frozenset({"t000000"}))


async def _heartbeat(queue: RedisQueue) -> Prepared:
    lease = await _lease(queue)
    return Prepared(lambda q: q.heartbeat(lease), "OK", frozenset({"OK"}))


async def _release(queue: RedisQueue) -> Prepared:
    lease = await _lease(queue)
    return Prepared(lambda q: q.release(lease, "drain"), "OK", _AGAIN)


async def _fail(queue: RedisQueue) -> Prepared:
    lease = await _lease(queue)
    return Prepared(lambda q: q.fail(lease, _RED), "OK", _AGAIN)


async def _reserve(queue: RedisQueue) -> Prepared:
    lease = await _lease(queue)
    return Prepared(
        lambda q: q.reserve("call", lease, worst_micro_usd=_WORST, model="m", ttl_seconds=_TTL),
        "reserved",
        frozenset({"duplicate"}),
    )


async def _held(queue: RedisQueue) -> None:
    lease = await _lease(queue)
    await queue.reserve("call", lease, worst_micro_usd=_WORST, model="m", ttl_seconds=_TTL)


async def _settle(queue: RedisQueue) -> Prepared:
    await _held(queue)
    return Prepared(lambda q: q.settle("call", _USAGE), "OK", _AGAIN)


async def _settle_unknown(queue: RedisQueue) -> Prepared:
    await _held(queue)
    return Prepared(lambda q: q.settle("call", None), "OK", _AGAIN)


async def _cancel(queue: RedisQueue) -> Prepared:
    await _held(queue)
    return Prepared(lambda q: q.cancel_reservation("call"), "OK", _AGAIN)


async def _land(queue: RedisQueue) -> Prepared:
    submission = await _submission(queue)
    commits = {submission.task.id: "commit"}
    return Prepared(lambda q: q.land(submission, commits), "OK", _AGAIN)


async def _reject(queue: RedisQueue) -> Prepared:
    submission = await _submission(queue)
    target = submission.task.id
    fix = Task(id=f"fix.{target}", type=TaskType.FIX_BUG, title="Fix it", fix_of=target)
    return Prepared(lambda q: q.reject(submission, _RED, fix), "OK", _AGAIN)


async def _send_back(queue: RedisQueue) -> Prepared:
    submission = await _submission(queue)
    return Prepared(lambda q: q.send_back(submission, "base vanished"), "OK", _AGAIN)


async def _mark_landed(queue: RedisQueue) -> Prepared:
    await queue.open(2)
    return Prepared(lambda q: q.mark_landed({"t000000": "commit"}, epoch=2), "OK", _AGAIN)


async def _enqueue(_: RedisQueue) -> Prepared:
    async def call(q: RedisQueue) -> str:
        return str(await q.enqueue(plan(0, 5, chained=False), plan_hash="plan", max_attempts=3, landed={}))

    return Prepared(call, "2", frozenset({"0"}))


async def _resolve(queue: RedisQueue) -> Prepared:
    for _ in range(3):
        await queue.fail(await _lease(queue), _RED)
    blocked = [t.id for t in (await queue.snapshot()).tasks if t.state is TaskState.BLOCKED]
    return Prepared(lambda q: q.resolve(blocked[0], "skip"), "OK", _AGAIN)


OPERATIONS: Final = (
    Operation("claim", _claim),
    Operation("heartbeat", _heartbeat),
    Operation("submit", _submit),
    Operation("submit_and_claim", _submit_and_claim),
    Operation("release", _release),
    Operation("fail", _fail),
    Operation("reserve", _reserve),
    Operation("settle", _settle),
    Operation("settle, usage unknown", _settle_unknown),
    Operation("cancel", _cancel),
    Operation("land", _land),
    Operation("reject", _reject),
    Operation("send_back", _send_back),
    Operation("mark_landed", _mark_landed),
    Operation("enqueue", _enqueue),
    Operation("resolve", _resolve),
)

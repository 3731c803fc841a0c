"""Redis against the queue in memory: the same random calls, then the same answers and the same facts.

MODEL_EXAMPLES sets how many runs of 50 calls are tried, in parts that may run side by side; MODEL_SEED gives
other ones. Besides, the sets that Redis keeps must say what the states say, and money must stay within the
limit. Failures are reported as found: shrinking runs of this length takes longer than reading them.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Coroutine, Iterator
from typing import Any, ClassVar, TypeVar, cast

import pytest
import redis.asyncio as redis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from redis_server import RedisServer
from swarmrun.core.errors import Invalid
from swarmrun.core.task import (
    FINAL,
    ChangeSet,
    Failure,
    FailureKind,
    FileEdit,
    Lease,
    Task,
    TaskState,
    TaskType,
)
from swarmrun.queue.keys import READY, Keys
from swarmrun.queue.memory import MemoryQueue
from swarmrun.queue.port import (
    Claimed,
    ReserveOutcome,
    RunState,
    Signal,
    Snapshot,
    Submission,
    Totals,
    Usage,
)
from swarmrun.queue.redis import RedisQueue, connect

pytestmark = [pytest.mark.redis, pytest.mark.timeout(3600)]

T = TypeVar("T")
STEPS, PARTS = 50, 8
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "1000"))
IDS = [f"t{number}" for number in range(8)]
TYPES = [kind for kind in TaskType if kind is not TaskType.FIX_BUG]
PODS = st.sampled_from([f"pod-{number}" for number in range(5)])
PICK = st.integers(0, 1_000)


def planned(task_id: str, kind: TaskType, *dependencies: str, priority: int = 0) -> Task:
    return Task(id=task_id, type=kind, title=f"do {task_id}", depends_on=dependencies, priority=priority)


PLAN = [
    planned("t0", TaskType.SCAFFOLD, priority=5),
    planned("t1", TaskType.IMPLEMENT_DATABASE, priority=4),
    planned("t2", TaskType.IMPLEMENT_ENDPOINT, "t0", priority=3),
    planned("t3", TaskType.WRITE_TESTS, "t1", "t2"),
    planned("t4", TaskType.WRITE_DOCS),
]


@st.composite
def plans(draw: st.DrawFn) -> list[Task]:
    """Some tasks, each depending on lower ids only; ids outside the batch may be known or not."""
    chosen = draw(st.lists(st.sampled_from(IDS), unique=True, min_size=1, max_size=8))
    tasks = []
    for task_id in chosen:
        lower = IDS[: IDS.index(task_id)]
        dependencies = draw(st.lists(st.sampled_from(lower), unique=True, max_size=2)) if lower else []
        tasks.append(
            Task(
                id=task_id,
                type=draw(st.sampled_from(TYPES)),
                title=f"title\tof {task_id}",
                depends_on=tuple(dependencies),
                priority=draw(st.integers(-2, 3)),
            )
        )
    return tasks


def timeless(snapshot: Snapshot) -> Snapshot:
    """Reduce times to whether they are set."""
    return snapshot.model_copy(
        update={
            "server_time": 0.0,
            "tasks": tuple(
                task.model_copy(
                    update={
                        name: float(getattr(task, name) > 0)
                        for name in ("claimed_at", "submitted_at", "finished_at")
                    }
                )
                for task in snapshot.tasks
            ),
            "agents": tuple(agent.model_copy(update={"last_seen": 0.0}) for agent in snapshot.agents),
            "activity": tuple(line.model_copy(update={"at": 0.0}) for line in snapshot.activity),
        }
    )


def undated(submission: Submission) -> Submission:
    """Forget when a submission arrived."""
    below = tuple(undated(one) for one in submission.stack)
    return submission.model_copy(update={"submitted_at": 0.0, "stack": below})


class QueueAgainstModel(RuleBasedStateMachine):
    """One run on both backends."""

    url: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        uid = str(uuid.uuid4())
        self.client: redis.Redis = connect(self.url)
        self.real, self.keys = RedisQueue(self.client, uid), Keys(uid)
        self.now = 1_700_000_000.0
        self.model = MemoryQueue(lambda: self.now)
        self.epoch, self.limit, self.seeded = 1, 0, False
        self.leases: list[Lease] = []
        self.submissions: list[Submission] = []
        self.calls: dict[str, int] = {}
        self.run(self.real.open(1), self.model.open(1))
        self.run(self.real.set_state(RunState.ACTIVE), self.model.set_state(RunState.ACTIVE))
        self.set_limit(200)
        self.enqueue(PLAN, attempts=3, rungs=2, landed=[])

    def do(self, call: Awaitable[T]) -> T:
        """Wait for a call in this run's loop."""

        return self.loop.run_until_complete(call)

    def run(self, real: Coroutine[Any, Any, T], model: Coroutine[Any, Any, T]) -> T:
        """Do the same on both, expect the same answer or the same refusal."""

        async def outcome(call: Coroutine[Any, Any, T]) -> Any:
            try:
                return await call
            except Invalid as error:
                return error.problems

        async def both() -> tuple[Any, Any]:
            return await outcome(real), await outcome(model)

        left, right = self.do(both())
        assert left == right
        answer: T = left
        return answer

    def teardown(self) -> None:
        self.do(self.real.purge())
        left = self.do(self.client.keys(self.keys.prefix + "*"))
        self.do(self.client.aclose())
        self.loop.close()
        assert left == []

    # the operator's side

    @rule(
        tasks=plans(),
        attempts=st.integers(1, 4),
        rungs=st.integers(1, 3),
        landed=st.lists(st.sampled_from(IDS), max_size=1),
    )
    def enqueue(self, tasks: list[Task], attempts: int, rungs: int, landed: list[str]) -> None:
        commits = dict.fromkeys(landed, "c0ffee")
        arguments: dict[str, Any] = {
            "plan_hash": "h",
            "max_attempts": attempts,
            "rungs": rungs,
            "landed": commits,
        }
        self.run(self.real.enqueue(tasks, **arguments), self.model.enqueue(tasks, **arguments))

    @rule(
        act=st.sampled_from(["pause", "go", "go", "other", "epoch", "limit", "limit", "signal"]),
        number=st.integers(-1, 300),
    )
    def operator_acts(self, act: str, number: int) -> None:
        if act == "limit":
            self.set_limit(max(number, 0))
        elif act == "epoch":
            epoch = self.epoch + number % 3 - 1
            self.epoch = max(self.epoch, epoch)
            spent = Totals(spent_micro_usd=number + 1, tokens_in=number + 1, calls=3) if number % 2 else None
            self.seeded |= spent is not None
            self.run(self.real.open(epoch, spent=spent), self.model.open(epoch, spent=spent))
            self.set_limit(self.limit)
        elif act == "signal":
            signal = Signal(ok=number % 4 > 0, reason="R", message="m")
            self.run(self.real.signal("provider", signal), self.model.signal("provider", signal))
        else:
            others = [RunState.CANCELLED, RunState.FINISHED]
            state = {"pause": RunState.PAUSED, "go": RunState.ACTIVE}.get(act, others[number % 2])
            self.run(self.real.set_state(state), self.model.set_state(state))

    def set_limit(self, limit: int) -> None:
        self.limit = limit
        others: dict[str, Any] = {
            "max_tokens": None if limit % 3 else limit * 5,
            "fix_reserve_micro_usd": limit * (limit % 4) // 10,
        }
        self.run(self.real.set_limit(limit, **others), self.model.set_limit(limit, **others))

    @rule(limit=st.integers(0, 3))
    def reap(self, limit: int) -> None:
        self.run(self.real.reap(limit=limit), self.model.reap(limit=limit))

    @rule(
        task_id=st.sampled_from([*IDS, "fix.t0", "none"]),
        action=st.sampled_from(["retry", "retry", "skip", "fail"]),
        hint=st.sampled_from(["", "look up"]),
    )
    def resolve(self, task_id: str, action: str, hint: str) -> None:
        self.run(self.real.resolve(task_id, action, hint), self.model.resolve(task_id, action, hint))

    # the hub's side

    @rule(pod=PODS)
    def register(self, pod: str) -> None:
        left, right = self.do(self.real.register(pod)), self.do(self.model.register(pod))
        assert left.model_copy(update={"last_seen": 0}) == right.model_copy(update={"last_seen": 0})

    @rule(pod=PODS)
    def claim(self, pod: str) -> None:
        answer = self.run(self.real.claim(pod, ttl_seconds=600), self.model.claim(pod, ttl_seconds=600))
        if isinstance(answer, Claimed):
            self.leases.append(answer.lease)

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, fresh=st.booleans(), content=st.sampled_from(["one", "two"]))
    def submit(self, pick: int, content: str, *, fresh: bool) -> None:
        lease = self.leases[-1] if fresh else self.leases[pick % len(self.leases)]
        change_set = ChangeSet(base="", edits=(FileEdit(path="a/b", content=content),))
        self.run(self.real.submit(lease, change_set), self.model.submit(lease, change_set))

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, pod=PODS, content=st.sampled_from(["one", "two"]))
    def submit_and_claim(self, pick: int, pod: str, content: str) -> None:
        lease = self.leases[pick % len(self.leases)]
        change_set = ChangeSet(base="", edits=(FileEdit(path="a/b", content=content),))
        answer = self.run(
            self.real.submit_and_claim(lease, change_set, pod, ttl_seconds=600),
            self.model.submit_and_claim(lease, change_set, pod, ttl_seconds=600),
        )
        if isinstance(answer, tuple) and isinstance(answer[1], Claimed):
            self.leases.append(answer[1].lease)

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, kind=st.sampled_from([FailureKind.CHECK, FailureKind.INFRASTRUCTURE]))
    def fail(self, pick: int, kind: FailureKind) -> None:
        lease = self.leases[pick % len(self.leases)]
        failure = Failure(kind=kind, message="no " + "abc"[pick % 3], output="line\nline")
        self.run(self.real.fail(lease, failure), self.model.fail(lease, failure))

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, beat=st.booleans())
    def beat_or_release(self, pick: int, *, beat: bool) -> None:
        lease = self.leases[pick % len(self.leases)]
        if beat:
            self.run(self.real.heartbeat(lease), self.model.heartbeat(lease))
        else:
            self.run(self.real.release(lease, "x"), self.model.release(lease, "x"))

    @precondition(lambda self: self.leases)
    @rule(pick=PICK)
    def lease_grows_old(self, pick: int) -> None:
        task_id = self.leases[pick % len(self.leases)].task_id
        if self.model._state.tasks[task_id].state is TaskState.LEASED:
            self.model._state.tasks[task_id].deadline = self.now - 1
            self.do(self.client.zadd(self.keys["leases"], {task_id: 1}, xx=True))

    @rule(index=st.integers(0, 2))
    def agent_vanishes(self, index: int) -> None:
        for agent in self.model._state.agents.values():
            if agent.index == index:
                agent.seen = self.now - 121
                line = cast("str", self.do(self.client.hget(self.keys["agents"], str(index))))
                pod, _, *rest = line.split("\t")
                self.do(self.client.hdel(self.keys["agents"], "gone_from"))
                self.do(self.client.hset(self.keys["agents"], str(index), "\t".join([pod, "1", *rest])))

    @precondition(lambda self: self.leases)
    @rule(pick=PICK, worst=st.integers(0, 60), again=st.booleans())
    def reserve(self, pick: int, worst: int, *, again: bool) -> None:
        lease = self.leases[-1 - pick % min(3, len(self.leases))]
        call = (
            sorted(self.calls)[pick % len(self.calls)] if again and self.calls else f"call-{len(self.calls)}"
        )
        arguments: dict[str, Any] = {
            "worst_micro_usd": worst,
            "worst_tokens": worst * 3 + pick % 7,
            "model": "a b",
            "ttl_seconds": 600,
        }
        answer = self.run(
            self.real.reserve(call, lease, **arguments), self.model.reserve(call, lease, **arguments)
        )
        if answer is ReserveOutcome.RESERVED:
            self.calls[call] = worst

    @precondition(lambda self: self.calls)
    @rule(pick=PICK, share=st.integers(0, 100), known=st.booleans())
    def settle(self, pick: int, share: int, *, known: bool) -> None:
        call = sorted(self.calls)[pick % len(self.calls)]
        cost = self.calls[call] * share // 100
        counts = {"input_tokens": 3, "cache_read_tokens": 2, "cache_write_tokens": share, "output_tokens": 5}
        usage = Usage(cost_micro_usd=cost, **counts) if known else None
        self.run(self.real.settle(call, usage), self.model.settle(call, usage))

    @precondition(lambda self: self.calls)
    @rule(pick=PICK)
    def renew(self, pick: int) -> None:
        call = sorted(self.calls)[pick % len(self.calls)]
        self.run(
            self.real.renew_reservation(call, ttl_seconds=600),
            self.model.renew_reservation(call, ttl_seconds=600),
        )

    @precondition(lambda self: self.calls)
    @rule(pick=PICK, cancel=st.booleans())
    def cancel_or_grow_old(self, pick: int, *, cancel: bool) -> None:
        call = sorted(self.calls)[pick % len(self.calls)]
        if cancel:
            self.run(self.real.cancel_reservation(call), self.model.cancel_reservation(call))
            return
        self.model._ledger.calls[call].deadline = self.now - 1
        self.do(self.client.zadd(self.keys["holds"], {call: 1}, xx=True))

    # the merger's side

    @rule(limit=st.integers(1, 3))
    def look_at_submissions(self, limit: int) -> None:
        real = self.do(self.real.submissions(limit=limit, timeout_seconds=0))
        model = self.do(self.model.submissions(limit=limit, timeout_seconds=0))
        assert [undated(one) for one in real] == [undated(one) for one in model]
        self.submissions += real

    @rule(behind=st.integers(0, 1), landed=st.lists(st.sampled_from([*IDS, "fix.t0", "none"]), max_size=2))
    def tell_landed(self, behind: int, landed: list[str]) -> None:
        commits, epoch = dict.fromkeys(landed, "c0ffee"), self.epoch - behind
        self.run(self.real.unreported_epoch(), self.model.unreported_epoch())
        self.run(self.real.mark_landed(commits, epoch=epoch), self.model.mark_landed(commits, epoch=epoch))

    @precondition(lambda self: self.submissions)
    @rule(pick=PICK, fresh=st.booleans())
    def land(self, pick: int, *, fresh: bool) -> None:
        one = self.submissions[-1] if fresh else self.submissions[pick % len(self.submissions)]
        commits = {one.task.id: "c1", **{below.task.id: "c0" for below in one.stack}}
        self.run(self.real.land(one, commits), self.model.land(one, commits))

    @precondition(lambda self: self.submissions)
    @rule(
        pick=PICK,
        fresh=st.booleans(),
        kind=st.sampled_from([FailureKind.GATE, FailureKind.GATE, FailureKind.INFRASTRUCTURE]),
        fix=st.sampled_from(["fix", "fix", "none", "taken"]),
    )
    def reject(self, pick: int, kind: FailureKind, fix: str, *, fresh: bool) -> None:
        one = self.submissions[-1] if fresh else self.submissions[pick % len(self.submissions)]
        name = IDS[0] if fix == "taken" else f"fix.{one.task.id}"
        repair = Task(id=name, type=TaskType.FIX_BUG, title="repair", fix_of=one.task.id, priority=9)
        failure = Failure(kind=kind, message="red", output="x" * 20_000, step="test")
        wanted = None if fix == "none" else repair
        self.run(self.real.reject(one, failure, wanted), self.model.reject(one, failure, wanted))

    @precondition(lambda self: self.submissions)
    @rule(pick=PICK)
    def send_back(self, pick: int) -> None:
        one = self.submissions[pick % len(self.submissions)]
        self.run(self.real.send_back(one, "x"), self.model.send_back(one, "x"))

    # what mostly happens, so that deep states are reached

    @rule(pod=PODS, content=st.sampled_from(["one", "two"]))
    def agent_delivers(self, pod: str, content: str) -> None:
        before = len(self.leases)
        self.claim(pod)
        if len(self.leases) > before:
            self.submit(pick=0, fresh=True, content=content)

    @rule(pod=PODS)
    def agent_gives_up(self, pod: str) -> None:
        before = len(self.leases)
        self.claim(pod)
        if len(self.leases) > before:
            self.fail(pick=len(self.leases) - 1, kind=FailureKind.CHECK)

    @rule(pod=PODS, worst=st.integers(0, 120), share=st.integers(0, 100))
    def agent_asks_the_model(self, pod: str, worst: int, share: int) -> None:
        before = len(self.leases)
        self.claim(pod)
        if len(self.leases) > before:
            self.reserve(pick=0, worst=worst, again=False)
            if self.calls and share % 2:
                self.settle(pick=len(self.calls) - 1, share=share, known=share % 3 > 0)

    @rule(verdict=st.sampled_from(["land", "fix", "fix", "none"]))
    def merger_judges(self, verdict: str) -> None:
        before = len(self.submissions)
        self.look_at_submissions(limit=1)
        if len(self.submissions) == before:
            return
        if verdict == "land":
            self.land(pick=0, fresh=True)
        else:
            self.reject(pick=0, fresh=True, kind=FailureKind.GATE, fix=verdict)

    # what must hold after every step

    @invariant()
    def both_tell_the_same(self) -> None:
        """Read once, then compare: facts with the model, sets with the states, sums with the parts."""
        real, model, costs, sets = self.do(self._observed())
        assert timeless(real) == timeless(model)
        assert costs[0] == costs[1]
        totals = real.totals
        assert totals.spent_micro_usd + totals.reserved_micro_usd <= totals.limit_micro_usd
        charged = sum(task.cost_micro_usd for task in real.tasks)
        assert totals.spent_micro_usd == charged or (self.seeded and totals.spent_micro_usd > charged)
        assert totals.reserved_tokens >= 0 <= totals.tokens_unknown
        assert self.do(self.real.audit()) == ()
        self._sets_follow_the_states(real, sets)
        self._repairs_are_open_while_their_targets_are_fixing(real)

    async def _observed(self) -> tuple[Snapshot, Snapshot, tuple[Any, Any], dict[str, Any]]:
        """Everything there is to compare, with the sets that Redis keeps by name."""
        costs = await self.real.cost_breakdown(), await self.model.cost_breakdown()
        zsets = (*READY.values(), "leases", "submitted")
        async with self.client.pipeline(transaction=False) as pipe:
            for name in zsets:
                pipe.zrange(self.keys[name], 0, -1)
            pipe.hkeys(self.keys["changes"])
            pipe.hmget(self.keys["run"], ["total", "open"])
            answers = await pipe.execute()
        sets = dict(zip((*zsets, "changes", "counts"), answers, strict=True))
        return await self.real.snapshot(), await self.model.snapshot(), costs, sets

    def _sets_follow_the_states(self, snapshot: Snapshot, sets: dict[str, Any]) -> None:
        by_state = {state: {task.id for task in snapshot.tasks if task.state is state} for state in TaskState}
        assert {member for name in READY.values() for member in sets[name]} == by_state[TaskState.READY]
        assert set(sets["leases"]) == by_state[TaskState.LEASED]
        assert set(sets["submitted"]) == by_state[TaskState.SUBMITTED]
        assert set(sets["changes"]) == by_state[TaskState.SUBMITTED] | by_state[TaskState.FIXING]
        working = {agent.task_id for agent in snapshot.agents if agent.task_id}
        assert working == by_state[TaskState.LEASED]
        total, still_open = (int(count or 0) for count in sets["counts"])
        assert total == len(snapshot.tasks)
        assert still_open == sum(task.state not in FINAL for task in snapshot.tasks)

    def _repairs_are_open_while_their_targets_are_fixing(self, snapshot: Snapshot) -> None:
        tasks = {task.id: task for task in snapshot.tasks}
        for task in tasks.values():
            if task.fix_of is not None:
                assert (task.state not in FINAL) == (tasks[task.fix_of].state is TaskState.FIXING)


@pytest.fixture
def machine(redis_server: RedisServer) -> Iterator[type[QueueAgainstModel]]:
    QueueAgainstModel.url = redis_server.url
    yield QueueAgainstModel
    QueueAgainstModel.url = ""


@pytest.mark.parametrize("part", range(PARTS))
def test_redis_behaves_as_the_model(machine: type[QueueAgainstModel], part: int) -> None:
    run_state_machine_as_test(
        seed(int(os.environ.get("MODEL_SEED", "0")) * PARTS + part)(machine),
        settings=settings(
            max_examples=EXAMPLES // PARTS,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )

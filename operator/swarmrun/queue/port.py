"""The queue port: what every backend (Redis, memory) offers, and the frozen values it speaks.

Three roles share one store: the operator administers it, the hub hands out work and money, the merger
lands results. One contract suite (tests/contract) holds for every backend. All times are the server's, in
seconds since the epoch; all money is integer micro-dollars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from pydantic import Field

from swarmrun.core.task import (
    LEAST_RUNGS,
    ChangeSet,
    Failure,
    Frozen,
    Lease,
    Reply,
    Specialization,
    Task,
    TaskState,
    TaskType,
)


class RunState(StrEnum):
    """Whether work may be claimed. Set by the operator, obeyed by every claim."""

    ACTIVE = "active"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FINISHED = "finished"


class EmptyReason(StrEnum):
    """Why a claim got nothing."""

    NO_WORK = "no_work"
    PAUSED = "paused"
    BUDGET = "budget"
    PROVIDER = "provider"
    DONE = "done"


class Claimed(Frozen):
    """A lease with all that the agent needs to know of the task."""

    lease: Lease
    task: Task
    #: Evidence of earlier attempts, oldest first, at most five.
    failures: tuple[Failure, ...] = ()
    #: fix_bug: change sets to apply below one's own work, oldest first.
    stack: tuple[ChangeSet, ...] = ()
    #: A person's hint, from a resolved escalation.
    hint: str = ""


class Empty(Frozen):
    """No task now."""

    reason: EmptyReason


class Submission(Frozen):
    """A change set that waits for the merger. `stack` lies beneath it and lands with it."""

    task: Task
    lease: Lease
    change_set: ChangeSet
    #: (task, lease, change set) below this one, oldest first: a fix lands together with what it fixes.
    stack: tuple[Submission, ...] = ()
    submitted_at: float = 0.0


class TaskView(Frozen):
    """One task as people see it."""

    id: str
    type: TaskType
    title: str
    state: TaskState
    agent: str = ""
    attempt: int = 0
    failures: tuple[Failure, ...] = ()
    fix_of: str | None = None
    commit: str = ""
    #: Seconds since the epoch; 0 when it has not happened.
    claimed_at: float = 0.0
    submitted_at: float = 0.0
    finished_at: float = 0.0
    cost_micro_usd: int = 0


class AgentView(Frozen):
    """One agent as people see it. `agent` is "agent-N", `pod` the pod's name."""

    agent: str
    pod: str
    specialization: Specialization
    task_id: str = ""
    last_seen: float = 0.0
    completed: int = 0
    failed: int = 0


class Activity(Frozen):
    """One line of recent activity.

    `verb`: claimed, submitted, completed, failed, blocked, returned, fixing.
    """

    at: float
    agent: str
    verb: str
    task_id: str
    title: str


class Totals(Frozen):
    """The ledger's sums. spent + reserved ≤ limit holds at all times, for money and for tokens."""

    limit_micro_usd: int = 0
    #: Part of the limit that only repairs (fix_bug) may use.
    fix_reserve_micro_usd: int = 0
    spent_micro_usd: int = 0
    reserved_micro_usd: int = 0
    #: None: tokens are counted, not limited.
    max_tokens: int | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    #: Worst cases of calls whose usage never became known; they count as spent.
    tokens_unknown: int = 0
    reserved_tokens: int = 0
    calls: int = 0
    #: True after a refusal for lack of budget, until there is room: of any task, and of a repair.
    exhausted: bool = False
    exhausted_for_fixes: bool = False

    @property
    def spent_tokens(self) -> int:
        """All tokens that count against `max_tokens` for good."""
        return self.tokens_in + self.tokens_cached + self.tokens_out + self.tokens_unknown

    def fits(self, worst_micro_usd: int, worst_tokens: int, *, fix: bool, held: bool = True) -> bool:
        """Tell whether a call's worst case fits; `held=False` asks as if no call were in flight."""
        limit = self.limit_micro_usd - (0 if fix else self.fix_reserve_micro_usd)
        money = self.spent_micro_usd + worst_micro_usd + (self.reserved_micro_usd if held else 0)
        tokens = self.spent_tokens + worst_tokens + (self.reserved_tokens if held else 0)
        return money <= limit and (self.max_tokens is None or tokens <= self.max_tokens)


class TestTotals(Frozen):
    """Figures of the last green gate run on the target branch."""

    __test__ = False

    passing: int = 0
    total: int = 0
    coverage_percent: float = 0.0
    commit: str = ""


class Signal(Frozen):
    """A fact that hub or merger reports for the conditions: component state, reason, message."""

    ok: bool
    reason: str
    message: str = ""


class Snapshot(Frozen):
    """All the operator needs to know of a run, read in one go."""

    epoch: int
    plan_hash: str
    state: RunState
    server_time: float
    tasks: tuple[TaskView, ...]
    agents: tuple[AgentView, ...]
    activity: tuple[Activity, ...] = Field(max_length=20)
    totals: Totals
    tests: TestTotals
    #: Keyed by component: "provider", "repository", "gates".
    signals: Mapping[str, Signal]
    #: JSON documents left by the merger for the report, e.g. {"code": {...}, "gates": {...}}.
    documents: Mapping[str, Any]

    @property
    def out_of_budget(self) -> bool:
        """Tell whether the budget stops the run: a refused repair does, another unless a repair can move."""
        if self.totals.exhausted_for_fixes or not self.totals.exhausted:
            return self.totals.exhausted_for_fixes
        moving = (TaskState.READY, TaskState.LEASED)
        return not any(t.type is TaskType.FIX_BUG and t.state in moving for t in self.tasks)


class ReserveOutcome(StrEnum):
    """Answer to a reservation."""

    RESERVED = "reserved"
    DUPLICATE = "duplicate"
    STALE = "stale"
    BUDGET = "budget"
    PAUSED = "paused"


class Usage(Frozen):
    """What a provider reported for one call. Counts are tokens; input excludes cached reads and writes."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cost_micro_usd: int = 0


class QueueAdmin(Protocol):
    """The operator's side."""

    async def open(self, epoch: int, *, spent: Totals | None = None) -> None:
        """Plant the generation key and raise the fence to `epoch`. Lower epochs are ignored.

        `spent` is what the run is known to have spent before. When the epoch rises, the ledger's sums rise to
        it: a lost store gives no budget twice. Calls that were in flight then count whole.

        Under every epoch but the first nothing is claimed until the merger has said what is on the branch
        (`mark_landed`), for a minute at most: no finished work is paid again.
        """

    async def generation(self) -> tuple[str, int] | None:
        """Return (server run id, epoch) as planted, or None when the store has lost it."""

    async def enqueue(
        self,
        tasks: Sequence[Task],
        *,
        plan_hash: str,
        max_attempts: int,
        landed: Mapping[str, str],
        rungs: int = LEAST_RUNGS,
    ) -> int:
        """Add tasks, idempotent by id, and return how many were new.

        `landed` maps ids that are on the branch already to their commit. A task is a person's turn after
        `max_attempts` failures, or when it fails as it did before and all `rungs` of the ladder were tried.
        """

    async def set_state(self, state: RunState) -> None:
        """Let work be claimed, or not."""

    async def set_limit(
        self, limit_micro_usd: int, *, max_tokens: int | None = None, fix_reserve_micro_usd: int = 0
    ) -> None:
        """Set the budget; more of it clears `Totals.exhausted`. Money never falls below spent + reserved.

        `fix_reserve_micro_usd` of the limit is kept for repairs; `max_tokens=None` limits no tokens.
        """

    async def reap(self, *, limit: int = 100) -> int:
        """Return expired leases to READY and expired reservations to spent; return how many.

        Spends no attempt.
        """

    async def resolve(self, task_id: str, action: str, hint: str = "") -> Reply:
        """Answer an escalation: `retry` (BLOCKED → READY, failures reset), `skip` (→ SKIPPED)."""

    async def snapshot(self) -> Snapshot:
        """Read everything."""

    async def audit(self) -> tuple[str, ...]:
        """List where the store disagrees with itself; empty when every task is where its state says."""

    async def purge(self) -> int:
        """Delete every key of the run, in bounded batches. Returns how many."""


class WorkQueue(Protocol):
    """The hub's side: claims and money."""

    async def register(self, pod: str) -> AgentView:
        """Give the pod the lowest free index, idempotent; indexes of pods unseen for 120 s are free again."""

    async def claim(self, pod: str, *, ttl_seconds: int) -> Claimed | Empty:
        """Take the best task for the pod's specialization: affinity first, else any. One script.

        While the budget refuses all but repairs, only repairs are handed out.
        """

    async def wait(self, pod: str, *, timeout_seconds: float) -> None:
        """Return when work may have appeared, or at the timeout. A hint: claim anyway."""

    async def heartbeat(self, lease: Lease) -> Reply:
        """Prolong the lease by its ttl."""

    async def submit(self, lease: Lease, change_set: ChangeSet) -> Reply:
        """Store the change set and end the lease, in one script."""

    async def submit_and_claim(
        self, lease: Lease, change_set: ChangeSet, pod: str, *, ttl_seconds: int
    ) -> tuple[Reply, Claimed | Empty]:
        """Submit, then claim for the pod, in one script; the claim follows whatever the reply is."""

    async def fail(self, lease: Lease, failure: Failure) -> Reply:
        """End the lease with evidence: READY again, or BLOCKED when attempts are exhausted."""

    async def release(self, lease: Lease, reason: str) -> Reply:
        """Give the claim back; spends no attempt."""

    async def reserve(
        self,
        call_id: str,
        lease: Lease,
        *,
        worst_micro_usd: int,
        model: str,
        ttl_seconds: int,
        worst_tokens: int = 0,
    ) -> ReserveOutcome:
        """Hold the worst case of a call, if the lease is live and the budget bears it."""

    async def renew_reservation(self, call_id: str, *, ttl_seconds: int) -> Reply:
        """Prolong the hold of a call in flight. STALE: it ended, or expired and was charged whole."""

    async def settle(self, call_id: str, usage: Usage | None) -> Reply:
        """Replace the hold by the real cost; None (usage unknown) turns the whole hold into spent."""

    async def cancel_reservation(self, call_id: str) -> Reply:
        """Drop the hold of a call that never reached the provider."""

    async def signal(self, component: str, signal: Signal) -> None:
        """Report a component's state. A provider signal with ok=False stops claims (reason `provider`)."""

    async def totals(self) -> Totals:
        """Read the ledger."""


class MergeQueue(Protocol):
    """The merger's side."""

    async def submissions(self, *, limit: int, timeout_seconds: float) -> Sequence[Submission]:
        """Wait up to `timeout_seconds`, then return the oldest waiting submissions; they stay."""

    async def land(self, submission: Submission, commits: Mapping[str, str]) -> Reply:
        """Complete the submission and its stack (`commits`: task id → commit); frees dependents."""

    async def reject(self, submission: Submission, failure: Failure, fix: Task | None) -> Reply:
        """Gate red.

        First red of a task: FIXING, and `fix` is enqueued READY. Red of a fix: one more failure of its
        target, the fix is READY again with the evidence; at max_attempts failures the target is BLOCKED and
        its fix SKIPPED. With fix=None the task goes to READY (or BLOCKED) with the evidence.
        """

    async def send_back(self, submission: Submission, reason: str) -> Reply:
        """READY again without spending an attempt (base vanished, infrastructure)."""

    async def unreported_epoch(self) -> int | None:
        """Return the epoch of a planned queue under which `mark_landed` is waited for, or None."""

    async def mark_landed(self, commits: Mapping[str, str], *, epoch: int) -> Reply:
        """COMPLETED for all open tasks among `commits` (task id → commit on the branch); claims may go on.

        STALE: the queue is not at this epoch, or has no plan yet; DUP: it was said before.
        """

    async def record_tests(self, totals: TestTotals) -> None:
        """Keep the figures of a green gate run."""

    async def put_document(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a JSON document for the report, ≤ 64 KiB."""

    async def signal(self, component: str, signal: Signal) -> None:
        """Report a component's state."""

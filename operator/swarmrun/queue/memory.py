"""The queue in memory: the same port without Redis, for tests and as the model Redis is compared with.

Written from the port's words, not from the scripts: it derives (who is ready, what is reserved) where the
scripts keep sets and sums, so that a fault in either shows as a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count

from swarmrun.core.task import LEAST_RUNGS, Reply, Task, TaskState
from swarmrun.queue import rules
from swarmrun.queue.memory_ledger import Ledger
from swarmrun.queue.memory_merge import MemoryMerge
from swarmrun.queue.memory_state import Record, State
from swarmrun.queue.memory_work import MemoryWork
from swarmrun.queue.port import RunState, Snapshot, Totals

_servers = count(1)


class MemoryQueue(MemoryWork, MemoryMerge):
    """One run's queue; implements `QueueAdmin`, `WorkQueue` and `MergeQueue`. `clock` gives server time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._server = f"memory-{next(_servers)}"

    async def open(self, epoch: int, *, spent: Totals | None = None) -> None:
        """Raise the fence; a new run starts PAUSED until `set_state`."""
        before = self._state.epoch or 0
        if spent is not None and epoch > before:
            self._ledger.seed(spent)
        if epoch > max(before, 1):
            self._state.unreported = self._now() + rules.LANDED_WAIT_SECONDS
        if self._state.epoch is None or epoch >= before:
            self._state.epoch = epoch

    async def generation(self) -> tuple[str, int] | None:
        """Return (this instance, epoch), or None when not open."""
        return None if self._state.epoch is None else (self._server, self._state.epoch)

    async def enqueue(
        self,
        tasks: Sequence[Task],
        *,
        plan_hash: str,
        max_attempts: int,
        landed: Mapping[str, str],
        rungs: int = LEAST_RUNGS,
    ) -> int:
        """Add tasks in one piece, idempotent by id. A known task stays as it is, unless it has landed.

        Raises:
            Invalid: the batch breaks a rule; nothing was added.
        """
        rules.check_plan(tasks, max_attempts)
        known = self._state.tasks
        new = {task.id: task for task in tasks if task.id not in known}
        for task in new.values():
            for dependency in task.depends_on:
                if dependency not in known and dependency not in {task.id for task in tasks}:
                    raise rules.unknown_dependency(task.id, dependency)
        self._state.plan_hash = plan_hash
        self._state.max_attempts, self._state.rungs = max_attempts, rungs
        known.update({task_id: Record(task) for task_id, task in new.items()})
        self._have_landed(landed)
        self._state.free_dependents(self._now())
        self._hint_work()
        return len(new)

    async def set_state(self, state: RunState) -> None:
        """Let work be claimed, or not."""
        self._state.run_state = state
        self._hint_work()

    async def set_limit(
        self, limit_micro_usd: int, *, max_tokens: int | None = None, fix_reserve_micro_usd: int = 0
    ) -> None:
        """Set the budget; never lowers its money below spent + reserved."""
        rules.check_limits(limit_micro_usd, max_tokens, fix_reserve_micro_usd)
        self._ledger.set_limit(limit_micro_usd, max_tokens, fix_reserve_micro_usd)
        self._hint_work()

    async def reap(self, *, limit: int = 100) -> int:
        """Return expired leases to READY, charge expired reservations whole."""
        leases = self._reap_leases(limit)
        return leases + self._ledger.expire(self._now(), limit - leases)

    async def resolve(self, task_id: str, action: str, hint: str = "") -> Reply:
        """Answer an escalation. STALE: unknown, final or a repair (answer its target); DUP: done before."""
        if action not in rules.RESOLUTIONS:
            raise rules.unknown_action(action)
        record = self._state.tasks.get(task_id)
        if record is None or record.task.fix_of is not None or record.state is TaskState.COMPLETED:
            return Reply.STALE
        return self._retry(record, hint) if action == "retry" else self._skip(record)

    def _retry(self, record: Record, hint: str) -> Reply:
        if record.state is TaskState.SKIPPED:
            return Reply.STALE
        if record.state is not TaskState.BLOCKED:
            return Reply.DUP
        record.failures, record.fingerprint, record.evidence, record.fix = 0, "", [], ""
        record.hint = hint or record.hint
        self._state.give_back(record, self._now())
        self._hint_work()
        return Reply.OK

    def _skip(self, record: Record) -> Reply:
        if record.state is TaskState.SKIPPED:
            return Reply.DUP
        if record.state is TaskState.FIXING:
            self._state.move(self._state.tasks[record.fix], TaskState.SKIPPED, self._now())
        self._state.move(record, TaskState.SKIPPED, self._now())
        self._state.free_dependents(self._now())
        self._hint_work()
        return Reply.OK

    async def snapshot(self) -> Snapshot:
        """Read everything at one moment."""
        state = self._state
        views = []
        for task_id in sorted(state.tasks):
            view = state.tasks[task_id].view()
            views.append(view.model_copy(update={"cost_micro_usd": self._ledger.by_task[task_id]}))
        return Snapshot(
            epoch=state.epoch or 0,
            plan_hash=state.plan_hash,
            state=state.run_state,
            server_time=self._now(),
            tasks=tuple(views),
            agents=tuple(agent.view() for agent in sorted(state.agents.values(), key=lambda a: a.index)),
            activity=tuple(state.activity),
            totals=self._ledger.totals(),
            tests=state.tests,
            signals=dict(sorted(state.signals.items())),
            documents=dict(sorted(state.documents.items())),
        )

    async def audit(self) -> tuple[str, ...]:
        """Nothing is kept twice here, so nothing can disagree."""
        return ()

    async def purge(self) -> int:
        """Forget the run. Returns how many facts there were."""
        facts = len(self._state.tasks) + len(self._state.agents) + int(self._state.epoch is not None)
        self._state, self._ledger = State(), Ledger()
        return facts

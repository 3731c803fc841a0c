"""What the three sides of `MemoryQueue` share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from swarmrun.core.task import FINAL, TRANSITIONS, Failure, TaskState
from swarmrun.queue import rules
from swarmrun.queue.memory_ledger import Ledger
from swarmrun.queue.memory_state import Record, State
from swarmrun.queue.port import Signal


class MemorySide:
    """State, ledger and clock of one run."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._now = clock
        self._state = State()
        self._ledger = Ledger()
        self._work = asyncio.Event()
        self._merge = asyncio.Event()

    async def signal(self, component: str, signal: Signal) -> None:
        """Report a component's state."""
        if self._state.epoch is not None:
            self._state.signals[component] = signal
            self._hint_work()

    def _hint_work(self) -> None:
        self._work.set()

    def _have_landed(self, commits: Mapping[str, str]) -> None:
        for task_id, commit in commits.items():
            record = self._state.tasks.get(task_id)
            if record is not None and record.state not in FINAL:
                self._has_landed(record, commit)

    def _has_landed(self, record: Record, commit: str) -> None:
        now = self._now()
        if record.state is TaskState.FIXING:
            self._state.move(self._state.tasks[record.fix], TaskState.SKIPPED, now)
        if TaskState.COMPLETED not in TRANSITIONS[record.state]:
            self._state.move(record, TaskState.READY, now)
        self._state.move(record, TaskState.COMPLETED, now)
        record.commit = commit

    def _reap_leases(self, limit: int) -> int:
        now = self._now()
        expired = [
            record
            for record in self._state.tasks.values()
            if record.state is TaskState.LEASED and record.deadline <= now
        ]
        expired = sorted(expired, key=lambda record: (record.deadline, record.task.id))[:limit]
        for record in expired:
            self._state.give_back(record, now)
        if expired:
            self._hint_work()
        return len(expired)

    def _judge(self, record: Record, failure: Failure, again: TaskState) -> TaskState:
        """Take evidence, then let the task go to `again`, or to a person when its attempts are used up.

        A repair's failure is one of its target, too, whose change set stays where it is.
        """
        now, agent = self._now(), record.agent
        target = self._state.tasks[record.task.fix_of] if record.task.fix_of else None
        counts = rules.spends_attempt(failure)
        for struck in (record, target):
            if struck is not None:
                struck.evidence = [*struck.evidence, rules.clip(failure)][-rules.EVIDENCE_LENGTH :]
                struck.failures += counts
        worker = self._state.agent(agent)
        if counts and worker is not None:
            worker.failed += 1
        owner = target or record
        fingerprint = rules.clip(failure).fingerprint
        same = owner.failures >= self._state.rungs and owner.fingerprint == fingerprint
        stop = counts and (same or owner.failures >= self._state.max_attempts)
        if counts:
            owner.fingerprint = fingerprint
        if stop:
            self._state.note(now, "blocked", owner, agent)
            if target is not None:
                self._state.move(record, TaskState.SKIPPED, now)
            self._state.move(owner, TaskState.BLOCKED, now)
            return TaskState.BLOCKED
        self._state.note(now, "fixing" if again is TaskState.FIXING else "failed", record, agent)
        self._state.move(record, again, now)
        self._hint_work()
        return again

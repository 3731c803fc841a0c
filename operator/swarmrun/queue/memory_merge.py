"""The merger's side of the queue in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from swarmrun.core.task import FINAL, Failure, Reply, Task, TaskState
from swarmrun.queue import rules
from swarmrun.queue.memory_base import MemorySide
from swarmrun.queue.memory_state import Record
from swarmrun.queue.port import Submission, TestTotals


class MemoryMerge(MemorySide):
    """Implements `MergeQueue`."""

    async def submissions(self, *, limit: int, timeout_seconds: float) -> Sequence[Submission]:
        """Return the oldest waiting submissions; wait for the first one if there is none."""
        waiting = self._waiting()
        if not waiting and timeout_seconds > 0:
            self._merge.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await self._merge.wait()
            waiting = self._waiting()
        return waiting[:limit]

    def _waiting(self) -> list[Submission]:
        records = [record for record in self._state.tasks.values() if record.state is TaskState.SUBMITTED]
        return [
            record.submission(
                (self._state.tasks[record.task.fix_of].submission(()),) if record.task.fix_of else ()
            )
            for record in sorted(records, key=lambda record: record.arrival)
        ]

    def _current(self, submission: Submission, act: str) -> Record | Reply:
        """Find the record that the submission still stands for, else the answer."""
        record = self._state.tasks.get(submission.task.id)
        token = submission.lease.token
        if record is not None and record.done == (act, token):
            return Reply.DUP
        if record is None or record.state is not TaskState.SUBMITTED or record.lease is None:
            return Reply.STALE
        if record.lease.token != token:
            return Reply.STALE
        record.done = (act, token)
        return record

    async def land(self, submission: Submission, commits: Mapping[str, str]) -> Reply:
        """Complete the submission and its stack.

        Raises:
            Invalid: `commits` lacks one of them.
        """
        ids = rules.check_commits(submission, commits)
        record = self._current(submission, "land")
        if isinstance(record, Reply):
            return record
        now = self._now()
        for task_id in reversed(ids):
            landed = self._state.tasks[task_id]
            self._state.move(landed, TaskState.COMPLETED, now)
            landed.commit = commits[task_id]
            agent = self._state.agent(landed.agent)
            if agent is not None:
                agent.completed += 1
            self._state.note(now, "completed", landed, landed.agent)
        self._state.free_dependents(now)
        self._hint_work()
        return Reply.OK

    async def reject(self, submission: Submission, failure: Failure, fix: Task | None) -> Reply:
        """Judge the submission red; see the port for what follows.

        Raises:
            Invalid: `fix` is no repair of this task, or its id is taken.
        """
        rules.check_fix(submission, fix)
        repair = None if submission.task.fix_of else fix
        if repair is not None and self._occupied(repair, submission):
            raise rules.occupied_fix(repair.id)
        record = self._current(submission, "reject")
        if isinstance(record, Reply):
            return record
        again = TaskState.READY if repair is None else TaskState.FIXING
        if self._judge(record, failure, again) is TaskState.FIXING and repair is not None:
            record.fix = repair.id
            life = Record(repair, evidence=list(record.evidence), hint=record.hint)
            self._state.tasks[repair.id] = life
            self._state.move(life, TaskState.READY, self._now())
        return Reply.OK

    def _occupied(self, fix: Task, submission: Submission) -> bool:
        current = self._state.tasks.get(submission.task.id)
        if current is None or current.state is not TaskState.SUBMITTED or current.lease != submission.lease:
            return False
        before = self._state.tasks.get(fix.id)
        closed = before is None or (before.task.fix_of == fix.fix_of and before.state in FINAL)
        return not closed

    async def send_back(self, submission: Submission, reason: str) -> Reply:  # noqa: ARG002 — for the caller's log
        """Return the submission; spends no attempt."""
        record = self._current(submission, "send_back")
        if isinstance(record, Reply):
            return record
        self._state.give_back(record, self._now())
        self._hint_work()
        return Reply.OK

    async def unreported_epoch(self) -> int | None:
        """Return the epoch under which the branch's word is waited for, once the plan is there."""
        state = self._state
        return state.epoch if state.unreported is not None and state.tasks else None

    async def mark_landed(self, commits: Mapping[str, str], *, epoch: int) -> Reply:
        """Complete what is on the branch; claims go on."""
        rules.check_landed(commits)
        state = self._state
        if state.epoch != epoch or not state.tasks:
            return Reply.STALE
        if state.unreported is None:
            return Reply.DUP
        state.unreported = None
        self._have_landed(commits)
        state.free_dependents(self._now())
        self._hint_work()
        return Reply.OK

    async def record_tests(self, totals: TestTotals) -> None:
        """Keep the figures of a green gate run."""
        if self._state.epoch is not None:
            self._state.tests = totals

    async def put_document(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a JSON document for the report.

        Raises:
            Invalid: more than 64 KiB.
        """
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        rules.check_document(name, text)
        if self._state.epoch is not None:
            self._state.documents[name] = json.loads(text)

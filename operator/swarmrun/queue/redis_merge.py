"""The merger's side of the queue on Redis."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from swarmrun.core.task import ChangeSet, Failure, Lease, Reply, Task
from swarmrun.queue import rules, snapshot
from swarmrun.queue.port import Submission, TestTotals
from swarmrun.queue.redis_base import RedisSide
from swarmrun.queue.redis_errors import unavailable


def _submission(row: Sequence[str], stack: tuple[Submission, ...]) -> Submission:
    task_id, token, index, attempt, ttl, submitted, body, change_set = row
    agent = snapshot.agent_name(index)
    return Submission(
        task=Task.model_validate_json(body),
        lease=Lease(task_id=task_id, token=token, agent=agent, attempt=int(attempt), ttl_seconds=int(ttl)),
        change_set=ChangeSet.model_validate_json(change_set),
        stack=stack,
        submitted_at=snapshot.seconds(submitted),
    )


class RedisMerge(RedisSide):
    """Implements `MergeQueue`."""

    async def submissions(self, *, limit: int, timeout_seconds: float) -> Sequence[Submission]:
        """Return the oldest waiting submissions; wait for the first one if there is none."""
        rows = await self._scripts.submissions(limit)
        if not rows and timeout_seconds > 0:
            await self._await_hint("wake:merge", timeout_seconds)
            rows = await self._scripts.submissions(limit)
        return [_submission(own, (_submission(target, ()),) if target else ()) for own, target in rows]

    async def land(self, submission: Submission, commits: Mapping[str, str]) -> Reply:
        """Complete the submission and its stack.

        Raises:
            Invalid: `commits` lacks one of them.
        """
        ids = rules.check_commits(submission, commits)
        below = commits[ids[1]] if len(ids) > 1 else ""
        return await self._scripts.land(ids[0], submission.lease.token, commits[ids[0]], below)

    async def reject(self, submission: Submission, failure: Failure, fix: Task | None) -> Reply:
        """Judge the submission red; see the port for what follows.

        Raises:
            Invalid: `fix` is no repair of this task, or its id is taken.
        """
        rules.check_fix(submission, fix)
        return await self._scripts.reject(submission.task.id, submission.lease.token, failure, fix)

    async def send_back(self, submission: Submission, reason: str) -> Reply:  # noqa: ARG002 — for the caller's log
        """Return the submission; spends no attempt."""
        return await self._scripts.send_back(submission.task.id, submission.lease.token)

    async def unreported_epoch(self) -> int | None:
        """Return the epoch under which the branch's word is waited for, once the plan is there."""
        with unavailable("epoch"):
            facts = await self._client.hmget(self._keys["run"], ["epoch", "unreported", "total"])
        epoch, unreported, total = facts
        return int(epoch) if epoch and unreported and int(total or 0) > 0 else None

    async def mark_landed(self, commits: Mapping[str, str], *, epoch: int) -> Reply:
        """Complete what is on the branch, in one piece.

        Raises:
            Invalid: more tasks than a run can have.
        """
        rules.check_landed(commits)
        return await self._scripts.mark_landed(epoch, list(commits.items()))

    async def record_tests(self, totals: TestTotals) -> None:
        """Keep the figures of a green gate run."""
        await self._scripts.record("run", "tests", totals.model_dump_json())

    async def put_document(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep a JSON document for the report.

        Raises:
            Invalid: more than 64 KiB.
        """
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        rules.check_document(name, text)
        await self._scripts.record("documents", name, text)

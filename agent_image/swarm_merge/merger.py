"""The merge loop: one writer, one branch, batches judged on the combined tree.

Theory of operation. A round fetches the branch, reads the oldest submissions (the queue keeps them until
they are landed or rejected), and asks the branch itself, by trailers, which of them are there already. So a
crash, a push of unknown outcome and a push that lost a race are one case: end the round, start the next.
Nothing that a round remembers is needed by the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from swarm_merge.batch import (
    MAX_BATCH,
    Batch,
    Finished,
    Reject,
    after_green,
    after_red,
    after_reject,
    next_action,
)
from swarm_merge.chain import Built, ChainBuilder
from swarm_merge.codestats import CodeStats
from swarm_merge.fixes import fix_task
from swarm_merge.judge import Judge
from swarm_merge.metrics import MergeMetrics
from swarm_merge.reporter import Reporter
from swarm_merge.triage import Candidate, Landed, Refused, Unusable, triage
from swarm_merge.verdict import Green, Red
from swarmrun.core.errors import Retryable, Stalled
from swarmrun.core.ownership import matches
from swarmrun.core.profile import Profile
from swarmrun.core.task import Failure, FailureKind, Task, TaskType
from swarmrun.queue.port import MergeQueue, Submission
from swarmrun.vcs.remote import PushOutcome, RemoteProblem, RemoteReason
from swarmrun.vcs.repo import Mirror

POLL_SECONDS: Final = 5.0
_RESYNC_SECONDS: Final = 60.0
_MAX_PAUSE: Final = 30.0
_MAX_FAULTS: Final = 3
_CANCELLATIONS: Final = 8
#: For a change set that ends every round it is part of: a person must see it, others must go on.
_INDIGESTIBLE: Final = Failure(
    kind=FailureKind.FORMAT, step="merge", message="the merger cannot process this change set; see its log"
)
log = logging.getLogger(__name__)


class BranchMovedError(Retryable):
    """The push did not happen for sure: somebody pushed before, or the answer got lost."""


@dataclass(slots=True)
class Merger:
    """One run's merger. `now` gives seconds since the epoch; `pause` waits some seconds."""

    run: str
    profile: Profile
    queue: MergeQueue
    mirror: Mirror
    judge: Judge
    reporter: Reporter
    metrics: MergeMetrics
    code_stats: CodeStats
    now: Callable[[], float]
    pause: Callable[[float], Coroutine[Any, Any, None]]
    poll_seconds: float = POLL_SECONDS
    #: True once the mirror equals the remote for the first time.
    ready: bool = False
    _synced_at: float = 0.0
    _proven: str = ""
    _measured: str = ""
    #: Rounds in a row that ended for a reason nobody foresaw.
    _faults: int = 0
    _ending: bool = False
    _measuring: asyncio.Task[None] | None = None
    _critical: set[asyncio.Task[None]] = field(default_factory=set)

    async def loop(self) -> None:
        """Merge until cancelled. Errors end a round, never the loop."""
        await self._until_started()
        failures = self._faults = 0
        while not self._ending:
            try:
                await self.round()
                failures = self._faults = 0
            except Exception as error:  # noqa: BLE001 — the next round starts from the branch and the queue alone
                failures += 1
                await self._note(error)
                await self.pause(min(_MAX_PAUSE, 2.0 ** (failures - 1)))

    async def finish(self, loop: asyncio.Task[None], timeout_seconds: float) -> None:
        """End the loop; wait for a push that is under way, then give up on it, which is safe.

        A client library may swallow a cancellation, so it is repeated.
        """
        self._ending = True
        for _ in range(_CANCELLATIONS):
            loop.cancel()
            if (await asyncio.wait({loop}, timeout=0.5))[0]:
                break
        if self._measuring is not None:
            self._measuring.cancel()
        if self._critical:
            await asyncio.wait(self._critical, timeout=timeout_seconds)

    async def _until_started(self) -> None:
        failures = 0
        while not self.ready and not self._ending:
            try:
                await self.start()
            except Exception as error:  # noqa: BLE001 — whatever it is, a person may repair it meanwhile
                failures += 1
                await self._note(error)
                await self.pause(min(_MAX_PAUSE, 2.0 ** (failures - 1)))

    async def start(self) -> None:
        """Open the mirror and check the remote, reading and writing."""
        await self.mirror.open()
        await self._sync()
        await self.mirror.check_push()
        await self.mirror.tidy()
        self.ready = True
        await self.reporter.signal("repository", ok=True, reason=RemoteReason.READY)

    async def _note(self, error: Exception) -> None:
        reason = error.reason if isinstance(error, Stalled) else type(error).__name__
        self.metrics.failed_round(reason)
        expected = isinstance(error, (Retryable, Stalled))
        self._faults += not isinstance(error, (Retryable, Stalled, OSError))
        log.warning(
            "round ended early",
            extra={"reason": reason, "error": str(error)[:500]},
            exc_info=None if expected else error,
        )
        if isinstance(error, RemoteProblem):
            try:
                await self.reporter.signal("repository", ok=False, reason=error.reason, message=error.message)
            except Exception:
                log.exception("cannot report the repository's state")

    async def _sync(self) -> str:
        head = await self.mirror.sync()
        self._synced_at = self.now()
        if self.ready:
            await self.reporter.signal("repository", ok=True, reason=RemoteReason.READY)
        return head

    async def round(self) -> None:
        """Take what waits and decide all of it, or do the small jobs when nothing waits."""
        await self._tell_landed()
        limit = 1 if self._faults else MAX_BATCH
        patience = 0.0 if self._must_measure(await self.mirror.head()) else self.poll_seconds
        waiting = await self.queue.submissions(limit=limit, timeout_seconds=patience)
        self.metrics.depth(len(waiting))
        if not waiting:
            await self._idle()
            return
        if self._faults >= _MAX_FAULTS:
            await self._reject(waiting[0], _INDIGESTIBLE, fix=None)
            return
        head = await self._sync()
        candidates = await self._triage(waiting)
        while candidates:
            candidates, head = await self._batch(candidates, head)

    async def _tell_landed(self) -> None:
        """Tell a queue that was built again what is on the branch, so that nobody pays for it twice."""
        if (epoch := await self.queue.unreported_epoch()) is None:
            return
        await self._sync()
        landed = await self.mirror.landed(self.run)
        reply = await self.queue.mark_landed(landed, epoch=epoch)
        log.info("told what has landed", extra={"epoch": epoch, "tasks": len(landed), "reply": str(reply)})
        # The new queue lacks the figures of this head as well.
        self._proven = self._measured = ""

    async def _triage(self, waiting: Sequence[Submission]) -> list[Candidate]:
        landed = await self.mirror.landed(self.run)
        bases = {p.change_set.base for s in waiting for p in (*s.stack, s) if p.change_set.base}
        known = frozenset([base for base in bases if await self.mirror.has_commit(base)])
        candidates = []
        for submission in waiting:
            match triage(submission, landed=landed, profile=self.profile, known_bases=known):
                case Landed(commits):
                    await self.queue.land(submission, commits)
                    log.info("landed before", extra={"task": submission.task.id})
                case Refused(failure):
                    await self._reject(submission, failure, fix=None)
                case Unusable(reason):
                    await self.queue.send_back(submission, reason)
                    log.warning("sent back", extra={"task": submission.task.id, "reason": reason})
                case Candidate() as candidate:
                    candidates.append(candidate)
        return candidates

    async def _batch(self, candidates: Sequence[Candidate], head: str) -> tuple[list[Candidate], str]:
        """Judge one batch until its first culprit is out; returns what is left, and the new head."""
        builder = ChainBuilder(self.mirror, run=self.run)
        chain = await builder.build(candidates, head=head, at=int(self.now()))
        for candidate, failure in chain.conflicts:
            await self._reject(candidate.submission, failure, fix=None)
        built = {b.key: b for b in chain.built}
        batch = Batch(tuple(built))
        evidence: Red | None = None
        while True:
            match next_action(batch):
                case Finished():
                    # What clashed with companions meets the head that they made.
                    return list(chain.deferred), head
                case Reject(candidate=key):
                    await self._reject_red(built[key].candidate.submission, evidence)
                    rest = [built[key].candidate for key in after_reject(batch).waiting]
                    return [*rest, *chain.deferred], head
                case action:
                    prefix = [built[key] for key in batch.waiting[: action.length]]
                    verdict = await self.judge.judge(prefix[-1].tip, prefix[-1].paths, _tasks(prefix))
                    if isinstance(verdict, Red):
                        batch, evidence = after_red(batch, action.length), verdict
                        continue
                    await self._uninterrupted(self._land(prefix, verdict))
                    batch, head = after_green(batch, action.length), prefix[-1].tip

    async def _uninterrupted(self, work: Coroutine[Any, Any, None]) -> None:
        """Let push and land end together even when the loop is cancelled meanwhile."""
        task = asyncio.create_task(work)
        self._critical.add(task)
        task.add_done_callback(self._critical.discard)
        await asyncio.shield(task)

    async def _land(self, prefix: Sequence[Built], green: Green) -> None:
        tip = prefix[-1].tip
        outcome = await self.mirror.push(tip)
        self.metrics.pushed(outcome.value)
        if outcome is not PushOutcome.DONE:
            raise BranchMovedError(f"the push of {len(prefix)} change set(s) ended as {outcome.value}")
        for built in prefix:
            submission = built.candidate.submission
            reply = await self.queue.land(submission, built.commits)
            log.info("landed", extra={"task": submission.task.id, "commit": built.tip, "reply": str(reply)})
        self.metrics.landed(len(prefix))
        self._proven = tip
        await self.reporter.receipt(green.totals, await self.mirror.tree_id(tip), green.result.steps)

    async def _reject_red(self, submission: Submission, evidence: Red | None) -> None:
        if evidence is None:
            raise AssertionError("a culprit is only named after a red run")
        fix = None
        if submission.task.fix_of is None:
            fix = fix_task(submission.task, subject_paths=await self._subject_paths(submission.task))
        await self._reject(submission, evidence.failure, fix=fix)

    async def _subject_paths(self, task: Task) -> tuple[str, ...]:
        """List the files of the code that `task` tests: what its commit wrote and no profile protects."""
        if task.type is not TaskType.WRITE_TESTS or task.subject is None:
            return ()
        commit = (await self.mirror.landed(self.run)).get(task.subject)
        paths = await self.mirror.changed_paths(commit) if commit else ()
        return tuple(p for p in paths if not matches(p, self.profile.protected))

    async def _reject(self, submission: Submission, failure: Failure, fix: Task | None) -> None:
        reply = await self.queue.reject(submission, failure, fix)
        self.metrics.rejected(failure.kind.value)
        log.info(
            "rejected",
            extra={
                "task": submission.task.id,
                "kind": failure.kind.value,
                "step": failure.step,
                "reason": failure.message[:300],
                "reply": str(reply),
            },
        )

    async def _idle(self) -> None:
        head = await self.mirror.head()
        if self.now() - self._synced_at > _RESYNC_SECONDS:
            head = await self._sync()
        if self._must_measure(head):
            self._measured = head
            self._measuring = asyncio.create_task(self._measure(head))
        if self._proven != head and head and await self.mirror.landed(self.run):
            await self._prove(head)

    def _must_measure(self, head: str) -> bool:
        return self._measured != head and (self._measuring is None or self._measuring.done())

    async def _measure(self, head: str) -> None:
        """Leave the code's figures for the report; merging goes on meanwhile."""
        if not head or not await self.mirror.landed(self.run):
            return
        try:
            if document := await self.code_stats.measure(self.mirror, head):
                await self.queue.put_document("code", document)
        except Exception as error:  # noqa: BLE001 — a figure less is no reason to stop merging
            log.warning("cannot record the code's figures", extra={"error": str(error)[:300]})

    async def _prove(self, head: str) -> None:
        """Renew the figures of a head that was not judged here: after a restart, or another's push."""
        paths = frozenset(await self.mirror.tree(head))
        verdict = await self.judge.judge(head, paths, ())
        self._proven = head
        if isinstance(verdict, Green):
            tree = await self.mirror.tree_id(head)
            await self.reporter.receipt(verdict.totals, tree, verdict.result.steps)
            return
        log.warning("head is red", extra={"commit": head, "reason": verdict.failure.message[:300]})
        await self.reporter.signal("gates", ok=True, reason="HeadRed", message=verdict.failure.message)


def _tasks(prefix: Sequence[Built]) -> list[Task]:
    return [part.task for built in prefix for part in built.candidate.parts]

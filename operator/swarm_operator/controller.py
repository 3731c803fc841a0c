"""Turns wake-ups into visits: a visit gathers, decides and applies until nothing is left to do at once."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from swarm_operator.apply import Applier, status_wait, stored_form
from swarm_operator.decision import Decision, Open
from swarm_operator.fairqueue import Key, Lane, WorkQueue
from swarm_operator.kube import (
    ConflictError,
    ForbiddenError,
    InvalidObjectError,
    KubeError,
    NotFoundError,
    UnavailableError,
)
from swarm_operator.memory import Memory
from swarm_operator.metrics import Metrics
from swarm_operator.observe import Observer
from swarm_operator.observed import Observed, Run
from swarm_operator.poster import Poster
from swarm_operator.reconcile import decide
from swarm_operator.stores import STORE_ERRORS
from swarm_operator.transitions import Notice, notices
from swarm_operator.view import Context

logger = logging.getLogger(__name__)

#: Rounds of one visit; more mean that two rules contradict each other.
MAX_ROUNDS: Final = 8
#: Seconds between two full applications of all children, and how much that varies from run to run.
REFRESH_EVERY: Final = 600.0
#: Shortest time in seconds between two audits of a run's queue, but for the last one at its end.
AUDIT_EVERY: Final = 60.0
#: Backoff of a run whose visit failed: first and longest wait in seconds.
BACKOFF_FIRST: Final = 0.5
BACKOFF_LONGEST: Final = 300.0
#: Share by which a resync varies, so that runs do not march in step.
JITTER: Final = 0.2


@dataclass
class Mind:
    """What is remembered of one run between visits. Losing it costs time, never truth."""

    refresh_at: float
    status_written: float = -1e9
    #: Epoch that this process wrote into the status and has not tried to open yet.
    raised: int | None = None
    failures: int = 0
    #: What the auditor found last, and when to ask it again; None: at the next look.
    violations: tuple[str, ...] | None = None
    audit_at: float = 0.0

    def audited(self) -> tuple[str, ...] | None:
        """What the auditor found lately; None when it is time to ask it."""
        return self.violations if time.monotonic() < self.audit_at else None

    def keep_audit(self, observed: Observed) -> None:
        """Remember what the auditor said in this look, or that its queue is gone."""
        self.violations = observed.violations
        if observed.queue.audit is not None:
            self.audit_at = time.monotonic() + AUDIT_EVERY


@dataclass
class Controller:
    """Visits runs."""

    memory: Memory
    queue: WorkQueue
    observer: Observer
    applier: Applier
    context: Context
    poster: Poster
    metrics: Metrics
    clock: Callable[[], float] = time.time
    _minds: dict[Key, Mind] = field(default_factory=dict)

    async def work(self) -> None:
        """Visit runs for ever; several of these work at the same time."""
        while True:
            key, waited = await self.queue.get()
            self.metrics.waited(waited)
            started = time.monotonic()
            outcome = "error"
            try:
                outcome = await self._guarded(key)
            finally:
                self.queue.done(key)
                self.metrics.reconciled(outcome, time.monotonic() - started)

    async def _guarded(self, key: Key) -> str:
        """Visit a run; an error delays the next visit of this run alone."""
        mind = self._mind(key)
        try:
            wait = await self.visit(key, mind)
        except ConflictError:
            self.queue.add_after(key, BACKOFF_FIRST * random.uniform(0.5, 1.0))  # noqa: S311 — spreads load, guards nothing
            return "conflict"
        except (KubeError, *STORE_ERRORS) as error:
            await self._failed(key, mind, error)
            return "retry"
        except Exception:
            logger.exception("visit failed", extra={"run": key.name, "namespace": key.namespace})
            self._back_off(key, mind, 0.0)
            return "error"
        mind.failures = 0
        if wait is not None:
            jitter = 1 + JITTER * random.uniform(-1, 1)  # noqa: S311 — spreads load, guards nothing
            self.queue.add_after(key, wait * jitter)
        return "ok"

    async def _failed(self, key: Key, mind: Mind, error: Exception) -> None:
        after = error.after if isinstance(error, UnavailableError) else 0.0
        fields = {"run": key.name, "namespace": key.namespace, "error": str(error)[:500]}
        logger.warning("visit will be repeated", extra={**fields, "kind": type(error).__name__})
        self._back_off(key, mind, after)
        run = self.memory.run(key)
        if run is None:
            return
        if isinstance(error, ForbiddenError | InvalidObjectError):
            await self.poster.post(run, Notice("Warning", "ApplyFailed", error.message))
        elif run.deleting:
            note = "Waiting for the store, to remove the run's keys: finalizer swarmrun.dev/redis"
            await self.poster.post(run, Notice("Warning", "DeletionWaits", note))

    def _back_off(self, key: Key, mind: Mind, after: float) -> None:
        mind.failures += 1
        wait = min(BACKOFF_LONGEST, BACKOFF_FIRST * 2 ** min(mind.failures - 1, 12))
        spread = random.uniform(0.75, 1.25)  # noqa: S311 — spreads load, guards nothing
        self.queue.add_after(key, max(after, wait * spread))

    def _mind(self, key: Key) -> Mind:
        if key not in self._minds:
            first = REFRESH_EVERY * random.uniform(0.2, 1.0)  # noqa: S311 — spreads load, guards nothing
            self._minds[key] = Mind(refresh_at=time.monotonic() + first)
        return self._minds[key]

    async def visit(self, key: Key, mind: Mind) -> float | None:
        """Look at a run until nothing is left to do at once; return the seconds to the next look."""
        told: list[tuple[Run, Notice]] = []
        try:
            return await self._rounds(key, mind, told)
        finally:
            for run, notice in told:
                await self.poster.post(run, notice)

    async def _rounds(self, key: Key, mind: Mind, told: list[tuple[Run, Notice]]) -> float | None:
        for _ in range(MAX_ROUNDS):
            refresh = time.monotonic() >= mind.refresh_at
            observed = await self.observer.observe(
                key, raised_epoch=mind.raised, refresh=refresh, known=mind.audited()
            )
            if observed is None:
                self.forget(key)
                return None
            mind.keep_audit(observed)
            decision = decide(observed, self.clock(), self.context)
            try:
                wait = await self._carry_out(observed, decision, mind, told)
            except NotFoundError:
                # The run itself vanished between look and act: its DELETED event ends the matter.
                return None if self.memory.run(key) is None else 1.0
            if decision.audit:
                mind.violations = None
            if refresh:
                mind.refresh_at = time.monotonic() + REFRESH_EVERY
            if not decision.again:
                return wait
        logger.warning("visit has no end", extra={"run": key.name, "namespace": key.namespace})
        return 1.0

    async def _carry_out(
        self, observed: Observed, decision: Decision, mind: Mind, told: list[tuple[Run, Notice]]
    ) -> float | None:
        run = observed.run
        for action in decision.actions:
            if isinstance(action, Open):
                mind.raised = None
            await self.applier.execute(run, action)
        self.metrics.show(observed, decision.status or run.status)
        wait = decision.requeue_after
        if decision.status is None:
            return wait
        before, after = stored_form(run.status), stored_form(decision.status)
        due = status_wait(before, after, since_last=time.monotonic() - mind.status_written)
        if due is not None and due > 0:
            return min(wait if wait is not None else due, due)
        if due == 0:
            await self.applier.write_status(run, decision.status)
            mind.status_written = time.monotonic()
            # Events follow the written status, after the visit: they must not hold up what is next.
            told += [(run, notice) for notice in notices(run.status, decision.status)]
        epoch = decision.status.queue_epoch
        if epoch > run.status.queue_epoch and epoch != observed.queue.epoch:
            mind.raised = epoch
        return wait

    def forget(self, key: Key) -> None:
        """Drop all that is remembered of a run that is gone."""
        uid = self.memory.drop_run(key)
        self._minds.pop(key, None)
        self.queue.forget(key)
        self.metrics.forget(key)
        if uid:
            self.context.planner.forget(uid)

    def wake(self, key: Key, lane: Lane = Lane.CHANGED) -> None:
        """Ask for a visit."""
        self.queue.add(key, lane)

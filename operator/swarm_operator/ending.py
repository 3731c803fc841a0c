"""How a run ends: the verdict, the report, the clean-up, the time to live, and the deletion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarm_operator.assess import plan_fact, queue_fact, suspended_fact
from swarm_operator.conditions import Fact, rfc3339
from swarm_operator.decision import (
    IDLE_RESYNC,
    Action,
    Apply,
    Decision,
    Delete,
    DeleteRun,
    Purge,
    SetFinalizers,
    SetState,
)
from swarm_operator.escalate import fail_answer, interventions
from swarm_operator.manifests.report import report_map
from swarm_operator.mirror import mirror
from swarm_operator.names import FINALIZER, child
from swarm_operator.observed import Observed, parse_time
from swarm_operator.provision import cleanup
from swarm_operator.reasons import Reason
from swarm_operator.view import View, next_status
from swarmrun.core.report import Facts, build_report, render_markdown
from swarmrun.core.status import ConditionType, ObjectRef, Phase
from swarmrun.core.task import FINAL, TaskState
from swarmrun.queue.port import RunState, Snapshot

#: Seconds that the merger has, after the last task, to leave the figures of the finished code.
CODE_GRACE = 20.0
#: Seconds that it has to judge the finished code when the store knows no figures: gates run for minutes.
GATES_GRACE = 900.0
#: Seconds between looks meanwhile.
CODE_POLL = 2.0


@dataclass(frozen=True)
class Verdict:
    """How a run ends."""

    phase: Phase
    reason: Reason
    message: str


def _deadline(view: View) -> float | None:
    seconds, start = view.spec.active_deadline_seconds, parse_time(view.status.start_time)
    return start + seconds if seconds is not None and start else None


def verdict(view: View, snapshot: Snapshot) -> Verdict | None:
    """Judge whether the run is over, from facts that cannot change any more."""
    if (answer := fail_answer(view.observed.children.escalations)) is not None:
        message = f"SwarmEscalation {answer.name} of task {answer.task_id} was answered with Fail"
        return Verdict(Phase.FAILED, Reason.ESCALATION_FAILED, message)
    complete = snapshot.plan_hash == view.plan.hash and snapshot.tasks
    if complete and all(t.state in FINAL for t in snapshot.tasks):
        if (short := _coverage_lacks(view, snapshot)) is not None:
            return short
        skipped = [t for t in snapshot.tasks if t.state is TaskState.SKIPPED and t.fix_of is None]
        if skipped:
            message = f"{len(skipped)} tasks were skipped"
            return Verdict(Phase.SUCCEEDED, Reason.COMPLETED_WITH_SKIPS, message)
        return Verdict(Phase.SUCCEEDED, Reason.ALL_TASKS_COMPLETED, "Every task is on the target branch")
    if (due := _deadline(view)) is not None and view.now >= due:
        message = f"The run took longer than {view.spec.active_deadline_seconds} s"
        return Verdict(Phase.FAILED, Reason.DEADLINE_EXCEEDED, message)
    return None


def _coverage_lacks(view: View, snapshot: Snapshot) -> Verdict | None:
    wanted, found = view.coverage_wanted, snapshot.tests.coverage_percent
    if wanted is None or found >= wanted:
        return None
    shown = f"The tests cover {found:.4g} % of the lines" if snapshot.tests.commit else "No coverage is known"
    message = f"{shown}; {wanted:.4g} % are asked for"
    return Verdict(Phase.FAILED, Reason.COVERAGE_TOO_LOW, message)


CANCELLED = Verdict(Phase.CANCELLED, Reason.CANCELLED, "spec.cancel is true")


def final_facts(end: Verdict) -> list[Fact]:
    """Conditions of a run that is over."""
    good = end.phase is Phase.SUCCEEDED
    return [
        Fact(ConditionType.READY, "True" if good else "False", end.reason, end.message),
        Fact(ConditionType.RECONCILING, "False", end.reason),
        Fact(ConditionType.STALLED, "True", end.reason, end.message)
        if end.phase is Phase.FAILED
        else Fact(ConditionType.STALLED, "False", Reason.NOT_STALLED),
        Fact(ConditionType.SUCCEEDED, "True" if good else "False", end.reason, end.message),
        Fact(ConditionType.FINISHED, "True", end.reason, end.message),
    ]


def _code_is_missing(snapshot: Snapshot) -> bool:
    """Tell whether the figures of the commit that the last gates judged may still come."""
    last = max((t.finished_at for t in snapshot.tasks), default=0.0)
    code = snapshot.documents.get("code")
    fresh = isinstance(code, Mapping) and code.get("commit", "") == snapshot.tests.commit
    return not fresh and snapshot.server_time - last < CODE_GRACE


def _coverage_is_open(view: View, snapshot: Snapshot) -> bool:
    """Tell whether the coverage counts and that of the finished code may still come."""
    if not view.coverage_wanted:
        return False
    done = [t for t in snapshot.tasks if t.state is TaskState.COMPLETED]
    last = max((t.finished_at for t in done), default=0.0)
    judged = snapshot.tests.commit
    # Figures come a moment after the landing, and of its tip; others' pushes may have moved the branch since.
    if judged in {t.commit for t in done if t.finished_at == last and t.commit}:
        return False
    return snapshot.server_time - last < (CODE_GRACE if judged else GATES_GRACE)


def _report(view: View, snapshot: Snapshot, end: Verdict) -> Apply:
    run, status = view.observed.run, view.status
    facts = Facts(
        name=run.name,
        namespace=run.namespace,
        project=view.plan.project_name,
        model=view.spec.model,
        repository=view.spec.repository.url,
        branch=view.spec.repository.branch,
        started=parse_time(status.start_time) or run.created,
        finished=view.now,
        epoch=status.queue_epoch,
        planned_tasks=view.plan.tasks,
        estimate_micro_usd=(view.plan.low_micro_usd, view.plan.high_micro_usd),
        verdict=end.phase.value,
        reason=end.reason.value,
        message=end.message,
        human_interventions=interventions(view.observed.children.escalations),
    )
    report = build_report(snapshot.model_dump(mode="json"), facts)
    return Apply((report_map(run.namespace, run.name, run.uid, report, render_markdown(report)),))


def finish(view: View, snapshot: Snapshot, end: Verdict) -> Decision:
    """End a run: wait for the merger's last figures, audit, write the report, then say that it is over."""
    figures = mirror(snapshot, started=parse_time(view.status.start_time), desired=0, ready=0) | {
        "estimated_completion": None,
        "eta": "",
    }
    base = [plan_fact(view), queue_fact(view), suspended_fact(suspended=view.spec.suspend)]
    completed = end.phase is Phase.SUCCEEDED or end.reason is Reason.COVERAGE_TOO_LOW
    if completed and (_code_is_missing(snapshot) or _coverage_is_open(view, snapshot)):
        facts = [*base, Fact(ConditionType.READY, "True", Reason.FINISHING, "Waiting for the last figures")]
        status = next_status(view.observed, view.now, facts, **{**figures, "phase": Phase.FINISHING})
        return Decision(status=status, requeue_after=CODE_POLL)
    state = RunState.CANCELLED if end.phase is Phase.CANCELLED else RunState.FINISHED
    if view.observed.queue.audit is None:
        # From here on nothing is claimed, so this audit is the last word on the queue.
        return Decision(actions=(SetState(state),), again=True, audit=True)
    run = view.observed.run
    status = next_status(
        view.observed,
        view.now,
        [*base, *final_facts(end)],
        **figures,
        phase=end.phase,
        completion_time=rfc3339(view.now),
        report_ref=ObjectRef(name=child(run.name, "report")),
        escalations=0,
    )
    return Decision(actions=(SetState(state), _report(view, snapshot, end)), status=status, again=True)


def end_without_queue(observed: Observed, now: float, end: Verdict) -> Decision:
    """End a run that never had a queue: there is nothing to report."""
    status = next_status(observed, now, final_facts(end), phase=end.phase, completion_time=rfc3339(now))
    return Decision(status=status, again=True)


def stop_agents(observed: Observed) -> Delete:
    """Delete the Deployments, which stops all spending even while the store is down."""
    present = observed.children.deployments
    names: Sequence[tuple[str, str, str]] = [
        o for o in cleanup(observed.run.name) if o[1] == "Deployment" and o[2] in present
    ]
    return Delete(tuple(names))


def after_the_end(observed: Observed, now: float) -> Decision:
    """Look after a run that is over: clean up, then wait for its time to live, if it has one."""
    run = observed.run
    actions: list[Action] = []
    if observed.children.deployments:
        actions.append(Delete(cleanup(run.name)))
    status = None
    if run.status.observed_generation != run.generation:
        status = next_status(observed, now, [])
    ttl = run.spec.get("ttlSecondsAfterFinished")
    if not isinstance(ttl, int):
        return Decision(tuple(actions), status, requeue_after=IDLE_RESYNC if actions else None)
    left = parse_time(run.status.completion_time) + ttl - now
    if left <= 0:
        return Decision((*actions, DeleteRun()), None, requeue_after=None)
    return Decision(tuple(actions), status, requeue_after=max(1.0, min(left, 3600.0)))


def delete(observed: Observed) -> Decision:
    """Remove what the garbage collector cannot reach, then let the run go."""
    run = observed.run
    if FINALIZER not in run.finalizers:
        return Decision(requeue_after=None)
    rest = tuple(f for f in run.finalizers if f != FINALIZER)
    stop = stop_agents(observed)
    first: tuple[Action, ...] = (stop,) if stop.objects else ()
    return Decision((*first, Purge(), SetFinalizers(rest)), requeue_after=None)

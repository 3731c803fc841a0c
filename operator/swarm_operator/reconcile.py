"""The decision about one run: pure, from everything observed to actions and a status.

    deleting? ─▶ over? ─▶ cancelled? ─▶ valid plan? ─▶ approved? ─▶ held before its start?
      ─▶ queue there? ─▶ queue open? ─▶ queue filled? ─▶ finished? ─▶ running

Each step returns a Decision, or None and hands on. Facts come from the cluster and the store on every look,
so a lost event, a restart or a crash between two actions changes nothing but the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from swarm_operator.assess import assess, plan_fact, suspended_fact
from swarm_operator.conditions import Fact, rfc3339
from swarm_operator.decision import (
    ACTIVE_RESYNC,
    IDLE_RESYNC,
    Action,
    Decision,
    Enqueue,
    EnsureUsers,
    Open,
    Reap,
    Resolve,
    SetFinalizers,
    SetLimit,
    SetState,
)
from swarm_operator.ending import (
    CANCELLED,
    after_the_end,
    delete,
    end_without_queue,
    finish,
    stop_agents,
    verdict,
)
from swarm_operator.escalate import answer_actions, new_escalations, open_count
from swarm_operator.mirror import mirror, spent_before
from swarm_operator.names import APPROVED_PLAN, FINALIZER
from swarm_operator.observed import Observed, parse_time
from swarm_operator.planning import Planned
from swarm_operator.provision import apply_children
from swarm_operator.reasons import Reason
from swarm_operator.view import Context, View, next_status, plan_status
from swarmrun.core.status import TERMINAL, ConditionType, Phase
from swarmrun.core.task import FINAL
from swarmrun.queue.port import RunState, Snapshot, Totals

#: Seconds between looks while the store or a ConfigMap is missing.
WAITING_RESYNC: Final = 10.0
#: Open tasks that left the plan and are skipped in one look.
MAX_SKIPS: Final = 200


def decide(observed: Observed, now: float, context: Context) -> Decision:
    """Decide what is to be done about a run."""
    run = observed.run
    if run.deleting:
        return delete(observed)
    if run.status.phase in TERMINAL:
        return after_the_end(observed, now)
    planned = context.planner.plan(run, observed.project)
    if planned.spec is None or planned.facts is None:
        if run.spec.get("cancel") is True:
            return _cancel_without_plan(observed, now)
        return _refused(observed, now, planned)
    view = View(observed, context, now, planned.spec, planned.facts)
    for step in _STEPS:
        if (decision := step(view)) is not None:
            return decision
    raise AssertionError("the last step always decides")


def _started(view: View) -> bool:
    """Tell whether the run ever touched the store."""
    return view.status.queue_epoch > 0 or FINALIZER in view.observed.run.finalizers


def _cancel_without_plan(observed: Observed, now: float) -> Decision:
    decision = end_without_queue(observed, now, CANCELLED)
    stop = stop_agents(observed)
    return Decision((stop,), decision.status, again=True) if stop.objects else decision


def _refused(observed: Observed, now: float, planned: Planned) -> Decision:
    """Show every fault. Nothing is created; what a former spec created is paused."""
    refusal = planned.refusal
    assert refusal is not None, "a spec without plan has a refusal"  # noqa: S101 — states the type's invariant
    waiting = refusal.waiting
    facts = [
        Fact(ConditionType.PLAN_READY, "False", refusal.reason, refusal.message),
        Fact(ConditionType.READY, "False", refusal.reason, refusal.message),
        Fact(ConditionType.RECONCILING, "True" if waiting else "False", refusal.reason),
        Fact(ConditionType.STALLED, "False", Reason.NOT_STALLED)
        if waiting
        else Fact(ConditionType.STALLED, "True", refusal.reason, refusal.message),
    ]
    snapshot = observed.queue.snapshot
    actions: tuple[Action, ...] = ()
    if snapshot is not None and snapshot.state is RunState.ACTIVE:
        actions = (SetState(RunState.PAUSED),)
    phase = Phase.PLANNING if waiting else Phase.PENDING
    status = next_status(observed, now, facts, phase=phase)
    return Decision(actions, status, requeue_after=WAITING_RESYNC if waiting else IDLE_RESYNC)


def _cancelled(view: View) -> Decision | None:
    if not view.spec.cancel:
        return None
    if not _started(view):
        return end_without_queue(view.observed, view.now, CANCELLED)
    if view.snapshot is not None:
        return finish(view, view.snapshot, CANCELLED)
    if not view.observed.queue.error:
        decision = end_without_queue(view.observed, view.now, CANCELLED)
        return Decision((stop_agents(view.observed),), decision.status, again=True)
    held = _without_store(view)
    return Decision((stop_agents(view.observed),), held.status, requeue_after=WAITING_RESYNC)


def _awaiting_approval(view: View) -> Decision | None:
    if view.spec.approval != "Plan":
        return None
    if view.observed.run.annotations.get(APPROVED_PLAN) == view.plan.hash:
        return None
    name = view.observed.run.name
    message = f"Approve with: kubectl annotate swr {name} --overwrite {APPROVED_PLAN}={view.plan.hash}"
    facts = [
        plan_fact(view),
        suspended_fact(suspended=view.spec.suspend),
        Fact(ConditionType.READY, "False", Reason.AWAITING_APPROVAL, message),
        Fact(ConditionType.RECONCILING, "False", Reason.AWAITING_APPROVAL),
        Fact(ConditionType.STALLED, "False", Reason.NOT_STALLED),
    ]
    snapshot = view.snapshot
    paused = snapshot is not None and snapshot.state is RunState.ACTIVE
    status = next_status(
        view.observed, view.now, facts, phase=Phase.AWAITING_APPROVAL, plan=plan_status(view.plan)
    )
    return Decision((SetState(RunState.PAUSED),) if paused else (), status)


def _held_before_start(view: View) -> Decision | None:
    """A run that is suspended from its beginning is planned, and nothing else."""
    if not view.spec.suspend or _started(view):
        return None
    why = (Reason.SUSPENDED, "spec.suspend is true; set it to false to start")
    facts = [
        plan_fact(view),
        suspended_fact(suspended=True),
        Fact(ConditionType.READY, "False", *why),
        Fact(ConditionType.RECONCILING, "False", Reason.SUSPENDED),
        Fact(ConditionType.STALLED, "False", Reason.NOT_STALLED),
    ]
    status = next_status(view.observed, view.now, facts, phase=Phase.SUSPENDED, plan=plan_status(view.plan))
    return Decision(status=status)


def _without_store(view: View) -> Decision:
    message = f"The store does not answer: {view.observed.queue.error}"
    facts = [
        plan_fact(view),
        suspended_fact(suspended=view.spec.suspend),
        Fact(ConditionType.QUEUE_READY, "False", Reason.QUEUE_UNAVAILABLE, message),
        Fact(ConditionType.READY, "False", Reason.QUEUE_UNAVAILABLE, message),
    ]
    phase = view.status.phase if _started(view) else Phase.PROVISIONING
    status = next_status(view.observed, view.now, facts, phase=phase, plan=plan_status(view.plan))
    return Decision(status=status, requeue_after=WAITING_RESYNC)


def _store_is_down(view: View) -> Decision | None:
    return _without_store(view) if view.observed.queue.error else None


def _raise_epoch(view: View, *, first: bool) -> Decision:
    """Raise the fence in the CR before anything is opened: claims of a lost store stay refused for ever."""
    run = view.observed.run
    actions: tuple[Action, ...] = ()
    if FINALIZER not in run.finalizers:
        actions = (SetFinalizers((*run.finalizers, FINALIZER)),)
    reason = Reason.QUEUE_OPENING if first else Reason.QUEUE_LOST
    message = "" if first else "The store lost or may have rolled back the queue; it is built again"
    facts = [
        plan_fact(view),
        suspended_fact(suspended=view.spec.suspend),
        Fact(ConditionType.QUEUE_READY, "Unknown" if first else "False", reason, message),
        Fact(ConditionType.READY, "False", Reason.PROVISIONING, message),
        Fact(ConditionType.RECONCILING, "True", Reason.PROVISIONING),
        Fact(ConditionType.STALLED, "False", Reason.NOT_STALLED),
    ]
    status = next_status(
        view.observed,
        view.now,
        facts,
        phase=Phase.PROVISIONING,
        plan=plan_status(view.plan),
        queue_epoch=view.status.queue_epoch + 1,
        start_time=view.status.start_time or rfc3339(view.now),
    )
    return Decision(actions, status, again=True)


def _open_queue(view: View) -> Decision | None:
    epoch, planted = view.status.queue_epoch, view.observed.queue.epoch
    if planted is not None and planted >= epoch > 0 and view.snapshot is not None:
        return None
    if view.observed.raised_epoch != epoch or epoch == 0:
        return _raise_epoch(view, first=epoch == 0)
    tasks = view.context.planner.tasks(view.observed.run, view.observed.project)
    children = apply_children(view)
    # Children first: pods take seconds to start, the rest of this list milliseconds.
    actions: list[Action] = [
        *([children] if children else []),
        EnsureUsers(),
        # The limit before what was spent of it: an audit in between finds no sum above it.
        _limits(view),
        Open(epoch, spent_before(view.status.cost)),
        Enqueue(tasks, view.plan.hash, view.spec.max_attempts, view.rungs),
        SetState(view.wanted_state),
    ]
    return Decision(tuple(actions), again=True)


def _finished(view: View) -> Decision | None:
    snapshot = view.snapshot
    if snapshot is None:
        return None
    end = verdict(view, snapshot)
    return None if end is None else finish(view, snapshot, end)


def _limits(view: View) -> SetLimit:
    return SetLimit(view.limit_micro_usd, view.spec.budget.max_tokens, view.fix_reserve_micro_usd)


def _limits_hold(view: View, totals: Totals) -> bool:
    """Tell whether the ledger has the spec's limits; it never takes one below what is spent and held."""
    committed = totals.spent_micro_usd + totals.reserved_micro_usd
    wanted = {view.limit_micro_usd, max(view.limit_micro_usd, committed)}
    others = (view.spec.budget.max_tokens, view.fix_reserve_micro_usd)
    return totals.limit_micro_usd in wanted and (totals.max_tokens, totals.fix_reserve_micro_usd) == others


def _queue_actions(view: View, snapshot: Snapshot) -> list[Action]:
    """Bring the queue in line with the spec, and its expired leases home."""
    actions: list[Action] = []
    if snapshot.plan_hash != view.plan.hash:
        tasks = view.context.planner.tasks(view.observed.run, view.observed.project)
        actions.append(Enqueue(tasks, view.plan.hash, view.spec.max_attempts, view.rungs))
        planned = {t.id for t in tasks}
        gone = [
            t.id for t in snapshot.tasks if t.state not in FINAL and t.fix_of is None and t.id not in planned
        ]
        actions += [Resolve(task_id, "skip") for task_id in gone[:MAX_SKIPS]]
    if not _limits_hold(view, snapshot.totals):
        actions.append(_limits(view))
    if snapshot.state is not view.wanted_state:
        actions.append(SetState(view.wanted_state))
    return actions


def _running(view: View) -> Decision | None:
    snapshot = view.snapshot
    if snapshot is None:
        return _without_store(view)
    run, escalations = view.observed.run, view.observed.children.escalations
    actions: list[Action] = [EnsureUsers(), Reap()] if view.observed.refresh else [Reap()]
    moves = _queue_actions(view, snapshot)
    moves += answer_actions(run, snapshot, escalations, view.now)
    actions += moves
    for apply in (new_escalations(run, snapshot, escalations), apply_children(view)):
        if apply is not None:
            actions.append(apply)
    judged = assess(view, snapshot)
    started = parse_time(view.status.start_time)
    status = next_status(
        view.observed,
        view.now,
        judged.facts,
        **mirror(snapshot, started=started, desired=view.replicas, ready=judged.ready_agents),
        phase=judged.phase,
        plan=plan_status(view.plan),
        start_time=view.status.start_time or rfc3339(view.now),
        # A restored API server may know less than the store; its next epoch must be one that never was.
        queue_epoch=max(view.status.queue_epoch, snapshot.epoch),
        escalations=open_count(snapshot, escalations),
    )
    return Decision(tuple(actions), status, again=bool(moves), requeue_after=_resync(view, snapshot))


def _resync(view: View, snapshot: Snapshot) -> float:
    """Look often while work may move, and no later than the deadline."""
    calm = view.spec.suspend and not any(t.agent and t.state not in FINAL for t in snapshot.tasks)
    wait = IDLE_RESYNC if calm else ACTIVE_RESYNC
    deadline, start = view.spec.active_deadline_seconds, parse_time(view.status.start_time)
    if deadline is not None and start:
        wait = min(wait, max(1.0, start + deadline - view.now))
    return wait


_STEPS: Final[tuple[Callable[[View], Decision | None], ...]] = (
    _cancelled,
    _awaiting_approval,
    _held_before_start,
    _store_is_down,
    _open_queue,
    _finished,
    _running,
)

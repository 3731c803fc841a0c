"""What a running run's facts mean: its conditions and its phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from swarm_operator.conditions import Fact
from swarm_operator.names import child
from swarm_operator.reasons import Reason
from swarm_operator.troubles import Trouble, troubles
from swarm_operator.view import View
from swarmrun.core.money import format_usd
from swarmrun.core.status import ConditionType, Phase
from swarmrun.core.task import TaskState
from swarmrun.queue.port import Signal, Snapshot, TaskView, Totals
from swarmrun.specmodels import models_of
from swarmrun.telemetry import redact

#: States in which a task can move without a person.
_LIVE = frozenset({TaskState.READY, TaskState.LEASED, TaskState.SUBMITTED, TaskState.FIXING})
#: Reasons of a run whose agents work.
_READY = frozenset({Reason.RUNNING, Reason.PROVIDER_FALLBACK})
_SERVICES = ("hub", "merger", "gates")
#: Violations that the message of QueueReady names, and the longest text of each: an Event's note holds them.
_VIOLATIONS_TOLD: Final = 5
_VIOLATION_LENGTH: Final = 160
#: Message of QueueReady when the auditor has found nothing.
AUDITED: Final = "Every task is where its state says; all counters and sums agree"


@dataclass(frozen=True)
class Assessment:
    """Conditions and phase of a run whose queue is open."""

    facts: tuple[Fact, ...]
    phase: Phase
    ready_agents: int


def only_blocked_left(tasks: Sequence[TaskView]) -> bool:
    """Tell whether nothing moves until a person answers."""
    states = {t.state for t in tasks}
    return TaskState.BLOCKED in states and not states & _LIVE


def work_began(tasks: Sequence[TaskView]) -> bool:
    """Tell whether an agent ever held a task."""
    return any(t.attempt > 0 or t.state in {TaskState.LEASED, TaskState.COMPLETED} for t in tasks)


def _signal_fact(signal: Signal | None, type_: ConditionType) -> Fact:
    if signal is None:
        return Fact(type_, "Unknown", Reason.REPOSITORY_UNKNOWN, "The merger has not reported yet")
    reason = signal.reason or (Reason.REPOSITORY_OPENED if signal.ok else "RepositoryFailed")
    return Fact(type_, "True" if signal.ok else "False", reason, redact(signal.message))


def _agents(view: View, found: Sequence[Trouble], ready: int) -> Fact:
    type_ = ConditionType.AGENTS_AVAILABLE
    children, run = view.observed.children, view.observed.run.name
    if view.replicas == 0:
        return Fact(type_, "False", Reason.SCALED_TO_ZERO, "The run is suspended")
    if found:
        return Fact(type_, "False", found[0].reason, "; ".join(dict.fromkeys(t.message for t in found)))
    down = [c for c in _SERVICES if (d := children.deployments.get(child(run, c))) is None or d.ready == 0]
    if down:
        return Fact(type_, "False", Reason.WAITING_FOR_AGENTS, f"Waiting for {', '.join(down)}")
    if ready == 0:
        return Fact(type_, "False", Reason.WAITING_FOR_AGENTS, f"0 of {view.replicas} agents are ready")
    return Fact(type_, "True", Reason.AGENTS_READY, "")


def _spent(totals: Totals) -> str:
    """Say what is spent of which limit, and which field to raise."""
    spent, limit = format_usd(totals.spent_micro_usd), format_usd(totals.limit_micro_usd)
    text, fields = f"{spent} of {limit} US dollars", "spec.budget.maxCostUSD"
    if totals.max_tokens is not None:
        text += f" and {totals.spent_tokens} of {totals.max_tokens} tokens"
        fields += " or spec.budget.maxTokens"
    text += " are spent"
    if totals.fix_reserve_micro_usd and not totals.exhausted_for_fixes:
        kept = format_usd(totals.fix_reserve_micro_usd)
        text += f", {kept} are kept for repairs by spec.budget.fixReservePercent"
    return f"{text}; raise {fields} to go on"


def _stall(view: View, snapshot: Snapshot, found: Sequence[Trouble]) -> tuple[str, str] | None:
    """Why nothing moves until a person acts: the first cause in the order in which to mend them."""
    for component in ("provider", "repository", "gates"):
        signal = snapshot.signals.get(component)
        if signal is not None and not signal.ok:
            return signal.reason or f"{component.title()}Failed", redact(signal.message)
    if found and found[0].stalling:
        return found[0].reason, found[0].message
    if snapshot.out_of_budget:
        return Reason.BUDGET_EXHAUSTED, _spent(snapshot.totals)
    if only_blocked_left(snapshot.tasks):
        count = sum(1 for t in snapshot.tasks if t.state is TaskState.BLOCKED)
        run = view.observed.run.name
        return (
            Reason.TASKS_BLOCKED,
            f"{count} blocked tasks need an answer: kubectl get swe -l swarmrun.dev/run={run}",
        )
    return None


def plan_fact(view: View) -> Fact:
    """PlanReady of a run with a plan."""
    return Fact(ConditionType.PLAN_READY, "True", Reason.PLANNED, f"{view.plan.tasks} tasks")


def queue_fact(view: View) -> Fact:
    """QueueReady of a queue that is open. A broken invariant is told, and stops nothing."""
    found = view.observed.violations
    if not found:
        return Fact(ConditionType.QUEUE_READY, "True", Reason.QUEUE_OPEN, "" if found is None else AUDITED)
    told = [redact(text)[:_VIOLATION_LENGTH] for text in found[:_VIOLATIONS_TOLD]]
    more = f"; and {len(found) - len(told)} more" if len(found) > len(told) else ""
    message = f"The store disagrees with itself: {'; '.join(told)}{more}"
    return Fact(ConditionType.QUEUE_READY, "False", Reason.INVARIANT_BROKEN, message)


def suspended_fact(*, suspended: bool) -> Fact:
    """Suspended, from the spec."""
    if suspended:
        return Fact(ConditionType.SUSPENDED, "True", Reason.SUSPENDED, "spec.suspend is true")
    return Fact(ConditionType.SUSPENDED, "False", Reason.NOT_SUSPENDED)


def _budget(view: View, snapshot: Snapshot) -> Fact:
    if snapshot.out_of_budget:
        message = f"The limit of {format_usd(snapshot.totals.limit_micro_usd)} US dollars is reached"
        if snapshot.totals.max_tokens is not None:
            message += f", or that of {snapshot.totals.max_tokens} tokens"
        return Fact(ConditionType.BUDGET_AVAILABLE, "False", Reason.BUDGET_EXHAUSTED, message)
    if (reached := models_of(view.spec).threshold(snapshot.totals)) is not None:
        message = (
            f"{reached.percent} % of the limit is spent or reserved; tasks claimed now use {reached.model}"
        )
        return Fact(ConditionType.BUDGET_AVAILABLE, "True", Reason.SOFT_THRESHOLD, message)
    return Fact(ConditionType.BUDGET_AVAILABLE, "True", Reason.WITHIN_BUDGET)


def _phase(view: View, snapshot: Snapshot, *, starting: bool) -> Phase:
    if view.spec.suspend:
        return Phase.SUSPENDED
    if snapshot.out_of_budget:
        return Phase.BUDGET_EXHAUSTED
    return Phase.PROVISIONING if starting else Phase.RUNNING


def _running(provider: Signal | None) -> tuple[str, str]:
    """Say how the work goes on: with the provider's first credential, or with its fallback."""
    if provider is not None and provider.reason == Reason.PROVIDER_FALLBACK:
        return Reason.PROVIDER_FALLBACK, redact(provider.message)
    return Reason.RUNNING, ""


def assess(view: View, snapshot: Snapshot) -> Assessment:
    """Judge a run whose queue is open and filled."""
    children, run = view.observed.children, view.observed.run.name
    found = troubles(run, children)
    deployment = children.deployments.get(child(run, "agents"))
    ready = deployment.ready if deployment else 0
    agents = _agents(view, found, ready)
    stall = _stall(view, snapshot, found)
    available = agents.state == "True"
    starting = not available and not work_began(snapshot.tasks)
    reconciling = starting and stall is None and not view.spec.suspend
    if view.spec.suspend:
        why: tuple[str, str] = (Reason.SUSPENDED, "spec.suspend is true; set it to false to go on")
    elif stall is not None:
        why = stall
    elif not available:
        why = (agents.reason, agents.message)
    else:
        why = _running(snapshot.signals.get("provider"))
    ready_state = why[0] in _READY
    facts = (
        plan_fact(view),
        queue_fact(view),
        _signal_fact(snapshot.signals.get("repository"), ConditionType.REPOSITORY_READY),
        agents,
        _budget(view, snapshot),
        suspended_fact(suspended=view.spec.suspend),
        Fact(ConditionType.READY, "True" if ready_state else "False", *why),
        Fact(
            ConditionType.RECONCILING,
            "True" if reconciling else "False",
            Reason.PROVISIONING if reconciling else Reason.RUNNING,
        ),
        Fact(ConditionType.STALLED, "True", *stall)
        if stall and not view.spec.suspend
        else Fact(ConditionType.STALLED, "False", Reason.NOT_STALLED),
        Fact(ConditionType.SUCCEEDED, "Unknown", Reason.IN_PROGRESS),
        Fact(ConditionType.FINISHED, "False", Reason.IN_PROGRESS),
    )
    return Assessment(facts, _phase(view, snapshot, starting=starting), ready)

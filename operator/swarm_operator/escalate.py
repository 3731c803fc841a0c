"""Blocked tasks become SwarmEscalations; answers become moves of the queue.

A task that is blocked again after an answer gets a new object with the next number: the old one stays as the
record of the first answer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from swarm_operator.conditions import rfc3339
from swarm_operator.decision import Action, Apply, ApplyStatus, Resolve
from swarm_operator.manifests.build import Json
from swarm_operator.manifests.escalation import escalation, escalation_status
from swarm_operator.observed import EscalationView, Run
from swarmrun.core.task import FINAL, TaskState
from swarmrun.queue.port import Snapshot

#: Objects created in one look; a run with more blocked tasks gets the rest in the next.
MAX_NEW = 50
_OPEN = frozenset(TaskState) - FINAL


def is_open(view: EscalationView) -> bool:
    """Tell whether an escalation waits for an answer or for the answer to be carried out."""
    return not view.resolved


def fail_answer(escalations: Iterable[EscalationView]) -> EscalationView | None:
    """Return an escalation that was answered with Fail."""
    return next((e for e in escalations if is_open(e) and e.resolution == "Fail"), None)


def _resolved(run: Run, view: EscalationView, now: float) -> ApplyStatus:
    manifest = escalation_status(
        run.namespace, view.name, generation=view.generation, resolved_time=rfc3339(now)
    )
    return ApplyStatus(manifest)


def answer_actions(run: Run, snapshot: Snapshot, views: Sequence[EscalationView], now: float) -> list[Action]:
    """Carry out answers, and close escalations whose task is blocked no more.

    A queue that was built again has forgotten what people skipped; the old answers say it.
    """
    states = {t.id: t.state for t in snapshot.tasks}
    actions: list[Action] = [
        Resolve(v.task_id, "skip")
        for v in views
        if v.resolved and v.resolution == "Skip" and states.get(v.task_id) in _OPEN
    ]
    for view in filter(is_open, views):
        blocked = states.get(view.task_id) is TaskState.BLOCKED
        if blocked and view.resolution in {"Retry", "Skip"}:
            actions.append(Resolve(view.task_id, view.resolution.lower(), view.hint))
        if not blocked or view.resolution in {"Retry", "Skip"}:
            actions.append(_resolved(run, view, now))
    return actions


def new_escalations(run: Run, snapshot: Snapshot, views: Sequence[EscalationView]) -> Apply | None:
    """Create an escalation for every blocked task that has no open one."""
    rounds: dict[str, list[EscalationView]] = defaultdict(list)
    for view in views:
        rounds[view.task_id].append(view)
    manifests: list[Json] = []
    for task in snapshot.tasks:
        if task.state is not TaskState.BLOCKED or any(map(is_open, rounds[task.id])):
            continue
        manifests.append(escalation(run.namespace, run.name, run.uid, task, len(rounds[task.id]) + 1))
    return Apply(tuple(manifests[:MAX_NEW])) if manifests else None


def open_count(snapshot: Snapshot, views: Sequence[EscalationView]) -> int:
    """Count tasks that wait for a person."""
    waiting = {t.id for t in snapshot.tasks if t.state is TaskState.BLOCKED}
    return len(waiting | {v.task_id for v in views if is_open(v) and v.task_id in waiting})


def interventions(views: Iterable[EscalationView]) -> int:
    """Count answers that people gave."""
    return sum(1 for v in views if v.resolution)

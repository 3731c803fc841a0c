"""Which events a change of status is worth. Pure, so that an event is posted once per written change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from swarm_operator.conditions import find
from swarm_operator.reasons import Reason
from swarmrun.core.status import ConditionType, Phase, SwarmRunStatus

_BAD_PHASES: Final = frozenset({Phase.FAILED, Phase.BUDGET_EXHAUSTED})
#: Conditions whose turn to False is worth a warning of its own.
_WARN_FALSE: Final = (ConditionType.QUEUE_READY, ConditionType.REPOSITORY_READY)


@dataclass(frozen=True)
class Notice:
    """An event to post."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str


def _progress(status: SwarmRunStatus) -> str:
    if status.tasks is None and status.plan is not None:
        return f"{status.plan.tasks} tasks are planned"
    return f"{status.progress} tasks are completed"


def _audit(before: SwarmRunStatus, after: SwarmRunStatus) -> list[Notice]:
    """Tell that an invariant of the queue broke, whatever was before, and that all hold again."""
    old, new = (
        find(before.conditions, ConditionType.QUEUE_READY),
        find(after.conditions, ConditionType.QUEUE_READY),
    )
    was_broken = old is not None and old.reason == Reason.INVARIANT_BROKEN
    if new is None or was_broken == (new.reason == Reason.INVARIANT_BROKEN):
        return []
    if not was_broken:
        return [Notice("Warning", new.reason, new.message)]
    return [Notice("Normal", "InvariantsHold", new.message)] if new.status == "True" else []


def _crossed(before: SwarmRunStatus, after: SwarmRunStatus) -> list[Notice]:
    """Tell that a soft threshold, or the next one, is reached; the message names it and its model."""
    old, new = (find(s.conditions, ConditionType.BUDGET_AVAILABLE) for s in (before, after))
    if new is None or new.reason != Reason.SOFT_THRESHOLD or (old and old.message == new.message):
        return []
    return [Notice("Normal", new.reason, new.message)]


def _fallback(before: SwarmRunStatus, after: SwarmRunStatus) -> list[Notice]:
    """Tell that the provider's fallback serves, and that it does no more."""
    old, new = (find(s.conditions, ConditionType.READY) for s in (before, after))
    was = old is not None and old.reason == Reason.PROVIDER_FALLBACK
    if new is None or was == (new.reason == Reason.PROVIDER_FALLBACK):
        return []
    if not was:
        return [Notice("Warning", new.reason, new.message)]
    if new.reason != Reason.RUNNING:
        return []
    return [Notice("Normal", "ProviderRestored", "Calls go through spec.provider again")]


def notices(before: SwarmRunStatus, after: SwarmRunStatus) -> list[Notice]:
    """Compare two statuses and tell what people should hear."""
    out: list[Notice] = []
    ready = find(after.conditions, ConditionType.READY)
    old = find(before.conditions, ConditionType.STALLED)
    new = find(after.conditions, ConditionType.STALLED)
    stalled = new is not None and new.status == "True"
    if before.phase != after.phase:
        bad = after.phase in _BAD_PHASES
        # A stall is a warning of its own; a phase that is no fault does not repeat it as good news.
        told = ready.message if ready and (bad or not stalled) else ""
        out.append(Notice("Warning" if bad else "Normal", after.phase.value, told or _progress(after)))
    was = old.reason if old and old.status == "True" else ""
    if new and new.status == "True" and new.reason != was:
        out.append(Notice("Warning", new.reason, new.message))
    elif was and new and new.status == "False":
        out.append(Notice("Normal", "Resumed", f"No longer {was}"))
    for type_ in _WARN_FALSE:
        old, new = find(before.conditions, type_), find(after.conditions, type_)
        turned = new and new.status == "False" and (old is None or old.status == "True")
        if new and turned:
            out.append(Notice("Warning", new.reason, new.message))
    out += _audit(before, after) + _crossed(before, after) + _fallback(before, after)
    if after.escalations > before.escalations:
        count = after.escalations
        out.append(Notice("Warning", "EscalationOpened", f"{count} tasks need a person: kubectl get swe"))
    seen: dict[str, Notice] = {}
    for notice in out:
        seen.setdefault(notice.reason, notice)
    return list(seen.values())

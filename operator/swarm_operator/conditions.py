"""The conditions: a table of what each means, and the rules that keep them steady."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from swarm_operator.reasons import Reason
from swarmrun.core.status import Condition, ConditionType

State = Literal["True", "False", "Unknown"]

#: Longest message of a condition (the API's bound is 8192 characters).
MAX_MESSAGE: Final = 8000


@dataclass(frozen=True)
class Meaning:
    """What a condition means: which state is good, and what holds before anything is known."""

    good: State
    state: State
    reason: Reason


MEANINGS: Final[Mapping[ConditionType, Meaning]] = {
    ConditionType.READY: Meaning("True", "False", Reason.PENDING),
    ConditionType.RECONCILING: Meaning("False", "True", Reason.PENDING),
    ConditionType.STALLED: Meaning("False", "False", Reason.NOT_STALLED),
    ConditionType.SUCCEEDED: Meaning("True", "Unknown", Reason.IN_PROGRESS),
    ConditionType.FINISHED: Meaning("True", "False", Reason.IN_PROGRESS),
    ConditionType.PLAN_READY: Meaning("True", "Unknown", Reason.PENDING),
    ConditionType.QUEUE_READY: Meaning("True", "Unknown", Reason.PENDING),
    ConditionType.REPOSITORY_READY: Meaning("True", "Unknown", Reason.REPOSITORY_UNKNOWN),
    ConditionType.AGENTS_AVAILABLE: Meaning("True", "Unknown", Reason.PENDING),
    ConditionType.BUDGET_AVAILABLE: Meaning("True", "Unknown", Reason.PENDING),
    ConditionType.SUSPENDED: Meaning("False", "False", Reason.NOT_SUSPENDED),
}


@dataclass(frozen=True)
class Fact:
    """A condition as it should be, without its history."""

    type: ConditionType
    state: State
    reason: str
    message: str = ""


def rfc3339(seconds: float) -> str:
    """Render seconds since the epoch as an RFC 3339 time in UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def update(
    before: Sequence[Condition], facts: Iterable[Fact], *, generation: int, now: float
) -> list[Condition]:
    """Merge facts into the stored conditions; a transition time stays while the state holds."""
    stored = {c.type: c for c in before}
    known = {f.type: f for f in facts}
    out = []
    for type_, meaning in MEANINGS.items():
        old = stored.get(type_)
        fact = known.get(type_)
        if fact is None:
            if old is not None:
                out.append(old)
                continue
            fact = Fact(type_, meaning.state, meaning.reason)
        same = old is not None and old.status == fact.state
        out.append(
            Condition(
                type=type_,
                status=fact.state,
                observed_generation=generation,
                last_transition_time=old.last_transition_time if old and same else rfc3339(now),
                reason=fact.reason,
                message=fact.message[:MAX_MESSAGE],
            )
        )
    return out


def find(conditions: Iterable[Condition], type_: ConditionType) -> Condition | None:
    """Return the condition of a type."""
    return next((c for c in conditions if c.type == type_), None)


def is_true(conditions: Iterable[Condition], type_: ConditionType) -> bool:
    """Tell whether a condition is True."""
    found = find(conditions, type_)
    return found is not None and found.status == "True"

"""What is to be done about a run: actions in their order, the status, and when to look again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from swarmrun.core.status import SwarmRunStatus
from swarmrun.core.task import LEAST_RUNGS, Task
from swarmrun.queue.port import RunState, Totals

#: Seconds to the next look without any event: while agents work, and otherwise.
ACTIVE_RESYNC: Final = 5.0
IDLE_RESYNC: Final = 60.0


@dataclass(frozen=True)
class SetFinalizers:
    """Replace the run's finalizers, if it is still the version that was observed."""

    finalizers: tuple[str, ...]


@dataclass(frozen=True)
class Apply:
    """Apply objects by server-side apply, all at once, then `last` (which vouches for them) if given."""

    manifests: tuple[dict[str, Any], ...] = field(repr=False)
    last: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ApplyStatus:
    """Apply another object's status."""

    manifest: dict[str, Any]


@dataclass(frozen=True)
class Delete:
    """Delete objects, given as (apiVersion, kind, name), in this order."""

    objects: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class DeleteRun:
    """Delete the SwarmRun itself: its time to live is over."""


@dataclass(frozen=True)
class EnsureUsers:
    """Create the run's logins at the store."""


@dataclass(frozen=True)
class Open:
    """Open the queue for an epoch that the status already holds."""

    epoch: int
    #: What the run spent before, as the status knows it; None when it never ran.
    spent: Totals | None = None


@dataclass(frozen=True)
class Enqueue:
    """Queue the plan's tasks; those that are queued stay as they are."""

    tasks: Sequence[Task] = field(repr=False)
    plan_hash: str
    max_attempts: int
    #: Ways to try a task before a person looks at a failure that repeats itself.
    rungs: int = LEAST_RUNGS


@dataclass(frozen=True)
class SetState:
    """Let work be claimed, or not."""

    state: RunState


@dataclass(frozen=True)
class SetLimit:
    """Set the budget: money in micro-dollars, tokens (None: any number), and what is kept for repairs."""

    micro_usd: int
    max_tokens: int | None = None
    fix_reserve_micro_usd: int = 0


@dataclass(frozen=True)
class Reap:
    """Collect expired leases and reservations."""


@dataclass(frozen=True)
class Resolve:
    """Carry out a resolution: `retry` or `skip`."""

    task_id: str
    action: str
    hint: str = ""


@dataclass(frozen=True)
class Purge:
    """Remove the run's logins and keys from the store."""


Action = (
    SetFinalizers
    | Apply
    | ApplyStatus
    | Delete
    | DeleteRun
    | EnsureUsers
    | Open
    | Enqueue
    | SetState
    | SetLimit
    | Reap
    | Resolve
    | Purge
)


@dataclass(frozen=True)
class Decision:
    """The outcome of one look at a run."""

    #: Carried out in this order; the first failure ends the visit.
    actions: tuple[Action, ...] = ()
    #: The status after the actions; None leaves it alone.
    status: SwarmRunStatus | None = None
    #: True: look again at once, because the actions or the status opened the next step.
    again: bool = False
    #: True: have the queue audited at the next look, however lately it was.
    audit: bool = False
    #: Seconds to the next look; None means only an event asks for one.
    requeue_after: float | None = IDLE_RESYNC

"""The queue's snapshot as the status shows it. Pure arithmetic and bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from swarm_operator.conditions import rfc3339
from swarmrun.core.money import format_usd, parse_usd
from swarmrun.core.status import (
    ActivityLine,
    AgentCounts,
    Cost,
    FailureLine,
    TaskCounts,
    TestCounts,
)
from swarmrun.core.task import FINAL, TaskState
from swarmrun.queue.port import Snapshot, TaskView, Totals
from swarmrun.telemetry import redact

MAX_LINES: Final = 20
MAX_FAILURE: Final = 500
#: Seconds of the past that the present pace is taken from.
PACE_WINDOW: Final = 1800.0
#: Shortest time that a pace can be told from.
PACE_LEAST: Final = 30.0
_MINUTE: Final = 60
_HOUR: Final = 3600


def task_counts(tasks: Sequence[TaskView]) -> TaskCounts:
    """Count tasks as people see them."""
    by = Counter(t.state for t in tasks)
    return TaskCounts(
        total=len(tasks),
        pending=by[TaskState.PENDING] + by[TaskState.READY],
        in_progress=by[TaskState.LEASED] + by[TaskState.FIXING],
        merging=by[TaskState.SUBMITTED],
        completed=by[TaskState.COMPLETED],
        failed=by[TaskState.SKIPPED],
        blocked=by[TaskState.BLOCKED],
    )


def cost(totals: Totals) -> Cost:
    """Show the ledger."""
    return Cost(
        spent_usd=format_usd(totals.spent_micro_usd),
        reserved_usd=format_usd(totals.reserved_micro_usd),
        limit_usd=format_usd(totals.limit_micro_usd),
        tokens_in=totals.tokens_in + totals.tokens_cached,
        tokens_out=totals.tokens_out,
        tokens_unknown=totals.tokens_unknown,
        calls=totals.calls,
    )


def spent_before(shown: Cost | None) -> Totals | None:
    """Read the ledger back from a status, for a store that lost it."""
    if shown is None:
        return None
    return Totals(
        spent_micro_usd=parse_usd(shown.spent_usd),
        reserved_micro_usd=parse_usd(shown.reserved_usd),
        tokens_in=shown.tokens_in,
        tokens_out=shown.tokens_out,
        tokens_unknown=shown.tokens_unknown,
        calls=shown.calls,
    )


def agent_counts(snapshot: Snapshot, *, desired: int, ready: int) -> AgentCounts:
    """Count agents: ready pods are working or idle."""
    working = min(ready, len({t.agent for t in snapshot.tasks if t.state is TaskState.LEASED}))
    return AgentCounts(desired=desired, ready=ready, working=working, idle=max(0, ready - working))


def seconds_left(snapshot: Snapshot, started: float) -> float | None:
    """Time left at the present pace; None while no pace can be told."""
    now = snapshot.server_time
    since = max(started, now - PACE_WINDOW)
    done = sum(1 for t in snapshot.tasks if t.state is TaskState.COMPLETED and t.finished_at >= since)
    left = sum(1 for t in snapshot.tasks if t.state not in FINAL)
    elapsed = now - since
    if not done or elapsed < PACE_LEAST:
        return None
    return left * elapsed / done


def short_duration(seconds: float) -> str:
    """Render a duration such as 2h15m, 12m, 40s."""
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    hours, minutes = whole // _HOUR, whole % _HOUR // _MINUTE
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m"


def activity(snapshot: Snapshot) -> list[ActivityLine]:
    """Latest activity, newest first."""
    lines = sorted(snapshot.activity, key=lambda a: a.at, reverse=True)[:MAX_LINES]
    return [
        ActivityLine(
            time=rfc3339(a.at),
            agent=a.agent[:64],
            verb=a.verb[:32],
            task=a.task_id[:120],
            title=a.title[:200],
        )
        for a in lines
    ]


def failures(snapshot: Snapshot) -> list[FailureLine]:
    """Latest failure of each task that has one, the most recently worked on first."""
    failed = sorted(
        (t for t in snapshot.tasks if t.failures),
        key=lambda t: max(t.claimed_at, t.submitted_at, t.finished_at),
        reverse=True,
    )[:MAX_LINES]
    return [
        FailureLine(
            task=t.id,
            kind=t.failures[-1].kind.value,
            attempt=t.attempt,
            message=redact(" ".join(filter(None, (t.failures[-1].step, t.failures[-1].message))))[
                :MAX_FAILURE
            ],
        )
        for t in failed
    ]


def mirror(snapshot: Snapshot, *, started: float, desired: int, ready: int) -> dict[str, Any]:
    """All status fields that follow from the snapshot."""
    counts = task_counts(snapshot.tasks)
    tests = snapshot.tests
    left = seconds_left(snapshot, started)
    finish = None if left is None else -(-(snapshot.server_time + left) // _MINUTE) * _MINUTE
    return {
        "tasks": counts,
        "progress": f"{counts.completed}/{counts.total}",
        "agents": agent_counts(snapshot, desired=desired, ready=ready),
        "tests": TestCounts(
            passing=tests.passing,
            total=tests.total,
            summary=f"{tests.passing}/{tests.total}",
            coverage_percent=min(100, int(tests.coverage_percent)),
        ),
        "cost": cost(snapshot.totals),
        "estimated_completion": None if finish is None else rfc3339(finish),
        "eta": "" if left is None else short_duration(-(-left // _MINUTE) * _MINUTE),
        "recent_activity": activity(snapshot),
        "recent_failures": failures(snapshot),
    }

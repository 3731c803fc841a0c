"""What holds for every backend of the queue: its bounds, and the checks on what comes in.

Pure. Backends call these before they touch their store, so that a refused input changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Final

from swarmrun.core.errors import Invalid, Problem, Retryable
from swarmrun.core.task import FREE_KINDS, OUTPUT_LIMIT, Failure, Frozen, Task, TaskState, TaskType
from swarmrun.queue.port import Submission

#: Lines of recent activity that are kept.
ACTIVITY_LENGTH: Final = 20
#: Events that are kept for audit, roughly.
EVENTS_LENGTH: Final = 1_000
#: Evidence kept per task, the newest.
EVIDENCE_LENGTH: Final = 5
#: An agent unseen for so long loses its index.
AGENT_GONE_SECONDS: Final = 120
#: Highest number of agents of one run; bounds the search for a free index.
MAX_AGENTS: Final = 1_000
#: Highest number of tasks in one enqueue; bounds the script that adds them in one piece.
MAX_TASKS: Final = 5_000
#: Expired leases that one claim returns on its way, so that work goes on while the operator is away.
REAP_PER_CLAIM: Final = 16
#: Seconds that claims wait, in a queue that was opened again, for the merger to say what has landed.
LANDED_WAIT_SECONDS: Final = 60
#: Settled calls that are remembered, so that a repeated settlement is recognised.
CALLS_REMEMBERED: Final = 10_000
#: Bytes of one JSON document for the report.
DOCUMENT_LIMIT: Final = 65_536
#: States in which a task has a change set.
KEEPS_CHANGES: Final = frozenset({TaskState.SUBMITTED, TaskState.FIXING})
#: Actions of `QueueAdmin.resolve`.
RESOLUTIONS: Final = ("retry", "skip")


class QueueUnavailable(Retryable):
    """The store does not answer. Whether the last call took effect is unknown; every call may be repeated."""


class QueueFull(Retryable):
    """All agent indexes are taken; one is free again when an agent has been unseen for a while."""


class QueueClosed(Retryable):
    """The run has no open queue: not opened yet, lost, or purged."""


class CostLine(Frozen):
    """What the calls of one model for one task type came to. Counts are tokens, money micro-dollars."""

    model: str
    task_type: TaskType
    calls: int = 0
    #: Calls whose usage never became known; their whole hold counts as cost.
    unknown: int = 0
    cost_micro_usd: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0


def clip(failure: Failure) -> Failure:
    """Keep the tail of a failure's output, at most `OUTPUT_LIMIT` characters."""
    if len(failure.output) <= OUTPUT_LIMIT:
        return failure
    return failure.model_copy(update={"output": failure.output[-OUTPUT_LIMIT:]})


def spends_attempt(failure: Failure) -> bool:
    """Tell whether somebody's work was judged."""
    return failure.kind not in FREE_KINDS


def check_plan(tasks: Sequence[Task], max_attempts: int) -> None:
    """Refuse a batch that can never end: too long, ids twice, cycles, fixes out of nowhere.

    Raises:
        Invalid: with every problem found.
    """
    problems: list[Problem] = []
    if len(tasks) > MAX_TASKS:
        problems.append(
            Problem(
                path="tasks",
                value=str(len(tasks)),
                rule=f"at most {MAX_TASKS} tasks at once",
                fix="split the project",
            )
        )
    if max_attempts < 1:
        problems.append(
            Problem(path="maxAttempts", value=str(max_attempts), rule="must be at least 1", fix="raise it")
        )
    seen: set[str] = set()
    for task in tasks:
        if task.id in seen:
            problems.append(
                Problem(
                    path=f"tasks[{task.id}]", value=task.id, rule="ids are unique", fix="rename one of them"
                )
            )
        seen.add(task.id)
        if task.fix_of is not None:
            problems.append(
                Problem(
                    path=f"tasks[{task.id}].fix_of",
                    value=task.fix_of,
                    rule="repairs arise from a rejected submission only",
                    fix="leave it out of the plan",
                )
            )
    problems += _cycles(tasks)
    if problems:
        raise Invalid(problems)


def _cycles(tasks: Sequence[Task]) -> list[Problem]:
    try:
        TopologicalSorter({task.id: task.depends_on for task in tasks}).prepare()
    except CycleError as error:
        loop = " -> ".join(error.args[1])
        return [Problem(path="tasks", value=loop, rule="dependencies have no cycle", fix="cut one of them")]
    return []


def unknown_dependency(task_id: str, dependency: str) -> Invalid:
    """Build the error for a task that waits for one nobody knows."""
    return Invalid(
        [
            Problem(
                path=f"tasks[{task_id}].depends_on",
                value=dependency,
                rule="must name a task of this plan",
                fix="add that task or drop the dependency",
            )
        ]
    )


def unknown_action(action: str) -> Invalid:
    """Build the error for a resolution nobody knows."""
    return Invalid(
        [
            Problem(
                path="resolution",
                value=action,
                rule=f"must be one of {', '.join(RESOLUTIONS)}",
                fix="choose one of them",
            )
        ]
    )


def occupied_fix(fix_id: str) -> Invalid:
    """Build the error for a repair whose id belongs to another task."""
    return Invalid(
        [
            Problem(
                path="fix.id", value=fix_id, rule="must be free or a closed repair", fix="choose another id"
            )
        ]
    )


def check_fix(submission: Submission, fix: Task | None) -> None:
    """Refuse a repair that does not belong to the rejected submission.

    Raises:
        Invalid: the fix names another target or is no fix_bug task.
    """
    if fix is None or submission.task.fix_of is not None:
        return
    if fix.fix_of != submission.task.id or fix.type is not TaskType.FIX_BUG:
        raise Invalid(
            [
                Problem(
                    path="fix.fix_of",
                    value=f"{fix.type} of {fix.fix_of}",
                    rule=f"must be a fix_bug task of {submission.task.id}",
                    fix="set type and fix_of",
                )
            ]
        )


def check_commits(submission: Submission, commits: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ids that land together, the submission's own first.

    Raises:
        Invalid: a commit is missing.
    """
    ids = (submission.task.id, *(below.task.id for below in submission.stack))
    problems = [
        Problem(path=f"commits[{task_id}]", value="nothing", rule="must name its commit", fix="add it")
        for task_id in ids
        if not commits.get(task_id)
    ]
    if problems:
        raise Invalid(problems)
    return ids


def check_landed(commits: Mapping[str, str]) -> None:
    """Refuse more tasks and repairs than a run can have; bounds the script that completes them.

    Raises:
        Invalid: there are too many.
    """
    if len(commits) > 2 * MAX_TASKS:
        rule = f"at most {2 * MAX_TASKS} tasks at once"
        raise Invalid([Problem(path="commits", value=str(len(commits)), rule=rule, fix="name fewer")])


def check_money(name: str, micro_usd: int) -> None:
    """Refuse negative or unreadably large amounts (beyond 2**53 Lua's numbers lose micro-dollars).

    Raises:
        Invalid: the amount is out of range.
    """
    if not 0 <= micro_usd < 2**53:
        raise Invalid(
            [Problem(path=name, value=str(micro_usd), rule="must lie in 0..2^53", fix="correct the amount")]
        )


def check_tokens(name: str, tokens: int) -> None:
    """Refuse negative or unreadably large numbers of tokens.

    Raises:
        Invalid: the number is out of range.
    """
    if not 0 <= tokens < 2**53:
        rule = "must be a number of tokens in 0..2^53"
        raise Invalid([Problem(path=name, value=str(tokens), rule=rule, fix="correct the number")])


def check_limits(limit_micro_usd: int, max_tokens: int | None, fix_reserve_micro_usd: int) -> None:
    """Refuse limits that are out of range.

    Raises:
        Invalid: one of them is.
    """
    check_money("limit", limit_micro_usd)
    check_money("fix reserve", fix_reserve_micro_usd)
    check_tokens("most tokens", max_tokens or 0)


def check_document(name: str, text: str) -> None:
    """Refuse a document that is too long for the report.

    Raises:
        Invalid: more than `DOCUMENT_LIMIT` bytes.
    """
    size = len(text.encode())
    if size > DOCUMENT_LIMIT:
        raise Invalid(
            [
                Problem(
                    path=f"documents[{name}]",
                    value=f"{size} bytes",
                    rule=f"at most {DOCUMENT_LIMIT} bytes",
                    fix="keep less detail",
                )
            ]
        )

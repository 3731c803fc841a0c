"""Tasks: what an agent is asked to do, and the one table of their lifecycle.

Theory of operation. A plan is a set of `Task` values. The queue keeps one `TaskState` per task and
changes it only along `TRANSITIONS`; everything that people see (counts, phases, progress) is derived
from those states.

    PENDING ──deps landed──▶ READY ──claim──▶ LEASED ──submit──▶ SUBMITTED ──land──▶ COMPLETED
                               ▲  ▲             │ fail, release,      │  │
                               │  └─────────────┘ lease expired       │  └─gate red─▶ FIXING ─▶ COMPLETED
                               └───────────── conflict, returned ─────┘                │
    any open state ──attempts exhausted──▶ BLOCKED ──retry──▶ READY        (fix failed)┘
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """Base of every value that crosses a process border: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskType(StrEnum):
    """The kinds of work. The value is the wire format and the metric label."""

    SCAFFOLD = "scaffold"
    IMPLEMENT_DATABASE = "implement_database"
    IMPLEMENT_ENDPOINT = "implement_endpoint"
    WRITE_TESTS = "write_tests"
    IMPLEMENT_REQUIREMENT = "implement_requirement"
    WRITE_DOCS = "write_docs"
    FIX_BUG = "fix_bug"
    REFACTOR = "refactor"


#: Rank among equally critical tasks, 0 first. Repairs outrank all: they hold back finished work.
TYPE_RANK: Final[dict[TaskType, int]] = {
    TaskType.FIX_BUG: 0,
    TaskType.SCAFFOLD: 1,
    TaskType.IMPLEMENT_DATABASE: 2,
    TaskType.IMPLEMENT_ENDPOINT: 3,
    TaskType.WRITE_TESTS: 4,
    TaskType.IMPLEMENT_REQUIREMENT: 5,
    TaskType.WRITE_DOCS: 6,
    TaskType.REFACTOR: 7,
}


class Specialization(StrEnum):
    """What an agent prefers to do. An affinity, never a wall."""

    API_IMPLEMENTATION = "api_implementation"
    DATABASE_SCHEMA = "database_schema"
    TESTING = "testing"
    DOCUMENTATION = "documentation"


#: Task types that each specialization takes first.
AFFINITY: Final[dict[Specialization, frozenset[TaskType]]] = {
    Specialization.API_IMPLEMENTATION: frozenset(
        {
            TaskType.SCAFFOLD,
            TaskType.IMPLEMENT_ENDPOINT,
            TaskType.IMPLEMENT_REQUIREMENT,
            TaskType.FIX_BUG,
            TaskType.REFACTOR,
        }
    ),
    Specialization.DATABASE_SCHEMA: frozenset({TaskType.IMPLEMENT_DATABASE}),
    Specialization.TESTING: frozenset({TaskType.WRITE_TESTS, TaskType.FIX_BUG}),
    Specialization.DOCUMENTATION: frozenset({TaskType.WRITE_DOCS}),
}


def specialization_of(agent_index: int) -> Specialization:
    """Give agent `agent_index` (0-based) its specialization, round robin."""
    order = list(Specialization)
    return order[agent_index % len(order)]


class TaskState(StrEnum):
    """Where a task stands. Exactly one per task, at any time."""

    PENDING = "pending"
    READY = "ready"
    LEASED = "leased"
    SUBMITTED = "submitted"
    FIXING = "fixing"
    COMPLETED = "completed"
    BLOCKED = "blocked"
    SKIPPED = "skipped"


#: Every legal move. Queue backends refuse all others.
TRANSITIONS: Final[dict[TaskState, frozenset[TaskState]]] = {
    TaskState.PENDING: frozenset({TaskState.READY, TaskState.SKIPPED}),
    TaskState.READY: frozenset({TaskState.LEASED, TaskState.SKIPPED, TaskState.COMPLETED}),
    TaskState.LEASED: frozenset({TaskState.READY, TaskState.SUBMITTED, TaskState.BLOCKED, TaskState.SKIPPED}),
    TaskState.SUBMITTED: frozenset(
        {TaskState.COMPLETED, TaskState.FIXING, TaskState.READY, TaskState.BLOCKED, TaskState.SKIPPED}
    ),
    TaskState.FIXING: frozenset({TaskState.COMPLETED, TaskState.READY, TaskState.BLOCKED, TaskState.SKIPPED}),
    TaskState.BLOCKED: frozenset({TaskState.READY, TaskState.SKIPPED}),
    TaskState.COMPLETED: frozenset(),
    TaskState.SKIPPED: frozenset(),
}

#: States after which a task needs nobody any more.
FINAL: Final[frozenset[TaskState]] = frozenset({TaskState.COMPLETED, TaskState.SKIPPED})

TASK_ID_PATTERN: Final = r"^[a-z0-9]([a-z0-9.-]{0,118}[a-z0-9])?$"


class Task(Frozen):
    """One unit of work of a plan. Same project, same tasks, same ids."""

    id: str = Field(pattern=TASK_ID_PATTERN)
    type: TaskType
    title: str = Field(max_length=200)
    #: Resource of the specification this task belongs to, if any.
    resource: str | None = None
    depends_on: tuple[str, ...] = ()
    #: Globs of the paths this task may write; see `swarmrun.core.ownership`.
    owned: tuple[str, ...] = ()
    #: Globs of the paths worth reading for this task, most useful first.
    reads: tuple[str, ...] = ()
    #: The slice of the specification this task needs; JSON object as in docs/contracts.md.
    spec: dict[str, Any] = Field(default_factory=dict)
    #: Estimated effort in model-call units; weighs the critical path.
    weight: int = Field(default=1, ge=1, le=100)
    #: Higher is more urgent. The plan sets it: longest remaining path first, then the type's rank.
    priority: int = 0
    #: Test files (globs) the gates must find and pass once this task has landed.
    tests: tuple[str, ...] = ()
    #: fix_bug only: the task whose red change set this one repairs.
    fix_of: str | None = None
    #: write_tests only: the task whose code the tests exercise.
    subject: str | None = None


class FailureKind(StrEnum):
    """Why an attempt did not land."""

    GATE = "gate"
    CHECK = "check"
    FORMAT = "format"
    OWNERSHIP = "ownership"
    MODEL = "model"
    CONFLICT = "conflict"
    TIMEOUT = "timeout"
    SECRET = "secret"  # noqa: S105 — a kind of failure, not a password
    INFRASTRUCTURE = "infrastructure"


#: Kinds that spend no attempt of the task: nobody's work was judged.
FREE_KINDS: Final[frozenset[FailureKind]] = frozenset({FailureKind.INFRASTRUCTURE})

#: Rungs of the ladder without stronger models: as planned, then with more context.
LEAST_RUNGS: Final = 2
OUTPUT_LIMIT: Final = 16_384


class Failure(Frozen):
    """Evidence of one failed attempt. `output` keeps the tail, at most `OUTPUT_LIMIT` characters."""

    kind: FailureKind
    message: str = Field(max_length=1000)
    output: str = ""
    step: str = ""

    @property
    def fingerprint(self) -> str:
        """Identify the failure apart from times, addresses and counters; 16 hex digits."""
        stable = re.sub(
            r"0x[0-9a-f]+|\d+(\.\d+)?", "#", f"{self.kind}\n{self.step}\n{self.message}\n{self.output}"
        )
        return hashlib.sha256(stable.encode()).hexdigest()[:16]


class FileEdit(Frozen):
    """One file of a change set: the whole new text, or its deletion."""

    path: str = Field(max_length=240)
    action: Literal["write", "delete"] = "write"
    content: str = Field(default="", max_length=262_144)


class ChangeSet(Frozen):
    """What an attempt wants on the branch: whole files against `base`."""

    base: str = Field(description="Commit the agent worked on, 40 hex digits, or empty for an empty branch.")
    edits: tuple[FileEdit, ...] = Field(min_length=1, max_length=200)
    summary: str = Field(default="", max_length=2000)


class Lease(Frozen):
    """Proof of a claim. Spending, heartbeat and submit demand it; `token` is `epoch-counter`."""

    task_id: str
    token: str = Field(pattern=r"^\d{1,10}-\d{1,15}$")
    agent: str
    attempt: int = Field(ge=1)
    #: Seconds the lease lives after each heartbeat, by server time.
    ttl_seconds: int = Field(ge=1)


class Reply(StrEnum):
    """Answer of every fenced call. STALE and DUP change nothing."""

    OK = "OK"
    DUP = "DUP"
    STALE = "STALE"

"""The status of a SwarmRun: counters, conditions and the latest few lines. Details live elsewhere."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Phase(StrEnum):
    """A summary for people's eyes. Programs read conditions."""

    PENDING = "Pending"
    PLANNING = "Planning"
    AWAITING_APPROVAL = "AwaitingApproval"
    PROVISIONING = "Provisioning"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    FINISHING = "Finishing"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


TERMINAL: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED})


class ConditionType(StrEnum):
    """Every condition, present from the first visit.

    Reconciling, Stalled and Suspended are bad when True, all others good.
    """

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SUCCEEDED = "Succeeded"
    FINISHED = "Finished"
    PLAN_READY = "PlanReady"
    QUEUE_READY = "QueueReady"
    REPOSITORY_READY = "RepositoryReady"
    AGENTS_AVAILABLE = "AgentsAvailable"
    BUDGET_AVAILABLE = "BudgetAvailable"
    SUSPENDED = "Suspended"


class Status(BaseModel):
    """Base of everything the operator writes into a status."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )


class Condition(Status):
    """A condition as in meta/v1."""

    type: Annotated[str, Field(max_length=316)]
    """Type of the condition."""
    status: Literal["True", "False", "Unknown"]
    """Status of the condition."""
    observed_generation: int = Field(default=0, ge=0)
    """Generation of the spec that this condition was computed for."""
    last_transition_time: str = Field(max_length=30, json_schema_extra={"format": "date-time"})
    """When status last changed."""
    reason: str = Field(max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    """Why, in one CamelCase word."""
    message: str = Field(default="", max_length=8192)
    """Why, for people."""


class PlanStatus(Status):
    """The plan in figures."""

    hash: str = Field(default="", max_length=64)
    """Identity of the plan: same project, same hash."""
    tasks: int = Field(default=0, ge=0)
    """Planned tasks, repairs not counted."""
    critical_path: int = Field(default=0, ge=0)
    """Tasks on the longest chain of dependencies."""
    estimated_cost_low_usd: str = Field(default="", alias="estimatedCostLowUSD", max_length=24)
    """Low estimate of the cost in US dollars."""
    estimated_cost_high_usd: str = Field(default="", alias="estimatedCostHighUSD", max_length=24)
    """High estimate of the cost in US dollars."""


class TaskCounts(Status):
    """Tasks by state; the states sum up to total."""

    total: int = Field(default=0, ge=0)
    """All tasks, repairs included."""
    pending: int = Field(default=0, ge=0)
    """Waiting for an agent or for other tasks."""
    in_progress: int = Field(default=0, ge=0)
    """Held by an agent, or waiting for a repair."""
    merging: int = Field(default=0, ge=0)
    """Submitted, waiting for the merge queue."""
    completed: int = Field(default=0, ge=0)
    """On the target branch."""
    failed: int = Field(default=0, ge=0)
    """Skipped after failure."""
    blocked: int = Field(default=0, ge=0)
    """Waiting for a person."""


class AgentCounts(Status):
    """Agents by what they do."""

    desired: int = Field(default=0, ge=0)
    """Wanted agent pods."""
    ready: int = Field(default=0, ge=0)
    """Agent pods that are ready."""
    working: int = Field(default=0, ge=0)
    """Agents that hold a task."""
    idle: int = Field(default=0, ge=0)
    """Agents that wait for work."""


class TestCounts(Status):
    """Figures of the last green gate run."""

    __test__ = False

    passing: int = Field(default=0, ge=0)
    """Passing tests."""
    total: int = Field(default=0, ge=0)
    """All tests."""
    summary: str = Field(default="", max_length=24)
    """passing/total, for columns."""
    coverage_percent: int = Field(default=0, ge=0, le=100)
    """Line coverage, whole percent."""


class Cost(Status):
    """Money and tokens of the run, from the ledger."""

    spent_usd: str = Field(default="0.00", alias="spentUSD", max_length=24)
    """Spent US dollars."""
    reserved_usd: str = Field(default="0.00", alias="reservedUSD", max_length=24)
    """US dollars held for calls in flight."""
    limit_usd: str = Field(default="0.00", alias="limitUSD", max_length=24)
    """The budget in US dollars."""
    tokens_in: int = Field(default=0, ge=0)
    """Input tokens, cached ones included."""
    tokens_out: int = Field(default=0, ge=0)
    """Output tokens."""
    tokens_unknown: int = Field(default=0, ge=0)
    """Most tokens that calls may have used whose usage never became known; they count against maxTokens."""
    calls: int = Field(default=0, ge=0)
    """Model calls."""


class ActivityLine(Status):
    """Something that happened to a task."""

    time: str = Field(max_length=30, json_schema_extra={"format": "date-time"})
    """When."""
    agent: str = Field(default="", max_length=64)
    """Agent, or empty for the merge queue."""
    verb: str = Field(max_length=32)
    """What: claimed, submitted, completed, failed, blocked, returned, fixing."""
    task: str = Field(max_length=120)
    """Task id."""
    title: str = Field(default="", max_length=200)
    """Task title."""


class FailureLine(Status):
    """The latest failure of a task."""

    task: str = Field(max_length=120)
    """Task id."""
    kind: str = Field(max_length=32)
    """Kind of failure."""
    attempt: int = Field(default=0, ge=0)
    """Attempt, 1-based."""
    message: str = Field(default="", max_length=1000)
    """What went wrong."""


class ObjectRef(Status):
    """A reference to an object in the run's namespace."""

    name: str = Field(max_length=253)
    """Name of the object."""


class SwarmRunStatus(Status):
    """What the operator observed. Small and coarse: at most one write per five seconds, only on change."""

    observed_generation: int = Field(default=-1, ge=-1)
    """Generation of the spec that this status is about; -1 before the first visit."""
    phase: Phase = Phase.PENDING
    """Summary for people; programs read conditions."""
    conditions: list[Condition] = Field(
        default=[],
        max_length=20,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    """Conditions, all present from the first visit."""
    plan: PlanStatus | None = None
    """The plan in figures."""
    tasks: TaskCounts | None = None
    """Tasks by state."""
    progress: str = Field(default="0/0", max_length=24)
    """completed/total."""
    agents: AgentCounts | None = None
    """Agents by what they do."""
    tests: TestCounts | None = None
    """Tests of the last green gate run."""
    cost: Cost | None = None
    """Money and tokens."""
    queue_epoch: int = Field(default=0, ge=0)
    """Fence of the queue: rises whenever the store was lost or rolled back."""
    estimated_completion: str | None = Field(
        default=None, max_length=30, json_schema_extra={"format": "date-time"}
    )
    """When the run will end at the present pace."""
    eta: str = Field(default="", max_length=16)
    """Time left at the present pace, such as 2h15m, for columns."""
    recent_activity: list[ActivityLine] = Field(default=[], max_length=20)
    """Latest activity, newest first."""
    recent_failures: list[FailureLine] = Field(default=[], max_length=20)
    """Latest failures, newest first."""
    escalations: int = Field(default=0, ge=0)
    """Open SwarmEscalations."""
    selector: str = Field(default="", max_length=512)
    """Label selector of the agent pods, for the scale subresource."""
    report_ref: ObjectRef | None = None
    """ConfigMap with the execution report."""
    start_time: str | None = Field(default=None, max_length=30, json_schema_extra={"format": "date-time"})
    """When the run first had a plan."""
    completion_time: str | None = Field(
        default=None, max_length=30, json_schema_extra={"format": "date-time"}
    )
    """When the run ended."""


class SwarmEscalationStatus(Status):
    """What became of an escalation."""

    observed_generation: int = Field(default=-1, ge=-1)
    """Generation of the spec that this status is about."""
    state: Literal["Open", "Resolved"] = "Open"
    """Open until a resolution was carried out."""
    resolved_time: str | None = Field(default=None, max_length=30, json_schema_extra={"format": "date-time"})
    """When the resolution was carried out."""

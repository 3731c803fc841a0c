"""Every reason that a condition of ours can carry, in one place."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reasons, by the phase of a run's life."""

    # Input
    INVALID_SPEC = "InvalidSpec"
    INVALID_PROJECT = "InvalidProject"
    UNSUPPORTED_STACK = "UnsupportedStack"
    SPEC_TOO_LARGE = "SpecTooLarge"
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
    PRICE_UNKNOWN = "PriceUnknown"
    PLANNED = "Planned"
    AWAITING_APPROVAL = "AwaitingApproval"
    # Start
    PENDING = "Pending"
    PROVISIONING = "Provisioning"
    QUEUE_OPENING = "Opening"
    QUEUE_OPEN = "Open"
    QUEUE_UNAVAILABLE = "QueueUnavailable"
    QUEUE_LOST = "QueueLost"
    INVARIANT_BROKEN = "InvariantBroken"
    # Work
    RUNNING = "Running"
    PROVIDER_FALLBACK = "ProviderFallback"
    WAITING_FOR_AGENTS = "WaitingForAgents"
    AGENTS_READY = "AgentsReady"
    SCALED_TO_ZERO = "ScaledToZero"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 — a reason's name, no secret
    SECRET_KEY_NOT_FOUND = "SecretKeyNotFound"  # noqa: S105 — a reason's name, no secret
    PODS_REFUSED = "PodsRefused"
    REPOSITORY_OPENED = "RepositoryReady"
    REPOSITORY_UNKNOWN = "NotContactedYet"
    WITHIN_BUDGET = "WithinBudget"
    SOFT_THRESHOLD = "SoftThreshold"
    BUDGET_EXHAUSTED = "BudgetExhausted"
    TASKS_BLOCKED = "TasksBlocked"
    SUSPENDED = "Suspended"
    NOT_SUSPENDED = "NotSuspended"
    NOT_STALLED = "Progressing"
    # End
    IN_PROGRESS = "InProgress"
    FINISHING = "Finishing"
    ALL_TASKS_COMPLETED = "AllTasksCompleted"
    COMPLETED_WITH_SKIPS = "CompletedWithSkippedTasks"
    COVERAGE_TOO_LOW = "CoverageTooLow"
    CANCELLED = "Cancelled"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    ESCALATION_FAILED = "EscalationAnsweredFail"

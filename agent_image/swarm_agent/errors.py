"""How an attempt can end without a change set; each says what the queue is to be told.

SwarmError
├── LeaseLostError        nothing: another holds the task, or nobody may
├── GiveBackError         release: nobody's work was judged, no attempt is spent
├── AttemptFailedError    fail: with the evidence, one attempt is spent
├── HubRefusedError       the hub will not take this request, however often it is sent
└── Retryable
    ├── HubUnavailable
    └── ModelUnavailable
"""

from __future__ import annotations

from swarmrun.core.errors import Retryable, SwarmError
from swarmrun.core.prompt import tail
from swarmrun.core.task import OUTPUT_LIMIT, Failure, FailureKind

_MESSAGE_LIMIT = 1000


class LeaseLostError(SwarmError):
    """The lease is stale. Stop at once; whatever is sent would be refused."""


class GiveBackError(SwarmError):
    """The attempt cannot go on for reasons that are not the task's."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason[:_MESSAGE_LIMIT]


class AttemptFailedError(SwarmError):
    """The attempt was judged and failed."""

    def __init__(self, kind: FailureKind, message: str, *, output: str = "", step: str = "") -> None:
        super().__init__(message)
        self.failure = Failure(
            kind=kind, message=message[:_MESSAGE_LIMIT], output=tail(output, OUTPUT_LIMIT), step=step
        )


class HubRefusedError(SwarmError):
    """The hub answered 4xx: the request is wrong."""


class HubUnavailable(Retryable):
    """The hub cannot be reached or answered 5xx."""


class ModelUnavailable(Retryable):
    """The model may answer later. `retry_after` is what the server asked for, in seconds."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after

"""What the dialects share: the values of a call, and what each failure of one means. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from swarm_agent.errors import AttemptFailedError, GiveBackError, LeaseLostError, ModelUnavailable
from swarmrun.core.errors import SwarmError
from swarmrun.core.task import FailureKind, Lease
from swarmrun.telemetry import redact

#: Seconds without a byte from the hub. Reasoning models are silent for minutes before the first one.
READ_SECONDS: Final = 300.0
CONNECT_SECONDS: Final = 10.0
#: Characters of an answer; beyond, the server ignores the limit on output and is cut off.
MAX_ANSWER: Final = 1_000_000


class Turn(NamedTuple):
    """One message of the conversation after the system message."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `max_tokens` limits the output."""

    lease: Lease
    model: str
    system: str
    turns: tuple[Turn, ...]
    max_tokens: int


class Answer(NamedTuple):
    """A complete answer, or one that the output limit has `cut`."""

    text: str
    cut: bool


class Model(Protocol):
    """A model behind the hub."""

    async def complete(self, request: Request) -> Answer:
        """Make one call, without retries.

        Raises:
            ModelUnavailable: it may work later.
            LeaseLostError, GiveBackError, AttemptFailedError: it will not.
        """

    async def aclose(self) -> None:
        """Close the connections."""


def meaning(status: int, code: str, message: str, headers: Mapping[str, str]) -> SwarmError:
    """Say what an error of the hub, or of the provider behind it, means for the attempt."""
    shown = f"the model call was answered {status} {code}: {redact(message)[:500]}"
    if status == 402:  # noqa: PLR2004 — Payment Required
        return GiveBackError("budget")
    if status == 409 and code == "stale_lease":  # noqa: PLR2004 — Conflict
        return LeaseLostError(shown)
    if code == "run_paused":
        return GiveBackError("paused")
    if status in (401, 403):
        return GiveBackError(shown)
    if status in (408, 409, 425, 429) or status >= 500:  # noqa: PLR2004 — HTTP's own border
        return ModelUnavailable(shown, retry_after=retry_after(headers))
    return AttemptFailedError(FailureKind.MODEL, shown)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how long the server wants us to wait, in seconds. A date counts as nothing."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    return None


def refused(detail: str) -> AttemptFailedError:
    """Build the error of an answer that was declined. The call is never repeated as it is."""
    return AttemptFailedError(FailureKind.MODEL, f"the model refused to answer: {detail[:300]}")

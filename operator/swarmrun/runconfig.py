"""The run's configuration as hub, merger and agents read it, and the wire values of the hub's HTTP API.

The operator renders `RunConfig` to JSON in the ConfigMap `<run>-config`; the pods mount it at
/etc/swarmrun/run.json. It holds no secret.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field

from swarmrun.core.task import LEAST_RUNGS, ChangeSet, Failure, Frozen, TaskType
from swarmrun.queue.port import Claimed, Empty, Totals

CONFIG_PATH = Path("/etc/swarmrun/run.json")

ProviderType = Literal["OpenAI", "Anthropic", "OpenAICompatible"]


class PriceOverride(Frozen):
    """US dollars per million tokens of one model; wins over the built-in table. 0 is allowed."""

    model: str
    input_usd: Decimal
    output_usd: Decimal
    cache_read_usd: Decimal | None = None
    cache_write_usd: Decimal | None = None


class ProviderEndpoint(Frozen):
    """Where model calls go. `base_url` has no trailing slash; empty means the vendor's own."""

    type: ProviderType
    base_url: str = ""
    #: The first entry of a model counts.
    prices: tuple[PriceOverride, ...] = ()
    #: What the run's models are called there, where the names differ.
    models: dict[str, str] = Field(default_factory=dict)


class ProviderConfig(ProviderEndpoint):
    """The provider, and where calls go while it takes none; both are of one type."""

    fallback: ProviderEndpoint | None = None


class SoftThreshold(Frozen):
    """From `percent` of the limit on, spent and reserved together, `model` does the work."""

    percent: int
    model: str


class ModelPolicy(Frozen):
    """Which model does what: per type, else the default.

    The ladder: the first attempt as planned, the second with more context, each later one with the next
    stronger model of `escalation`; then a person. A soft threshold replaces what is planned, not the ladder's
    stronger models.
    """

    default: str
    by_task_type: dict[TaskType, str] = Field(default_factory=dict)
    escalation: tuple[str, ...] = ()
    #: By increasing percent.
    soft_thresholds: tuple[SoftThreshold, ...] = ()

    def models(self) -> tuple[str, ...]:
        """Return every model that the run may call, each once; all of them need a price."""
        cheaper = (t.model for t in self.soft_thresholds)
        return tuple(dict.fromkeys([self.default, *self.by_task_type.values(), *self.escalation, *cheaper]))

    def threshold(self, totals: Totals) -> SoftThreshold | None:
        """Return the highest soft threshold that the ledger has reached."""
        committed, limit = totals.spent_micro_usd + totals.reserved_micro_usd, totals.limit_micro_usd
        reached = [t for t in self.soft_thresholds if committed * 100 >= limit * t.percent > 0]
        return reached[-1] if reached else None

    def model_for(self, task_type: TaskType, attempt: int, totals: Totals | None = None) -> str:
        """Choose the model of one attempt (1-based); without the ledger's sums, as if nothing were spent."""
        if attempt > LEAST_RUNGS and self.escalation:
            return self.escalation[min(attempt - LEAST_RUNGS, len(self.escalation)) - 1]
        reached = None if totals is None else self.threshold(totals)
        return reached.model if reached else self.by_task_type.get(task_type, self.default)


class GateOverrides(Frozen):
    """The user's wishes for the gates: commands that run after the profile's own, and the least coverage."""

    commands: tuple[str, ...] = ()
    coverage_percent: float | None = None


class RunConfig(Frozen):
    """Everything a run's pods need to know that is no secret."""

    namespace: str
    name: str
    uid: str
    project_name: str
    profile: str
    plan_hash: str
    provider: ProviderConfig
    models: ModelPolicy
    repository_url: str
    branch: str
    max_attempts: int = 3
    repair_rounds: int = 2
    lease_seconds: int = 60
    task_timeout_seconds: int = 900
    max_output_tokens: int = 16_000
    gates: GateOverrides = GateOverrides()
    hub_url: str = ""
    merger_url: str = ""
    gates_url: str = ""
    sandbox_url: str = "http://127.0.0.1:8081"


def load_run_config(path: Path = CONFIG_PATH) -> RunConfig:
    """Read and validate the mounted configuration."""
    return RunConfig.model_validate_json(path.read_bytes())


# ── the hub's HTTP API: JSON bodies, `Authorization: Bearer <agent token>` ──────────────────────────────


class ClaimRequest(Frozen):
    """POST /v1/claim. Long poll: the hub answers within `wait_seconds`."""

    pod: str
    wait_seconds: float = Field(default=20.0, ge=0, le=60)


class ClaimResponse(Frozen):
    """Either a claim, with the model to use, or the reason why there is none."""

    claimed: Claimed | None = None
    empty: Empty | None = None
    model: str = ""
    dialect: Literal["openai", "anthropic"] = "openai"


class LeaseRequest(Frozen):
    """POST /v1/heartbeat; POST /v1/release with a reason."""

    task_id: str
    token: str
    reason: str = ""


class SubmitRequest(Frozen):
    """POST /v1/submit."""

    task_id: str
    token: str
    change_set: ChangeSet


class FailRequest(Frozen):
    """POST /v1/fail."""

    task_id: str
    token: str
    failure: Failure


class ReplyResponse(Frozen):
    """Answer to heartbeat, submit, fail and release. HTTP 200 for OK and DUP, 409 for STALE."""

    reply: Literal["OK", "DUP", "STALE"]

"""The Kubernetes API of the product: `SwarmRun` as it is written by people.

One source for three things: validation of manifests in the CLI and the operator, the CRD's OpenAPI schema
(`swarmrun.core.crd`), and its field descriptions (`kubectl explain`), which are the docstrings below.
Conventions: Kubernetes API conventions (sig-architecture), names of batch/v1 Job where a field means the
same.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field

from swarmrun.core.api_base import (
    BRANCH_PATTERN,
    URL_PATTERN,
    ConfigMapKeyRef,
    ModelName,
    ObjectName,
    PositiveUsd,
    SecretRef,
    Spec,
    explained,
    rule,
    with_rules,
)
from swarmrun.core.api_provider import Provider
from swarmrun.core.task import TaskType


class Repository(Spec):
    """The git repository that the swarm builds in. Only the run's merger can push to it."""

    url: str = Field(
        min_length=1,
        max_length=512,
        pattern=URL_PATTERN,
        json_schema_extra=explained(
            URL_PATTERN,
            "must be https://host/path, ssh://user@host/path, user@host:path, or http:// to a host ending in .svc; "
            "credentials belong into credentialsSecretRef",
        ),
    )
    """URL: https://host/path, ssh://user@host/path or user@host:path; http:// only for hosts ending in .svc.
    No password inside.
    """
    branch: str = Field(
        default="main",
        min_length=1,
        max_length=200,
        pattern=BRANCH_PATTERN,
        json_schema_extra=explained(
            BRANCH_PATTERN,
            "must be a branch name of letters, digits and . _ / -, not starting with - or /",
            rule(
                "!self.contains('..') && !self.contains('//') && !self.endsWith('/') && !self.endsWith('.lock')",
                "must be a valid branch name: no '..', no '//', no trailing '/' or '.lock'",
            ),
        ),
    )
    """Target branch. It must exist, unless the repository is empty."""
    credentials_secret_ref: SecretRef | None = None
    """Secret with ssh-privatekey (and known_hosts) or username and password. Only the merger mounts it."""


class Budget(Spec):
    """Limits that no run exceeds. Each model call reserves its worst case first."""

    max_cost_usd: PositiveUsd = Field(alias="maxCostUSD")
    """Most US dollars the run may spend on model calls, such as "150.00" or 25. It may only rise; raising it
    resumes a run that stopped for lack of budget.
    """
    max_tokens: int | None = Field(default=None, ge=1, le=100_000_000_000)
    """Most tokens, input (cached ones too) and output together, the run may use. Each call reserves its worst
    case, in which every byte of the request counts as a token. Raising it resumes a run that stopped for it.
    """
    fix_reserve_percent: int = Field(default=10, ge=0, le=90)
    """Share of maxCostUSD kept for fix_bug tasks, in percent. Once only this share is left, other tasks wait;
    without a repair to do the run stops for lack of budget.
    """


class SoftThreshold(Spec):
    """From which part of the budget on a cheaper model does the work."""

    percent: int = Field(ge=1, le=99)
    """Share of maxCostUSD, spent and reserved together, in percent."""
    model: ModelName
    """Model of the tasks that are claimed from then on."""


_INCREASING: Final = "must have percents that increase from entry to entry"


def _increasing(thresholds: list[SoftThreshold]) -> list[SoftThreshold]:
    percents = [t.percent for t in thresholds]
    if percents != sorted(set(percents)):
        raise ValueError(f"{_INCREASING} (found {percents})")
    return thresholds


class ModelPolicy(Spec):
    """Which model does which work."""

    by_task_type: dict[TaskType, ModelName] = Field(default={}, max_length=8)
    """Model per task type; others use spec.model."""
    escalation: list[ModelName] = Field(default=[], max_length=5)
    """Stronger models for later attempts. The second attempt has more context, the third uses the first entry, and so
    on; a failure that repeats itself at the last entry is a person's turn.
    """
    soft_thresholds: Annotated[list[SoftThreshold], AfterValidator(_increasing)] = Field(
        default=[],
        max_length=5,
        json_schema_extra=with_rules(
            rule(
                "self.map(t, t.percent).isSorted() && self.all(t, self.exists_one(u, u.percent == t.percent))",
                _INCREASING,
            )
        ),
    )
    """Cheaper models for when the budget runs low. The entry with the highest percent reached takes the place
    of spec.model and byTaskType; escalation stays as it is.
    """


class ProjectFrom(Spec):
    """A project specification kept outside the resource."""

    config_map_key_ref: ConfigMapKeyRef
    """ConfigMap key that holds the project specification as YAML."""


class Gates(Spec):
    """Changes to the profile's gates."""

    commands: list[Annotated[str, Field(min_length=1, max_length=500)]] = Field(default=[], max_length=20)
    """Further commands that must end with 0, run after the profile's own, without a shell."""
    coverage_percent: int | None = Field(default=None, ge=0, le=100)
    """Least test coverage in percent that the finished project must have; with less the run fails, reason
    CoverageTooLow. Defaults to what the specification asks for; 0 asks for none.
    """


class Sandbox(Spec):
    """Where model-written code runs."""

    image: str | None = Field(default=None, min_length=1, max_length=512)
    """Toolchain image for sandbox and gates; it needs python3 and what the project builds with."""


class ResourceList(Spec):
    """Compute resources of one container."""

    cpu: str | None = Field(default=None, max_length=20, pattern=r"^[0-9]+(\.[0-9]+)?m?$")
    """CPU, such as 500m or 2."""
    memory: str | None = Field(
        default=None, max_length=20, pattern=r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$"
    )
    """Memory, such as 512Mi."""


class ResourceRequirements(Spec):
    """Requests and limits of one container."""

    requests: ResourceList | None = None
    """Least resources the container is scheduled with."""
    limits: ResourceList | None = None
    """Most resources the container may use."""


class Toleration(Spec):
    """A taint the agents tolerate; fields as in core/v1 Toleration."""

    key: str | None = Field(default=None, max_length=316)
    """Taint key; empty matches all keys."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """How key and value relate."""
    value: str | None = Field(default=None, max_length=63)
    """Taint value for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect; empty matches all effects."""


class Agents(Spec):
    """Knobs of the agent pods."""

    resources: ResourceRequirements | None = None
    """Resources of the worker container."""
    sandbox_resources: ResourceRequirements | None = None
    """Resources of the sandbox container, which runs the project's checks."""
    node_selector: dict[str, Annotated[str, Field(max_length=63)]] = Field(default={}, max_length=20)
    """Labels a node must have."""
    tolerations: list[Toleration] = Field(default=[], max_length=20)
    """Taints the pods tolerate."""
    runtime_class_name: ObjectName | None = None
    """RuntimeClass of pods that run model-written code, such as gvisor."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the agent pods."""
    image_pull_secrets: list[SecretRef] = Field(default=[], max_length=10)
    """Secrets for pulling images."""


_SPEC_RULES = with_rules(
    rule("has(self.project) != has(self.projectFrom)", "must have exactly one of project and projectFrom"),
    rule(
        "self.repository.url == oldSelf.repository.url",
        "must not change once set; create another SwarmRun for another repository",
        fieldPath=".repository.url",
    ),
    rule(
        "(has(self.repository.branch) ? self.repository.branch : 'main') == (has(oldSelf.repository.branch) ? oldSelf.repository.branch : 'main')",
        "must not change once set; create another SwarmRun for another branch",
        fieldPath=".repository.branch",
    ),
    rule(
        "!isQuantity(string(self.budget.maxCostUSD)) || quantity(string(self.budget.maxCostUSD)).compareTo(quantity(string(oldSelf.budget.maxCostUSD))) >= 0",
        "must not be lowered; suspend or cancel the run to stop spending",
        fieldPath=".budget.maxCostUSD",
    ),
    rule(
        "!(has(oldSelf.cancel) && oldSelf.cancel) || (has(self.cancel) && self.cancel)",
        "must not be taken back; create another SwarmRun",
        fieldPath=".cancel",
    ),
)


class SwarmRunSpec(Spec):
    """What to build, with which model, where, and for how much."""

    model_config = ConfigDict(json_schema_extra=_SPEC_RULES)

    num_agents: int = Field(default=4, ge=1, le=500)
    """Number of agent pods, 1 to 500; kubectl scale changes it. To stop all work set suspend."""
    model: ModelName
    """Model that writes the code, such as gpt-4-turbo or claude-sonnet-5.5."""
    model_policy: ModelPolicy | None = None
    """Other models for some task types or for later attempts."""
    provider: Provider
    """Model provider."""
    repository: Repository
    """Repository to build in."""
    budget: Budget
    """Spending limits."""
    project: dict[str, Any] | None = Field(
        default=None, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}
    )
    """The project specification, pasted as it is: project_name, architecture, resources, requirements.
    Exactly one of project and projectFrom.
    """
    project_from: ProjectFrom | None = None
    """Where the project specification is kept, instead of project."""
    max_attempts: int = Field(default=3, ge=1, le=10)
    """Judged failures after which a task is blocked and a SwarmEscalation asks a person."""
    task_timeout_seconds: int = Field(default=900, ge=30, le=86_400)
    """Longest time of one attempt, in seconds."""
    active_deadline_seconds: int | None = Field(default=None, ge=60, le=31_536_000)
    """Longest time of the whole run, in seconds from its start; then the run fails."""
    suspend: bool = False
    """True stops new claims and scales the agents to zero; nothing is lost. False goes on."""
    cancel: bool = False
    """True ends the run for good. What is on the branch stays."""
    approval: Literal["None", "Plan"] = "None"
    """Plan: wait for the annotation swarmrun.dev/approved-plan with the plan's hash before any work."""
    ttl_seconds_after_finished: int | None = Field(default=None, ge=0, le=31_536_000)
    """Seconds after which a finished run deletes itself. Unset: never (GitOps would create it again)."""
    gates: Gates | None = None
    """Changes to the profile's gates."""
    sandbox: Sandbox | None = None
    """Where model-written code runs."""
    agents: Agents | None = None
    """Knobs of the agent pods."""


class SwarmEscalationSpec(Spec):
    """A task that needs a person, with the evidence, and the person's answer."""

    run_name: ObjectName
    """The SwarmRun this belongs to."""
    task_id: str = Field(min_length=1, max_length=120)
    """The blocked task."""
    title: str = Field(default="", max_length=200)
    """What the task was to do."""
    reason: str = Field(default="", max_length=64)
    """Why it is blocked, in one CamelCase word."""
    evidence: list[Annotated[str, Field(max_length=4000)]] = Field(default=[], max_length=10)
    """What the failed attempts printed, oldest first."""
    resolution: Literal["Retry", "Skip", "Fail"] | None = None
    """The answer: Retry with a fresh set of attempts, Skip the task, or Fail the run."""
    hint: str | None = Field(default=None, max_length=2000)
    """Words for the next prompt, with resolution Retry."""

"""What the operator knows of a run at one moment: frozen values that `reconcile` judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from swarm_operator.names import APPLIED_HASH, CHILDREN_HASH, COMPONENT_LABEL
from swarmrun.core.status import Condition, ConditionType, SwarmRunStatus
from swarmrun.queue.port import Snapshot

#: Longest message of a pod or a Deployment that we carry on.
MAX_MESSAGE: Final = 400


def parse_time(text: str | None) -> float:
    """Convert an RFC 3339 time to seconds since the epoch; 0.0 for none."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0


@dataclass(frozen=True)
class Run:
    """A SwarmRun as it was last seen."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created: float
    deleting: bool
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    spec: Mapping[str, Any]
    status: SwarmRunStatus
    #: The status exactly as stored, to tell whether a write would change it.
    raw_status: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Run:
        """Read a SwarmRun's body."""
        meta = body["metadata"]
        raw_status = body.get("status") or {}
        return cls(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            generation=int(meta.get("generation", 1)),
            resource_version=str(meta.get("resourceVersion", "")),
            created=parse_time(meta.get("creationTimestamp")),
            deleting="deletionTimestamp" in meta,
            finalizers=tuple(meta.get("finalizers") or ()),
            annotations=meta.get("annotations") or {},
            spec=body.get("spec") or {},
            status=read_status(raw_status),
            raw_status=raw_status,
        )

    def condition(self, type_: ConditionType) -> Condition | None:
        """Return the stored condition of a type."""
        return next((c for c in self.status.conditions if c.type == type_), None)


def read_status(raw: Mapping[str, Any]) -> SwarmRunStatus:
    """Read a stored status. Fields of another release that this one cannot read are dropped, not fatal."""
    try:
        return SwarmRunStatus.model_validate(raw)
    except ValidationError:
        kept: dict[str, Any] = {}
        for name, value in raw.items():
            try:
                SwarmRunStatus.model_validate({name: value})
            except ValidationError:
                continue
            kept[name] = value
        return SwarmRunStatus.model_validate(kept)


@dataclass(frozen=True)
class DeploymentView:
    """The few facts of a Deployment that decisions need."""

    name: str
    uid: str
    replicas: int
    ready: int
    applied_hash: str
    children_hash: str
    #: Message of condition ReplicaFailure, such as a quota or Pod Security that refuses pods.
    failure: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> DeploymentView:
        """Read a Deployment's body."""
        meta, status = body["metadata"], body.get("status") or {}
        annotations = meta.get("annotations") or {}
        failure = next(
            (
                str(c.get("message") or c.get("reason") or "")
                for c in status.get("conditions") or ()
                if c.get("type") == "ReplicaFailure" and c.get("status") == "True"
            ),
            "",
        )
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            replicas=int((body.get("spec") or {}).get("replicas", 1)),
            ready=int(status.get("readyReplicas") or 0),
            applied_hash=annotations.get(APPLIED_HASH, ""),
            children_hash=annotations.get(CHILDREN_HASH, ""),
            failure=failure[:MAX_MESSAGE],
        )


@dataclass(frozen=True)
class PodView:
    """The few facts of a pod that decisions need."""

    name: str
    component: str
    ready: bool
    #: Why a container waits, such as ImagePullBackOff, and the kubelet's words; empty when none does.
    waiting_reason: str = ""
    waiting_message: str = ""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> PodView | None:
        """Read a pod's body; None for one that is going away."""
        meta, status = body["metadata"], body.get("status") or {}
        if "deletionTimestamp" in meta or status.get("phase") in {"Succeeded", "Failed"}:
            return None
        containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        waiting = [w for c in containers if (w := (c.get("state") or {}).get("waiting"))]
        stuck: dict[str, Any] = next((w for w in waiting if w.get("reason") not in _PASSING), {})
        unschedulable: dict[str, Any] = next(
            (
                c
                for c in status.get("conditions") or ()
                if c.get("type") == "PodScheduled" and c.get("reason") == "Unschedulable"
            ),
            {},
        )
        told = stuck or unschedulable
        return cls(
            name=meta["name"],
            component=(meta.get("labels") or {}).get(COMPONENT_LABEL, ""),
            ready=any(
                c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or ()
            ),
            waiting_reason=str(told.get("reason") or ""),
            waiting_message=str(told.get("message") or "")[:MAX_MESSAGE],
        )


#: Waiting reasons that pass by themselves.
_PASSING: Final = frozenset({None, "", "ContainerCreating", "PodInitializing"})


@dataclass(frozen=True)
class EscalationView:
    """The few facts of a SwarmEscalation that decisions need."""

    name: str
    uid: str
    task_id: str
    resolution: str
    hint: str
    resolved: bool
    generation: int
    resolved_time: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> EscalationView:
        """Read a SwarmEscalation's body."""
        meta, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
        return cls(
            name=meta["name"],
            uid=meta["uid"],
            task_id=str(spec.get("taskId") or ""),
            resolution=str(spec.get("resolution") or ""),
            hint=str(spec.get("hint") or ""),
            resolved=status.get("state") == "Resolved",
            generation=int(meta.get("generation", 1)),
            resolved_time=str(status.get("resolvedTime") or ""),
        )


@dataclass(frozen=True)
class Children:
    """A run's objects that are watched."""

    deployments: Mapping[str, DeploymentView] = field(default_factory=dict)
    pods: tuple[PodView, ...] = ()
    escalations: tuple[EscalationView, ...] = ()


@dataclass(frozen=True)
class QueueView:
    """The store as seen in this pass."""

    #: Why the store could not be asked; empty when it answered.
    error: str = ""
    #: Epoch as planted; None when the store does not know this run, or is another server than it was.
    epoch: int | None = None
    snapshot: Snapshot | None = None
    #: What the auditor found in this very look; None when it was not asked.
    audit: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ProjectSource:
    """The text behind `spec.projectFrom`: the text, or why there is none."""

    text: str | None = None
    missing: str = ""


@dataclass(frozen=True)
class Observed:
    """Everything a decision may depend on, and nothing else."""

    run: Run
    children: Children = Children()
    queue: QueueView = QueueView()
    project: ProjectSource | None = None
    #: Epoch that this process wrote into the status in this very visit, and has not opened yet.
    raised_epoch: int | None = None
    #: True when it is time to apply all children again, in case somebody changed one that nobody watches.
    refresh: bool = False
    #: What the auditor found last, now or in an earlier look; None while it has not seen this queue.
    violations: tuple[str, ...] | None = None

"""SwarmEscalation: one blocked task, with what its attempts printed."""

from __future__ import annotations

from swarm_operator.manifests.build import Json, owner
from swarm_operator.names import escalation_name, labels
from swarmrun.core.api_base import API_VERSION
from swarmrun.core.task import Failure
from swarmrun.queue.port import TaskView

#: Bounds of the API (`SwarmEscalationSpec`).
MAX_EVIDENCE = 10
MAX_TEXT = 4000


def _evidence(failure: Failure) -> str:
    head = f"{failure.kind.value} {failure.step}".strip() + f": {failure.message}"
    room = MAX_TEXT - min(len(head), MAX_TEXT) - 1
    return f"{head[:MAX_TEXT]}\n{failure.output[-room:] if room > 0 else ''}".strip()[:MAX_TEXT]


def escalation(namespace: str, run: str, uid: str, task: TaskView, round_: int) -> Json:
    """Build the object; `resolution` and `hint` are left to people."""
    kind = task.failures[-1].kind.value if task.failures else "unknown"
    return {
        "apiVersion": API_VERSION,
        "kind": "SwarmEscalation",
        "metadata": {
            "name": escalation_name(run, task.id, round_),
            "namespace": namespace,
            "labels": labels(run),
            "ownerReferences": [owner(run, uid)],
        },
        "spec": {
            "runName": run,
            "taskId": task.id,
            "title": task.title,
            "reason": f"{kind.title().replace('_', '')}Failed",
            "evidence": [_evidence(f) for f in task.failures[-MAX_EVIDENCE:]],
        },
    }


def escalation_status(namespace: str, name: str, *, generation: int, resolved_time: str) -> Json:
    """Build the status: Open, or Resolved when `resolved_time` is set."""
    status: Json = {"observedGeneration": generation, "state": "Resolved" if resolved_time else "Open"}
    if resolved_time:
        status["resolvedTime"] = resolved_time
    return {
        "apiVersion": API_VERSION,
        "kind": "SwarmEscalation",
        "metadata": {"name": name, "namespace": namespace},
        "status": status,
    }

"""The objects that are measured and compared, as plain dicts. Pure."""

from __future__ import annotations

from typing import Any, Final

from swarmdemo import objects
from swarmdemo.settings import Settings

Json = dict[str, Any]

#: Small, so that a run's own planning weighs little.
TINY_PROJECT: Final[Json] = {
    "project_name": "Tiny",
    "architecture": {
        "style": "REST API",
        "framework": "Express.js (Node.js)",
        "database": "PostgreSQL",
        "authentication": "none",
    },
    "resources": {
        "notes": {
            "endpoints": ["POST /api/notes (create)"],
            "fields": ["id: UUID (primary key)", "title: string (required, max 120)"],
        }
    },
}
_SLEEP: Final = ["python", "-c", "import signal; signal.pause()"]


def tiny_run(settings: Settings, namespace: str, name: str) -> Json:
    """The smallest run: one agent, one endpoint."""
    run = objects.swarm_run(settings, 1)
    run["metadata"] = {"name": name, "namespace": namespace}
    run["spec"]["project"] = TINY_PROJECT
    return run


def no_pods(namespace: str) -> Json:
    """A quota that admits no pod, so that kubelet and scheduler do not disturb what is measured."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-pods", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    }


def sleeper(namespace: str, name: str, image: str) -> Json:
    """A Deployment of one container, as a person would create it."""
    labels = {"app.kubernetes.io/name": name}
    container = {
        "name": "sleeper",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": _SLEEP,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def same_shape(agents: Json, name: str) -> Json:
    """A Deployment with the pods of a run's agents, but for what they run and the run's own volumes."""
    labels = {"app.kubernetes.io/name": name}
    pod = dict(agents["spec"]["template"]["spec"])
    dropped = {"args", "livenessProbe", "readinessProbe", "startupProbe", "ports"}
    pod["containers"] = [
        {**{k: v for k, v in c.items() if k not in dropped}, "command": _SLEEP} for c in pod["containers"]
    ]
    pod["volumes"] = [
        v if "emptyDir" in v else {"name": v["name"], "emptyDir": {}} for v in pod.get("volumes", [])
    ]
    pod["terminationGracePeriodSeconds"] = 1
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": agents["metadata"]["namespace"], "labels": labels},
        "spec": {
            "replicas": agents["spec"]["replicas"],
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }

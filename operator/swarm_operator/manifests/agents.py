"""Deployment `<run>-agents`: a worker that talks to models by the hub, and the sandbox that runs its checks.

The two containers share the pod's network, nothing else: own PID namespaces, own users, own folders.
"""

from __future__ import annotations

from swarm_operator.manifests.build import (
    AGENT_TOKEN,
    CONFIG_DIR,
    TOKENS_DIR,
    UID_SERVICE,
    Blueprint,
    Json,
    config_volume,
    container_security,
    deployment,
    mount,
    pod_spec,
    resources,
    scratch,
    tokens_volume,
    value_env,
)
from swarm_operator.manifests.config import run_config
from swarm_operator.manifests.sandbox import runner_init, sandbox_container, sandbox_volumes


def _worker(b: Blueprint) -> Json:
    env = [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        *value_env({"SWARM_AGENT_TOKEN_FILE": f"{TOKENS_DIR}/{AGENT_TOKEN}", "SWARM_WORK_DIR": "/work"}),
    ]
    return {
        "name": "worker",
        "image": b.platform.agent_image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-m", "swarm_agent"],
        "env": env,
        "resources": resources(
            {"requests": {"cpu": "10m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
            b.spec.agents.resources if b.spec.agents else None,
        ),
        "securityContext": container_security(UID_SERVICE),
        "volumeMounts": [
            mount("config", CONFIG_DIR, read_only=True),
            mount("tokens", TOKENS_DIR, read_only=True),
            mount("work", "/work"),
            mount("tmp", "/tmp"),  # noqa: S108 — the container's own emptyDir
        ],
    }


def placement(b: Blueprint) -> Json:
    """Where pods that run model-written code may go: the user's named knobs, and no others."""
    agents = b.spec.agents
    if agents is None:
        return {}
    out: Json = {}
    if agents.node_selector:
        out["nodeSelector"] = dict(agents.node_selector)
    if agents.tolerations:
        out["tolerations"] = [t.model_dump(exclude_none=True, by_alias=True) for t in agents.tolerations]
    if agents.runtime_class_name:
        out["runtimeClassName"] = agents.runtime_class_name
    if agents.priority_class_name:
        out["priorityClassName"] = agents.priority_class_name
    return out


def agents(b: Blueprint, replicas: int) -> Json:
    """Build the Deployment."""
    wish = b.spec.agents.sandbox_resources if b.spec.agents else None
    sandbox = sandbox_container(b, name="sandbox", host="127.0.0.1", parallel=1, wish=wish)
    pod = pod_spec(
        b,
        containers=[_worker(b), sandbox],
        volumes=[
            config_volume(b),
            tokens_volume(b, AGENT_TOKEN),
            scratch("work", "4Gi"),
            scratch("tmp", "256Mi"),
            *sandbox_volumes(b, "sandbox"),
        ],
    )
    if init := runner_init(b):
        pod["initContainers"] = init
    pod.update(placement(b))
    config = run_config(b).model_dump(mode="json")
    return deployment(b, "agents", replicas=replicas, pod=pod, config=config)

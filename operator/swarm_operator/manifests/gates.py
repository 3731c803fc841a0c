"""Deployment `<run>-gates`: judges merged trees. It holds nothing and reaches nothing."""

from __future__ import annotations

from swarm_operator.manifests.agents import placement
from swarm_operator.manifests.build import UID_SANDBOX, Blueprint, Json, deployment, pod_spec
from swarm_operator.manifests.sandbox import runner_init, sandbox_container, sandbox_volumes


def gates(b: Blueprint) -> Json:
    """Build the Deployment."""
    wish = b.spec.agents.sandbox_resources if b.spec.agents else None
    container = sandbox_container(
        b,
        name="gates",
        host="0.0.0.0",  # noqa: S104 — behind a Service and a NetworkPolicy
        parallel=2,
        cpu="50m",  # on a busy node as much as all agents of a small run: their work waits for the gates
        wish=wish,
    )
    pod = pod_spec(b, containers=[container], volumes=sandbox_volumes(b, "gates"), group=UID_SANDBOX)
    if init := runner_init(b):
        pod["initContainers"] = init
    pod.update(placement(b))
    return deployment(b, "gates", replicas=1, pod=pod, config={}, recreate=True)

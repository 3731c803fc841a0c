"""Which of a run's objects must be applied now.

Nobody watches ConfigMap, Secret, Services and NetworkPolicies. The hub's Deployment vouches for them: it is
applied last and carries their common hash, so a look at one watched object tells whether all were applied.
"""

from __future__ import annotations

from swarm_operator.decision import Apply
from swarm_operator.manifests.agents import agents
from swarm_operator.manifests.build import Blueprint, Json, digest, sealed
from swarm_operator.manifests.config import config_map
from swarm_operator.manifests.gates import gates
from swarm_operator.manifests.hub import hub
from swarm_operator.manifests.merger import merger
from swarm_operator.manifests.networkpolicies import network_policies
from swarm_operator.manifests.services import services
from swarm_operator.manifests.tokens import secret
from swarm_operator.names import APPLIED_HASH, CHILDREN_HASH, COMPONENTS, child
from swarm_operator.observed import DeploymentView
from swarm_operator.view import View


def unwatched(b: Blueprint) -> list[Json]:
    """Objects that nobody watches."""
    return [config_map(b), secret(b), *services(b), *network_policies(b)]


def deployments(b: Blueprint, replicas: int, children_hash: str) -> dict[str, Json]:
    """Deployments by name, each with its own hash."""
    vouching = hub(b)
    vouching["metadata"]["annotations"] = {CHILDREN_HASH: children_hash}
    built = [vouching, agents(b, replicas), merger(b), gates(b)]
    return {d["metadata"]["name"]: sealed(d) for d in built}


def _stale(wanted: Json, view: DeploymentView | None) -> bool:
    return (
        view is None
        or view.applied_hash != wanted["metadata"]["annotations"][APPLIED_HASH]
        or view.replicas != wanted["spec"]["replicas"]
    )


def apply_children(view: View) -> Apply | None:
    """Tell what to apply; None when all is as it should be."""
    b = view.blueprint()
    others = unwatched(b)
    wanted = deployments(b, view.replicas, digest(others))
    present = view.observed.children.deployments
    refresh = view.observed.refresh
    stale = {n: d for n, d in wanted.items() if refresh or _stale(d, present.get(n))}
    if not stale:
        return None
    last = stale.pop(child(b.run, "hub"), None)
    return Apply((*stale.values(), *(others if last else ())), last)


def cleanup(run: str) -> tuple[tuple[str, str, str], ...]:
    """Run-time objects in the order of their deletion; Deployments last: they tell that it is not over."""
    plain = [("v1", "Service", s) for s in ("hub", "merger", "gates")]
    plain += [("networking.k8s.io/v1", "NetworkPolicy", c) for c in COMPONENTS]
    plain += [("v1", "Secret", "tokens"), ("v1", "ConfigMap", "config")]
    plain += [("apps/v1", "Deployment", c) for c in ("agents", "merger", "gates", "hub")]
    return tuple((api, kind, child(run, suffix)) for api, kind, suffix in plain)

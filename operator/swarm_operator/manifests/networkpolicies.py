"""NetworkPolicies: who may talk to whom. Everything that is not listed is refused.

    agents ─▶ hub, merger          hub ─▶ store, provider          merger ─▶ store, git remote, gates
    gates  ─▶ nothing              metrics ports: from anywhere in the cluster

Provider and git remote are outside addresses that no policy can name, so hub and merger may reach any address
but those that hand out cloud credentials.
"""

from __future__ import annotations

from swarm_operator.manifests.build import (
    PORT_API,
    PORT_METRICS,
    PORT_SANDBOX,
    Blueprint,
    Json,
    metadata,
)
from swarm_operator.names import selector

#: Link-local addresses: cloud metadata services live there.
_LINK_LOCAL = {"0.0.0.0/0": "169.254.0.0/16", "::/0": "fe80::/10"}
_DNS: Json = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}


def _ports(*ports: int) -> list[Json]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _peer(b: Blueprint, component: str) -> Json:
    return {"podSelector": {"matchLabels": selector(b.run, component)}}


def _to(b: Blueprint, component: str, port: int) -> Json:
    return {"to": [_peer(b, component)], "ports": _ports(port)}


def _from(b: Blueprint, port: int, *components: str) -> Json:
    return {"from": [_peer(b, c) for c in components], "ports": _ports(port)}


def _anywhere() -> Json:
    """Any address but link-local ones; and pods, which some network plugins do not match by address."""
    blocks = [{"ipBlock": {"cidr": cidr, "except": [no]}} for cidr, no in _LINK_LOCAL.items()]
    return {"to": [*blocks, {"namespaceSelector": {}}]}


def _policy(b: Blueprint, component: str, ingress: list[Json], egress: list[Json]) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(b, component, component),
        "spec": {
            "podSelector": {"matchLabels": selector(b.run, component)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def network_policies(b: Blueprint) -> list[Json]:
    """Build the four policies."""
    metrics: Json = {"from": [{"namespaceSelector": {}}], "ports": _ports(PORT_METRICS)}
    return [
        _policy(b, "hub", [_from(b, PORT_API, "agents"), metrics], [_DNS, _anywhere()]),
        _policy(b, "agents", [], [_DNS, _to(b, "hub", PORT_API), _to(b, "merger", PORT_API)]),
        _policy(b, "merger", [_from(b, PORT_API, "agents"), metrics], [_DNS, _anywhere()]),
        _policy(b, "gates", [_from(b, PORT_SANDBOX, "merger")], []),
    ]

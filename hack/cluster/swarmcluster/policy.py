"""NetworkPolicies as iptables rules (pure), because the registries serve no plugin that enforces them.

Semantics of networking.k8s.io/v1: a pod that some policy selects for a direction may only do what some policy
allows in it. Every pod packet is routed (see `config.cni`), and kube-proxy translates Services before these
rules see a packet, so rules name pod addresses and target ports.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = Mapping[str, Any]
Direction = Literal["Ingress", "Egress"]
CHAINS: Mapping[Direction, str] = {"Ingress": "SWARMRUN-INGRESS", "Egress": "SWARMRUN-EGRESS"}
PREFIX: Mapping[Direction, str] = {"Ingress": "SWRI-", "Egress": "SWRE-"}
# The selected pod is a packet's destination on the way in and its source on the way out.
FLAGS: Mapping[Direction, str] = {"Ingress": "-d", "Egress": "-s"}
EVERYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Pod:
    """A pod that has an address of its own."""

    namespace: str
    name: str
    ip: str
    labels: Mapping[str, str]
    ports: Mapping[str, int]
    """Named container ports."""


def pods_of(items: Iterable[Json]) -> list[Pod]:
    """Return the pods with an address of their own, from objects of the API."""
    found = []
    for item in items:
        spec, status = item["spec"], item.get("status", {})
        ended = status.get("phase") in {"Succeeded", "Failed"}
        if ended or spec.get("hostNetwork") or not status.get("podIP"):
            continue
        ports = [port for container in spec["containers"] for port in container.get("ports", [])]
        named = {port["name"]: port["containerPort"] for port in ports if "name" in port}
        meta = item["metadata"]
        found.append(Pod(meta["namespace"], meta["name"], status["podIP"], meta.get("labels", {}), named))
    return sorted(found, key=lambda pod: (pod.namespace, pod.name))


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Say whether a label selector selects `labels`; the empty selector selects all."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression(one, labels) for one in selector.get("matchExpressions") or [])


def _expression(expression: Json, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or []
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]


def block_networks(block: Json) -> list[str]:
    """Return an ipBlock without its exceptions as plain networks; IPv6 blocks are none here."""
    whole = ipaddress.ip_network(block["cidr"], strict=False)
    if not isinstance(whole, ipaddress.IPv4Network):
        return []
    left = [whole]
    for text in block.get("except") or []:
        hole = ipaddress.IPv4Network(text, strict=False)
        left = [part for network in left for part in _without(network, hole)]
    return [str(network) for network in left]


def _without(network: ipaddress.IPv4Network, hole: ipaddress.IPv4Network) -> list[ipaddress.IPv4Network]:
    if not network.overlaps(hole):
        return [network]
    return sorted(network.address_exclude(hole)) if hole.subnet_of(network) else []


@dataclass(frozen=True)
class World:
    """What the rules depend on."""

    pods: Sequence[Pod]
    namespaces: Mapping[str, Mapping[str, str]]
    """Namespace → its labels."""

    def peers(self, peer: Json, own_namespace: str) -> list[tuple[str, Pod | None]]:
        """Return the addresses that a policy's peer means, with the pod where it is one."""
        if "ipBlock" in peer:
            return [(network, None) for network in block_networks(peer["ipBlock"])]
        spaces = {own_namespace}
        if "namespaceSelector" in peer:
            spaces = {
                name for name, labels in self.namespaces.items() if selects(peer["namespaceSelector"], labels)
            }
        chosen = [pod for pod in self.pods if pod.namespace in spaces]
        return [(f"{pod.ip}/32", pod) for pod in chosen if selects(peer.get("podSelector") or {}, pod.labels)]


def _port_match(port: Json, target: Pod | None) -> str | None:
    """Return the iptables match of one port; None where the target has no port of that name."""
    protocol = str(port.get("protocol", "TCP")).lower()
    wanted = port.get("port")
    if isinstance(wanted, str):
        wanted = target.ports.get(wanted) if target is not None else None
        if wanted is None:
            return None
    if wanted is None:
        return f"-p {protocol}"
    last = port.get("endPort")
    return f"-p {protocol} --dport {wanted}" + (f":{last}" if last else "")


def _allowed(rule: Json, direction: Direction, pod: Pod, policy: Json, world: World) -> list[str]:
    """Return the matches that one ingress or egress rule of a policy allows to `pod`."""
    side, flag = ("from", "-s") if direction == "Ingress" else ("to", "-d")
    namespace = policy["metadata"]["namespace"]
    listed = rule.get(side)
    peers = (
        [found for peer in listed for found in world.peers(peer, namespace)]
        if listed
        else [(EVERYWHERE, None)]
    )
    matches = []
    for address, peer_pod in peers:
        target = pod if direction == "Ingress" else peer_pod
        for port in rule.get("ports") or [None]:
            match = "" if port is None else _port_match(port, target)
            if match is not None:
                matches.append(f"{flag} {address} {match}".strip())
    return matches


def _types(spec: Json) -> set[str]:
    return set(spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])])


def _policies_for(pod: Pod, direction: Direction, policies: Sequence[Json]) -> list[Json]:
    return [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and direction in _types(policy["spec"])
        and selects(policy["spec"].get("podSelector") or {}, pod.labels)
    ]


def render(policies: Sequence[Json], world: World) -> str:
    """Return input of `iptables-restore --noflush` that enforces the policies and replaces earlier rules."""
    declared = [f":{chain} - [0:0]" for chain in CHAINS.values()]
    heads = [f"-A {chain} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN" for chain in CHAINS.values()]
    bodies: list[str] = []
    for pod in world.pods:
        digest = hashlib.sha256(f"{pod.namespace}/{pod.name}".encode()).hexdigest()[:20]
        for direction, flag in FLAGS.items():
            chosen = _policies_for(pod, direction, policies)
            if not chosen:
                continue
            chain = PREFIX[direction] + digest
            declared.append(f":{chain} - [0:0]")
            heads.append(f"-A {CHAINS[direction]} {flag} {pod.ip}/32 -j {chain}")
            allowed = [
                match
                for policy in chosen
                for rule in policy["spec"].get(direction.lower()) or []
                for match in _allowed(rule, direction, pod, policy, world)
            ]
            bodies += [f"-A {chain} {match} -j RETURN" for match in dict.fromkeys(allowed)]
            bodies.append(f"-A {chain} -j REJECT")
    return "\n".join(["*filter", *declared, *heads, *bodies, "COMMIT", ""])

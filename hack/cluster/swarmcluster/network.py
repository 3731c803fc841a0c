"""Addresses of clusters (pure): one slot number fixes a node's link, pod and service networks.

A node lives in its own network namespace, joined to this machine by one veth pair. So clusters share no port,
no iptables chain and no bridge, and removing the namespace removes them all.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from swarmcluster.errors import UsageError

SLOTS = 16
LINK_BASE = ipaddress.IPv4Network("10.199.0.0/16")
POD_BASE = ipaddress.IPv4Network("10.244.0.0/16")
SERVICE_BASE = ipaddress.IPv4Network("10.96.0.0/16")


@dataclass(frozen=True)
class NodeNetwork:
    """The addresses of one node, all derived from its slot (0 to 15)."""

    slot: int

    @property
    def link(self) -> ipaddress.IPv4Network:
        """The /30 between this machine and the node."""
        return list(LINK_BASE.subnets(new_prefix=30))[self.slot]

    @property
    def host_ip(self) -> str:
        """This machine's address on the link: where pods reach programs of this machine."""
        return str(self.link[1])

    @property
    def node_ip(self) -> str:
        """The node's address: API server, NodePorts, host ports."""
        return str(self.link[2])

    @property
    def pods(self) -> ipaddress.IPv4Network:
        """The /23 of the pods (510 addresses; the kubelet runs at most 250)."""
        return list(POD_BASE.subnets(new_prefix=23))[self.slot]

    @property
    def services(self) -> ipaddress.IPv4Network:
        """The /20 of the Services."""
        return list(SERVICE_BASE.subnets(new_prefix=20))[self.slot]

    @property
    def api_service_ip(self) -> str:
        """The address of Service default/kubernetes: the first of the range, as the API server picks it."""
        return str(self.services[1])

    @property
    def dns_ip(self) -> str:
        """The address of Service kube-system/kube-dns."""
        return str(self.services[10])

    @property
    def namespace(self) -> str:
        """The network namespace's name."""
        return f"swarmrun-{self.slot}"

    @property
    def host_interface(self) -> str:
        """The veth's name on this machine's side."""
        return f"swr{self.slot}"

    def networks(self) -> tuple[ipaddress.IPv4Network, ...]:
        """Return every network that this slot uses."""
        return (self.link, self.pods, self.services)


def pick_slot(used: Iterable[int], routes: Iterable[ipaddress.IPv4Network]) -> NodeNetwork:
    """Return the first free slot whose networks overlap none of this machine's routes.

    Raises:
        UsageError: every slot is used or overlaps a route.
    """
    taken = set(used)
    foreign = [route for route in routes if route.prefixlen > 0]
    for slot in range(SLOTS):
        candidate = NodeNetwork(slot)
        overlaps = any(own.overlaps(route) for own in candidate.networks() for route in foreign)
        if slot not in taken and not overlaps:
            return candidate
    raise UsageError(
        f"no free address range for another node: {len(taken)} of {SLOTS} are used, and the routes of this "
        f"machine overlap the others (`ip route`); remove a cluster with `hack/cluster/cluster down --name …`"
    )


def parse_routes(proc_net_route: str) -> list[ipaddress.IPv4Network]:
    """Return the destinations of the text of /proc/net/route."""
    networks = []
    for line in proc_net_route.splitlines()[1:]:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[column]), "little") for column in (1, 7))
        networks.append(ipaddress.IPv4Network((destination, mask.bit_count())))
    return networks

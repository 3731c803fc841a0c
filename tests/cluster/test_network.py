"""Address slots: distinct, derived from one number, never over a route of this machine."""

from ipaddress import IPv4Network

import pytest

from swarmcluster.errors import UsageError
from swarmcluster.network import SLOTS, NodeNetwork, parse_routes, pick_slot

PROC_NET_ROUTE = """Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
swr0\t0000600A\t0200C70A\t0003\t0\t0\t0\t00F0FFFF\t0\t0\t0
"""


def test_no_two_slots_share_an_address_or_a_name() -> None:
    slots = [NodeNetwork(slot) for slot in range(SLOTS)]
    networks = [network for slot in slots for network in slot.networks()]
    overlapping = [
        (first, second)
        for index, first in enumerate(networks)
        for second in networks[index + 1 :]
        if first.overlaps(second)
    ]
    assert overlapping == []
    assert len({slot.namespace for slot in slots}) == len({slot.host_interface for slot in slots}) == SLOTS


def test_the_addresses_of_the_first_slot_are_those_of_the_documentation() -> None:
    first = NodeNetwork(0)
    assert (first.host_ip, first.node_ip) == ("10.199.0.1", "10.199.0.2")
    assert (first.api_service_ip, first.dns_ip) == ("10.96.0.1", "10.96.0.10")
    assert first.pods.num_addresses > 250


def test_an_interface_name_fits_the_kernel() -> None:
    assert all(len(NodeNetwork(slot).host_interface) <= 15 for slot in range(SLOTS))


def test_the_first_free_slot_is_picked() -> None:
    assert pick_slot([0, 1, 3], []).slot == 2


def test_a_slot_that_overlaps_a_route_is_passed_over() -> None:
    assert pick_slot([], [IPv4Network("10.244.0.0/24"), IPv4Network("10.96.16.0/24")]).slot == 2


def test_the_default_route_overlaps_nothing() -> None:
    assert pick_slot([], [IPv4Network("0.0.0.0/0")]).slot == 0


def test_when_all_is_taken_the_error_says_what_to_remove() -> None:
    with pytest.raises(UsageError, match="cluster down"):
        pick_slot(range(SLOTS), [])
    with pytest.raises(UsageError, match="overlap"):
        pick_slot([], [IPv4Network("10.0.0.0/8")])


def test_routes_are_read_in_the_kernels_byte_order() -> None:
    assert parse_routes(PROC_NET_ROUTE) == [
        IPv4Network("0.0.0.0/0"),
        IPv4Network("192.0.2.0/24"),
        IPv4Network("10.96.0.0/20"),
    ]

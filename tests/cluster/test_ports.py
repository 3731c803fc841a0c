"""Ports of control planes that live on loopback."""

import socket

import pytest

from swarmcluster import ports
from swarmcluster.errors import UsageError


def test_reserved_and_busy_ports_are_passed_over() -> None:
    busy = {ports.FIRST + 1}
    picked = ports.pick(2, reserved=[ports.FIRST], free=lambda port: port not in busy)
    assert picked == [ports.FIRST + 2, ports.FIRST + 3]


def test_too_few_free_ports_are_an_error_that_names_the_range() -> None:
    with pytest.raises(UsageError, match=f"{ports.FIRST} and {ports.LAST}"):
        ports.pick(1, reserved=[], free=lambda _: False)


def test_a_port_with_a_listener_is_not_free() -> None:
    with socket.socket() as server:
        server.bind((ports.LOOPBACK, 0))
        server.listen()
        assert not ports.is_free(server.getsockname()[1])


def test_the_range_lies_below_the_kernels_ephemeral_ports() -> None:
    assert ports.LAST < 32768

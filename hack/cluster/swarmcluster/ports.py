"""Free TCP ports on loopback for clusters without a network namespace of their own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

from swarmcluster.errors import UsageError

FIRST = 16443
LAST = 19999
LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Say whether a server could listen on `port` of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def pick(count: int, reserved: Iterable[int], free: Callable[[int], bool] = is_free) -> list[int]:
    """Return `count` distinct free ports that no other cluster has stored as its own.

    The range lies below the kernel's ephemeral ports, so that no outgoing connection takes one in between.

    Raises:
        UsageError: the range has too few free ports.
    """
    taken = set(reserved)
    found: list[int] = []
    for port in range(FIRST, LAST + 1):
        if len(found) == count:
            break
        if port not in taken and free(port):
            found.append(port)
    if len(found) < count:
        raise UsageError(f"only {len(found)} of {count} free ports between {FIRST} and {LAST} on {LOOPBACK}")
    return found

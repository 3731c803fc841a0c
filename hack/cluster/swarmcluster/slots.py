"""The machine-wide register of nodes: which slot belongs to which state folder, until the next boot."""

from __future__ import annotations

import json
from pathlib import Path

from swarmcluster.errors import UsageError
from swarmcluster.network import NodeNetwork, parse_routes, pick_slot
from swarmcluster.paths import RUN_ROOT

REGISTER = RUN_ROOT / "nodes.json"
LOCK = RUN_ROOT / "nodes.lock"
LOCK_SECONDS = 60.0


def registered() -> dict[int, Path]:
    """Return the state folder of every registered node, by slot."""
    try:
        raw = json.loads(REGISTER.read_text())
    except (OSError, ValueError):
        return {}
    return {int(slot): Path(state) for slot, state in raw.items()}


def _store(nodes: dict[int, Path]) -> None:
    scratch = REGISTER.with_suffix(".tmp")
    scratch.write_text(json.dumps({str(slot): str(state) for slot, state in nodes.items()}, indent=1))
    scratch.rename(REGISTER)


def reserve(state: Path) -> NodeNetwork:
    """Register `state` under the first free slot, or return the one it has; the caller holds LOCK."""
    nodes = registered()
    for slot, owner in nodes.items():
        if owner == state:
            return NodeNetwork(slot)
    routes = parse_routes(Path("/proc/net/route").read_text())
    network = pick_slot(nodes, routes)
    _store({**nodes, network.slot: state})
    return network


def reserve_again(state: Path, slot: int) -> None:
    """Register `state` under the slot it had before this boot; the caller holds LOCK.

    Raises:
        UsageError: another cluster has taken the slot since.
    """
    nodes = registered()
    owner = nodes.get(slot, state)
    if owner != state:
        raise UsageError(
            f"{state}: its addresses now belong to the cluster in {owner}; remove one of them with `down`"
        )
    if slot not in nodes:
        _store({**nodes, slot: state})


def release(slot: int) -> bool:
    """Forget a slot; return True when no node is left. The caller holds LOCK."""
    nodes = registered()
    nodes.pop(slot, None)
    _store(nodes)
    return not nodes

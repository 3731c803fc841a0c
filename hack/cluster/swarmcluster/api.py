"""Start and stop clusters from Python, for tests and the demo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from swarmcluster import build, down, paths, preflight, up
from swarmcluster import state as stored
from swarmcluster.errors import PreflightError, UsageError
from swarmcluster.state import Cluster


@dataclass(frozen=True)
class ClusterInfo:
    """What a user of a running cluster needs to know."""

    name: str
    state: Path
    kubeconfig: Path
    api_url: str
    bin_dir: Path
    """A folder with kubectl, and with helm once it is built."""
    host_ip: str
    """Where pods reach programs of this machine that listen on all addresses; 127.0.0.1 without a node."""
    node_ip: str
    """Where this machine reaches NodePorts; 127.0.0.1 without a node."""


def start(
    name: str, state: Path | None = None, *, control_plane_only: bool = False, port: int | None = None
) -> ClusterInfo:
    """Bring a cluster up, or find it running; return once it is ready.

    Args:
        name: 1 to 20 of a-z, 0-9, '-'.
        state: its folder; below the user's state folder when omitted.
        control_plane_only: no node, no root needed.
        port: the API server's port; a free one when omitted.

    Raises:
        PreflightError: the machine lacks something.
        ClusterError: it did not start; what was started is stopped again.
    """
    folder = paths.state_dir(paths.check_name(name), state)
    problems = preflight.check(folder, control_plane_only=control_plane_only, registries=False)
    if problems:
        lines = [f"✗ {problem.what}\n  → {problem.remedy}" for problem in problems]
        raise PreflightError("this machine cannot run the cluster:\n" + "\n".join(lines))
    return describe(up.up(name, folder, control_plane_only=control_plane_only, port=port))


def stop(name: str, state: Path | None = None) -> bool:
    """Take a cluster down and delete all of it; return False when there was none."""
    return down.down(paths.state_dir(paths.check_name(name), state))


def existing(name: str, state: Path | None = None) -> Cluster:
    """Return the stored facts of a cluster.

    Raises:
        UsageError: there is no such cluster.
    """
    folder = paths.state_dir(name, state)
    cluster = stored.load(folder)
    if cluster is None:
        raise UsageError(f"there is no cluster {name!r} in {folder}; make it with `hack/cluster/cluster up`")
    return cluster


def describe(cluster: Cluster) -> ClusterInfo:
    """Return what a user of the cluster needs to know."""
    network = None if cluster.slot is None else cluster.network
    return ClusterInfo(
        name=cluster.name,
        state=cluster.state,
        kubeconfig=cluster.kubeconfig,
        api_url=cluster.api_url,
        bin_dir=build.path_dir(),
        host_ip="127.0.0.1" if network is None else network.host_ip,
        node_ip="127.0.0.1" if network is None else network.node_ip,
    )

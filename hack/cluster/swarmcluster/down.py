"""Take a cluster down and leave nothing of it: processes, mounts, cgroups, network, files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from swarmcluster import cgroups, netns, process, slots, state
from swarmcluster.errors import ClusterError, CommandError
from swarmcluster.locks import locked
from swarmcluster.network import SLOTS, NodeNetwork
from swarmcluster.paths import RUN_ROOT, clusters_dir
from swarmcluster.progress import say, step
from swarmcluster.shell import run
from swarmcluster.state import Cluster

LOCK_SECONDS = 900.0
GRACE_SECONDS = 1.0  # their data is deleted next: nothing needs a long goodbye
CONTAINER_LOGS = Path("/var/log/containers")
CNI_RESULTS = Path("/var/lib/cni/results")


def down(folder: Path) -> bool:
    """Stop the cluster in `folder` and delete everything of it; return False when there was none."""
    lock = folder.with_name(f"{folder.name}.lock")
    shutil.rmtree(failed_logs(folder), ignore_errors=True)
    if not folder.exists():
        lock.unlink(missing_ok=True)
        return False
    with locked(lock, timeout=LOCK_SECONDS):
        remove(folder)
        lock.unlink(missing_ok=True)
    return True


def failed_logs(folder: Path) -> Path:
    """Return where the logs of a start that failed are kept until the next `down`."""
    return folder.with_name(f"{folder.name}.failed-logs")


def remove(folder: Path) -> None:
    """Do the work of `down`; the caller holds the cluster's lock."""
    cluster = state.load(folder)
    with step("stop processes"):
        process.stop(list(state.load_processes(folder).values()), grace=GRACE_SECONDS)
    if cluster is not None and cluster.slot is not None:
        _remove_node(cluster)
    if folder.exists():
        shutil.rmtree(folder)


def _remove_node(cluster: Cluster) -> None:
    with step("remove containers, mounts and network"):
        left = cgroups.destroy(cluster.network.namespace)
        if left:
            raise ClusterError(f"processes {left} of cluster {cluster.name!r} did not end; try `down` again")
        unmount_below(cluster.state)
        unmount_below(cluster.run)
        _forget_traces(cluster)
        with locked(slots.LOCK, timeout=slots.LOCK_SECONDS):
            last = slots.release(cluster.network.slot)
            netns.destroy(cluster.network, last=last)
        shutil.rmtree(cluster.run, ignore_errors=True)


def mounts_below(mountinfo: str, folder: Path) -> list[str]:
    """Return the mount points at or below `folder` in the text of /proc/self/mountinfo, deepest first."""
    points = [line.split()[4].encode().decode("unicode_escape") for line in mountinfo.splitlines()]
    inside = [point for point in points if Path(point) == folder or folder in Path(point).parents]
    return list(reversed(inside))


def unmount_below(folder: Path) -> None:
    """Unmount everything at or below `folder`."""
    for point in mounts_below(Path("/proc/self/mountinfo").read_text(), folder):
        try:
            run(["umount", point])
        except CommandError:
            run(["umount", "--lazy", point])


def _forget_traces(cluster: Cluster) -> None:
    """Remove the links and results that kubelet and CNI keep in folders which all clusters share."""
    if CONTAINER_LOGS.is_dir():
        for link in CONTAINER_LOGS.iterdir():
            if link.is_symlink() and cluster.state in link.readlink().parents:
                link.unlink()
    pods = re.compile(rf"{re.escape(cluster.network.namespace)}-([0-9a-f]{{64}})-eth0")
    for result in CNI_RESULTS.glob("*-eth0"):
        pod = pods.fullmatch(result.name)
        if pod is not None:
            result.unlink()
            (CNI_RESULTS / f"cni-loopback-{pod[1]}-lo").unlink(missing_ok=True)


def clean() -> list[str]:
    """Remove every cluster of this user, and on this machine every registered node; return their names."""
    folders = {path.parent for path in clusters_dir().glob(f"*/{state.FACTS}")}
    folders |= set(slots.registered().values())
    removed = []
    for folder in sorted(folders):
        say(f"remove {folder}")
        down(folder)
        removed.append(folder.name)
    _remove_orphans()
    return removed


def _remove_orphans() -> None:
    """Remove namespaces and links of slots that no state folder owns any more."""
    if not RUN_ROOT.exists():
        return
    with locked(slots.LOCK, timeout=slots.LOCK_SECONDS):
        for slot in sorted(set(range(SLOTS)) - set(slots.registered())):
            network = NodeNetwork(slot)
            here = Path("/run/netns", network.namespace), Path("/sys/class/net", network.host_interface)
            if any(path.exists() for path in here):
                say(f"remove {network.namespace}")
                netns.destroy(network, last=not slots.registered())
        for slot in sorted(slots.registered()):
            if not slots.registered()[slot].exists():
                slots.release(slot)

"""One cgroup per node: daemons in `system`, pods in `kubepods`; its members are what the node started."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PREFERRED = ("pids", "freezer", "memory")
DEADLINE_SECONDS = 10.0
POLL_SECONDS = 0.1


def is_unified(root: Path = ROOT) -> bool:
    """Say whether this machine has only the unified hierarchy (cgroup v2)."""
    return (root / "cgroup.controllers").exists()


def hierarchies(root: Path = ROOT) -> list[Path]:
    """Return the mount points of every hierarchy that the kubelet uses."""
    if is_unified(root):
        return [root]
    names = (
        "cpu",
        "cpuacct",
        "cpuset",
        "memory",
        "pids",
        "hugetlb",
        "devices",
        "freezer",
        "blkio",
        "systemd",
    )
    found = {(root / name).resolve() for name in (*names, "net_cls", "net_prio", "perf_event", "unified")}
    return sorted(path for path in found if path.is_dir())


def tracking(name: str, root: Path = ROOT) -> Path:
    """Return the folder by whose members the node's daemons are known."""
    base = root if is_unified(root) else next(root / kind for kind in PREFERRED if (root / kind).is_dir())
    return base / name


def create(name: str) -> Path:
    """Make the node's cgroup in every hierarchy; return the one in which its daemons are started."""
    for hierarchy in hierarchies():
        folder = hierarchy / name
        folder.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # v1: a new cpuset is empty and takes no process
            if (folder / setting).exists() and not is_unified():
                (folder / setting).write_text((hierarchy / setting).read_text())
    if is_unified():
        for folder in (ROOT, ROOT / name):
            _enable_controllers(folder)
    system = tracking(name) / "system"
    system.mkdir(exist_ok=True)
    return system


def _enable_controllers(folder: Path) -> None:
    """Pass every controller on to the groups below (v2): the kubelet asks for them in its own root."""
    for controller in (folder / "cgroup.controllers").read_text().split():
        with suppress(OSError):  # one that cannot be passed on is the kubelet's to judge
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def members(folder: Path) -> list[int]:
    """Return the pids in `folder` and below."""
    pids: list[int] = []
    for procs in folder.rglob("cgroup.procs"):
        try:
            pids.extend(int(line) for line in procs.read_text().split())
        except OSError:  # the group ended meanwhile
            continue
    return pids


def destroy(name: str) -> list[int]:
    """Kill every member of the node's cgroup and remove it; return the pids that did not end within 10 s."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    folders = [hierarchy / name for hierarchy in hierarchies()]
    while time.monotonic() < deadline:
        left = [pid for folder in folders for pid in members(folder)]
        if not left:
            break
        for pid in set(left):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(POLL_SECONDS)
    for folder in folders:
        _remove(folder)
    return sorted({pid for folder in folders for pid in members(folder)})


def _remove(folder: Path) -> None:
    if not folder.is_dir():
        return
    below = sorted((path for path in folder.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
    for path in [*below, folder]:
        try:
            path.rmdir()
        except OSError:  # a dying member; the caller reports what is left
            continue

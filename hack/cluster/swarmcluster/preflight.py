"""Say everything that this machine lacks at once, each with its remedy: facts are gathered, then judged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from swarmcluster import build, golang, packages, ports, slots, state
from swarmcluster.errors import CommandError, UsageError
from swarmcluster.network import NodeNetwork, parse_routes, pick_slot
from swarmcluster.paths import MAX_STATE_PATH
from swarmcluster.process import alive
from swarmcluster.shell import run

GIB = 1024**3
NODE_MEMORY = 6 * GIB
CONTROL_PLANE_MEMORY = 2 * GIB
DISK = 10 * GIB
BUILT_DISK = 3 * GIB
REGISTRY_SECONDS = 20


@dataclass(frozen=True)
class Facts:
    """What was found on this machine."""

    root: bool
    python: tuple[int, int]
    memory: int
    """Bytes of memory that can be had now."""
    disk: int
    """Free bytes where state and cache are."""
    state_path: str
    missing_packages: tuple[str, ...] = ()
    busy_ports: tuple[int, ...] = ()
    """Stored ports of this cluster that another program has taken."""
    address_error: str = ""
    built: bool = True
    """All binaries are in the cache."""
    go: bool = True
    """A Go compiler is on PATH."""
    registries: dict[str, str] = field(default_factory=dict)
    """Registry → why it cannot be reached."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and what to do."""

    what: str
    remedy: str


REGISTRY_REMEDY = {
    "pip": "set PIP_INDEX_URL or pip's configuration so that `pip download pip` works",
    "apt": "repair /etc/apt so that `apt-get update` works",
    "go": "set GOPROXY so that `go list -m k8s.io/klog/v2@latest` works",
}


def decide(facts: Facts, *, control_plane_only: bool) -> list[Problem]:
    """Return every problem of this machine; an empty list means that the cluster can run."""
    problems = []
    if facts.python < (3, 11):
        found = ".".join(str(part) for part in facts.python)
        problems.append(Problem(f"Python {found}: must be ≥3.11", "run the tool with a newer python3"))
    if not control_plane_only:
        problems += _node_problems(facts)
    need = CONTROL_PLANE_MEMORY if control_plane_only else NODE_MEMORY
    if facts.memory < need:
        what = f"{facts.memory / GIB:.1f} GiB of memory available: must be ≥{need // GIB} GiB"
        problems.append(Problem(what, "stop other programs, or use --control-plane-only"))
    disk = BUILT_DISK if facts.built and control_plane_only else DISK
    if facts.disk < disk:
        what = f"{facts.disk / GIB:.1f} GiB of disk free: must be ≥{disk // GIB} GiB"
        problems.append(Problem(what, "free some, or set XDG_STATE_HOME and XDG_CACHE_HOME to a larger disk"))
    if facts.missing_packages:
        what = f"missing Debian packages: {', '.join(facts.missing_packages)}"
        problems.append(Problem(what, "`hack/cluster/cluster setup-packages` (as root) installs them"))
    for port in facts.busy_ports:
        what = f"port {port} of this cluster is used by another program"
        problems.append(
            Problem(what, f"end that program (`ss -ltnp sport = :{port}`), or `cluster down` and up again")
        )
    for name, error in facts.registries.items():
        problems.append(Problem(f"{name} reaches no registry: {error}", REGISTRY_REMEDY[name]))
    return problems


def _node_problems(facts: Facts) -> list[Problem]:
    problems = []
    if not facts.root:
        what = "a node must be run as root (network namespaces, mounts, cgroups)"
        problems.append(Problem(what, "run with sudo, or use --control-plane-only"))
    if facts.address_error:
        problems.append(
            Problem(facts.address_error, "`hack/cluster/cluster status` shows which clusters there are")
        )
    if len(facts.state_path) > MAX_STATE_PATH:
        what = f"--state {facts.state_path}: must have at most {MAX_STATE_PATH} characters"
        problems.append(Problem(what, "choose a shorter folder: socket paths in it are limited to 107 bytes"))
    return problems


def check(
    folder: Path, *, control_plane_only: bool, registries: bool, before_setup: bool = False
) -> list[Problem]:
    """Gather the facts for the cluster in `folder` and judge them.

    `before_setup`: Debian packages may be missing, as the set-up is about to install them.

    A cluster that already runs is not judged again by what it uses itself.
    """
    if not registries and _runs(folder):
        return []
    facts = gather(folder, control_plane_only=control_plane_only, registries=registries)
    if before_setup:
        facts = replace(facts, missing_packages=())
    return decide(facts, control_plane_only=control_plane_only)


def _runs(folder: Path) -> bool:
    processes = state.load_processes(folder)
    return bool(processes) and all(alive(found) for found in processes.values())


def gather(folder: Path, *, control_plane_only: bool, registries: bool) -> Facts:
    """Look at this machine.

    Args:
        folder: the cluster's state folder.
        control_plane_only: no node is wanted.
        registries: also try the package registries, at most 20 s each.
    """
    programs = ["kubernetes"] if control_plane_only else ["kubernetes", "coredns", "pause"]
    wanted = {
        name: thing
        for name, thing in packages.NODE_PACKAGES.items()
        if name in packages.CONTROL_PLANE_PACKAGES or not control_plane_only
    }
    needed = [name for name in packages.missing(wanted) if name not in packages.OPTIONAL]
    return Facts(
        root=os.geteuid() == 0,
        python=(sys.version_info.major, sys.version_info.minor),
        memory=available_memory(Path("/proc/meminfo").read_text()),
        disk=_free_disk(folder),
        state_path=str(folder),
        missing_packages=tuple(needed),
        busy_ports=_busy_ports(folder),
        address_error="" if control_plane_only else _address_error(folder),
        built=all(build.is_built(name) for name in programs),
        go=golang.on_path() is not None,
        registries=unreachable() if registries else {},
    )


def available_memory(meminfo: str) -> int:
    """Return MemAvailable of the text of /proc/meminfo, in bytes."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _free_disk(folder: Path) -> int:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


def _busy_ports(folder: Path) -> tuple[int, ...]:
    cluster = state.load(folder)
    if cluster is None or cluster.slot is not None or state.load_processes(folder):
        return ()
    own = (cluster.ports.api, cluster.ports.etcd, cluster.ports.etcd_peer, cluster.ports.controller_manager)
    return tuple(port for port in own if not ports.is_free(port))


def _address_error(folder: Path) -> str:
    cluster = state.load(folder)
    if cluster is not None:
        return ""
    try:
        network: NodeNetwork = pick_slot(
            slots.registered(), parse_routes(Path("/proc/net/route").read_text())
        )
    except UsageError as error:
        return str(error)
    del network
    return ""


def unreachable() -> dict[str, str]:
    """Return the registries that cannot be reached, with the reason; each is tried for at most 20 s."""
    probes = {"apt": ["apt-get", "update", "-qq", "-o", "APT::Update::Error-Mode=any"]}
    if find_spec("pip") is not None:  # a bare Python has none; the virtual environment brings its own
        probes["pip"] = [
            *(sys.executable, "-m", "pip", "index", "versions", "pip", "--disable-pip-version-check")
        ]
    if golang.on_path() is not None:
        probes["go"] = ["go", "list", "-m", "k8s.io/klog/v2@latest"]
    errors = {}
    for name, argv in probes.items():
        if shutil.which(argv[0]) is None or (name == "apt" and os.geteuid() != 0):
            continue
        try:
            run(argv, timeout=REGISTRY_SECONDS, cwd=Path("/"))
        except (CommandError, subprocess.SubprocessError) as error:
            errors[name] = str(error).splitlines()[-1]
    return errors

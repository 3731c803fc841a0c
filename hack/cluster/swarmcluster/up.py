"""Bring a cluster up: decide what is missing, start it, wait until it answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from swarmcluster import (
    build,
    certs,
    cgroups,
    components,
    config,
    netns,
    node,
    ports,
    process,
    ready,
    slots,
    state,
)
from swarmcluster.down import failed_logs, remove
from swarmcluster.errors import ClusterError, StartError, UsageError
from swarmcluster.locks import locked
from swarmcluster.paths import check_name, clusters_dir
from swarmcluster.progress import say, step
from swarmcluster.state import Cluster, Ports

LOCK_SECONDS = 900.0
KUBELET_PORT = 10250
START_SECONDS = {"kube-apiserver": 120.0}
DEFAULT_START_SECONDS = 60.0
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KUBECONFIGS = {
    "kubeconfig": "admin",
    "controller-manager.kubeconfig": "controller-manager",
    "scheduler.kubeconfig": "scheduler",
    "kubelet.kubeconfig": "kubelet",
    "kube-proxy.kubeconfig": "kube-proxy",
}


def up(name: str, folder: Path, *, control_plane_only: bool, port: int | None = None) -> Cluster:
    """Start what does not run of cluster `name` and return once all of it is ready.

    Args:
        name: the cluster's name.
        folder: its state folder.
        control_plane_only: etcd, API server and controller manager alone, as any user.
        port: the API server's port; a free one when omitted (6443 inside a node's namespace).

    Raises:
        ClusterError: something did not start; what this call started is stopped, a new cluster is removed.
    """
    check_name(name)
    binaries = build.ensure("kubernetes")
    if not control_plane_only:
        build.ensure_all(["coredns", "pause"])
    with locked(folder.with_name(f"{folder.name}.lock"), timeout=LOCK_SECONDS):
        stored = state.load(folder)
        cluster = _known(stored, name, control_plane_only=control_plane_only, port=port) if stored else None
        with _undone(folder, new=cluster is None):
            if cluster is None:
                cluster = _create(name, folder, control_plane_only=control_plane_only, port=port)
            _start(cluster, binaries)
    return cluster


def _known(stored: Cluster, name: str, *, control_plane_only: bool, port: int | None) -> Cluster:
    kind = "a control plane only" if stored.slot is None else "a node"
    if stored.name != name or control_plane_only != (stored.slot is None):
        raise UsageError(
            f"{stored.state}: holds cluster {stored.name!r}, {kind}; "
            f"choose another --name, or remove it with `hack/cluster/cluster down --name {stored.name}`"
        )
    if port is not None and port != stored.ports.api:
        raise UsageError(
            f"--port {port}: cluster {name!r} was made with port {stored.ports.api}; `down` it first"
        )
    return stored


def _create(name: str, folder: Path, *, control_plane_only: bool, port: int | None) -> Cluster:
    if control_plane_only:
        with locked(clusters_dir() / "ports.lock", timeout=60):
            cluster = Cluster(name, folder, _pick_ports(port), None)
            state.save(cluster)
        return cluster
    with locked(slots.LOCK, timeout=slots.LOCK_SECONDS):
        network = slots.reserve(folder)
    fixed = state.NODE_PORTS
    chosen = Ports(port or fixed.api, fixed.etcd, fixed.etcd_peer, fixed.controller_manager)
    cluster = Cluster(name, folder, chosen, network.slot)
    state.save(cluster)
    return cluster


def _pick_ports(api: int | None) -> Ports:
    others = [
        found
        for path in clusters_dir().glob(f"*/{state.FACTS}")
        if (found := state.load(path.parent)) is not None
    ]
    reserved = [
        port
        for other in others
        if other.slot is None
        for port in (other.ports.api, other.ports.etcd, other.ports.etcd_peer, other.ports.controller_manager)
    ]
    if api is not None and not ports.is_free(api):
        raise UsageError(f"--port {api}: in use on {ports.LOOPBACK}; choose another or omit it")
    first, *rest = [api] if api is not None else ports.pick(1, reserved)
    rest += ports.pick(3, [*reserved, first])
    return Ports(first, *rest)


@contextmanager
def _undone(folder: Path, *, new: bool) -> Iterator[None]:
    """When the body fails or is interrupted, stop what it started; remove the cluster if it was new."""
    before = state.load_processes(folder)
    try:
        yield
    except BaseException as error:
        say("  undoing what was started")
        if new:
            if isinstance(error, ClusterError):
                _keep_logs(folder)
            remove(folder)
            folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
        else:
            now = state.load_processes(folder)
            process.stop([found for name, found in now.items() if before.get(name) != found])
        raise


def _keep_logs(folder: Path) -> None:
    logs = folder / "logs"
    if not logs.is_dir():
        return
    kept = failed_logs(folder)
    kept.mkdir(parents=True, exist_ok=True)
    for log in logs.iterdir():
        log.replace(kept / log.name)
    say(f"  logs kept in {kept}")


def _start(cluster: Cluster, binaries: Path) -> None:
    addresses = ["127.0.0.1", cluster.api_host]
    if cluster.slot is None:
        addresses.append("10.96.0.1")
    else:
        addresses.append(cluster.network.api_service_ip)
        with locked(slots.LOCK, timeout=slots.LOCK_SECONDS):
            slots.reserve_again(cluster.state, cluster.slot)
        node.prepare(cluster)
    wanted = certs.cluster_certificates(cluster.node, tuple(dict.fromkeys(addresses)), cluster.api_host)
    certs.make_all(cluster.pki, wanted)
    for file, identity in KUBECONFIGS.items():
        _write_kubeconfig(cluster, file, identity)
    api = ready.Api(cluster)
    for name in components.names(cluster):
        if name == "kubelet":
            node.load_own_images(cluster)
        _run(cluster, name, binaries, api)
    _settle(cluster, binaries, api)


def _write_kubeconfig(cluster: Cluster, file: str, identity: str) -> None:
    path = cluster.state / file
    if path.exists():
        return
    pki = cluster.pki
    text = config.kubeconfig(
        cluster,
        ca=(pki / "ca.crt").read_bytes(),
        certificate=(pki / f"{identity}.crt").read_bytes(),
        key=(pki / f"{identity}.key").read_bytes(),
    )
    path.touch(mode=0o600)
    path.write_text(text)


def _run(cluster: Cluster, name: str, binaries: Path, api: ready.Api) -> None:
    processes = state.load_processes(cluster.state)
    log = cluster.logs / f"{name}.log"
    known = processes.get(name)
    if known is None or not process.alive(known):
        argv = components.command(cluster, name, binaries)
        known = process.spawn(_placed(cluster, argv), log, _environment())
        state.save_processes(cluster.state, {**processes, name: known})
    checks: dict[str, Callable[[], bool]] = {
        "kube-apiserver": api.ready,
        "containerd": lambda: ready.socket_accepts(cluster.containerd_socket),
        "kubelet": lambda: ready.tcp_accepts(cluster.api_host, KUBELET_PORT) and api.node_ready(cluster.node),
    }
    check = checks.get(name)
    if check is not None and not check():
        seconds = START_SECONDS.get(name, DEFAULT_START_SECONDS)
        with step(f"{name} becomes ready"):
            ready.wait_until(check, f"{name} ready", process=known, log=log, seconds=seconds)


def _placed(cluster: Cluster, argv: list[str]) -> list[str]:
    """Wrap a node's component so that it runs in the node's network and cgroup, under the same pid."""
    if cluster.slot is None:
        return argv
    procs = cgroups.tracking(cluster.network.namespace) / "system" / "cgroup.procs"
    join = 'echo $$ > "$0" && exec "$@"'
    return [*netns.enter(cluster.network), "/bin/sh", "-c", join, str(procs), *argv]


def _environment() -> dict[str, str]:
    """Return the components' environment: no proxy, so that they reach one another directly."""
    return {"PATH": os.environ.get("PATH", "") + ":" + SYSTEM_PATH, "HOME": os.environ.get("HOME", "/")}


def _settle(cluster: Cluster, binaries: Path, api: ready.Api) -> None:
    processes = state.load_processes(cluster.state)
    manager = processes["kube-controller-manager"]
    log = cluster.logs / "kube-controller-manager.log"
    if not api.account_ready():
        with step("kube-controller-manager makes the default ServiceAccount"):
            ready.wait_until(
                api.account_ready, "ServiceAccount default", process=manager, log=log, seconds=60
            )
    for name in components.names(cluster):
        if not process.alive(processes[name]):
            raise StartError(f"{name} ended: see {cluster.logs / name}.log")
    if cluster.slot is not None:
        node.settle_dns(cluster, binaries, processes["kubelet"])

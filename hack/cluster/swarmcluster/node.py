"""What only a node has: network, cgroup, containerd's images, cluster DNS."""

from __future__ import annotations

import re
from pathlib import Path

from swarmcluster import build, cgroups, config, manifests, netns, oci, ready
from swarmcluster.errors import UsageError
from swarmcluster.process import Process
from swarmcluster.progress import step
from swarmcluster.shell import run
from swarmcluster.state import Cluster

RESOLV_CONFS = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))
DNS_SECONDS = 60.0
REGISTRY = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}")
PAUSE = {"Entrypoint": ["/pause"], "User": "65535:65535"}
COREDNS = {"Entrypoint": ["/coredns"], "WorkingDir": "/"}


def nameservers() -> list[str]:
    """Return this machine's nameservers that a node can reach."""
    for path in RESOLV_CONFS:
        if path.exists() and (found := config.usable_nameservers(path.read_text())):
            return found
    return []


def snapshotter(folder: Path, mounts: str) -> str:
    """Return containerd's snapshotter for `folder`: overlayfs cannot stack on overlayfs.

    Args:
        folder: where containerd keeps its layers.
        mounts: the text of /proc/self/mounts.
    """
    best = ("", "")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split()
        inside = folder == Path(point) or Path(point) in folder.parents
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    return "native" if best[1] in {"overlay", "fuse-overlayfs"} else "overlayfs"


def prepare(cluster: Cluster) -> None:
    """Make the node's network, cgroup and configuration files."""
    netns.create(cluster.network)
    cgroups.create(cluster.network.namespace)
    for folder in (
        cluster.run / "cni",
        cluster.state / "cni",
        cluster.state / "kubelet",
        cluster.state / "pod-logs",
    ):
        folder.mkdir(parents=True, exist_ok=True)
    cluster.run.chmod(0o700)
    mounts = Path("/proc/self/mounts").read_text()
    resolv_conf = cluster.state / "resolv.conf"
    resolv_conf.write_text("".join(f"nameserver {server}\n" for server in nameservers()))
    files = {
        "containerd.toml": config.containerd(cluster, snapshotter=snapshotter(cluster.state, mounts)),
        "cni/10-swarmrun.conflist": config.cni(cluster),
        "kubelet.json": config.kubelet(cluster, resolv_conf=str(resolv_conf)),
        "kube-proxy.json": config.kube_proxy(cluster),
    }
    for name, text in files.items():
        (cluster.state / name).write_text(text)


def ctr(cluster: Cluster, *arguments: str | Path, timeout: float = 60) -> str:
    """Run containerd's own client in the kubelet's namespace of the node."""
    return run(["ctr", "-a", cluster.containerd_socket, "-n", "k8s.io", *arguments], timeout=timeout)


def image_names(cluster: Cluster) -> set[str]:
    """Return the names of the images that the node has."""
    return set(ctr(cluster, "images", "ls", "-q").split())


def import_archive(cluster: Cluster, archive: Path) -> None:
    """Load an OCI or Docker archive into the node."""
    ctr(cluster, "images", "import", archive, timeout=600)


def load_own_images(cluster: Cluster) -> None:
    """Load the images of this folder's own programs: pause and CoreDNS."""
    present = image_names(cluster)
    images = (("pause", config.PAUSE_IMAGE, PAUSE), ("coredns", manifests.COREDNS_IMAGE, COREDNS))
    for name, tag, settings in images:
        if tag in present:
            continue
        home = build.ensure(name)
        archive = home / f"{name}.oci.tar"
        if not archive.exists():
            oci.write_archive(archive, tag=tag, files={f"/{name}": home / name}, config=dict(settings))
        with step(f"load image {tag}"):
            import_archive(cluster, archive)


def allow_http_registry(cluster: Cluster, address: str) -> None:
    """Let the node pull from a registry without TLS; containerd reads this at each pull.

    Raises:
        UsageError: the address is not HOST:PORT.
    """
    if not REGISTRY.fullmatch(address):
        raise UsageError(f"--http-registry {address!r}: must be HOST:PORT, such as 10.199.0.1:5000")
    folder = cluster.registries / address
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosts.toml").write_text(config.http_registry(address))


def settle_dns(cluster: Cluster, binaries: Path, kubelet: Process) -> None:
    """Apply the cluster's DNS and wait until it answers at its Service's address, so kube-proxy works too."""

    def answers() -> bool:
        return ready.dns_answers(cluster.network.dns_ip, "kubernetes.default.svc.cluster.local")

    if answers():
        return
    with step("CoreDNS answers"):
        argv: list[str | Path] = [
            binaries / "kubectl",
            "--kubeconfig",
            cluster.kubeconfig,
            "apply",
            "--server-side",
            "--force-conflicts",
        ]
        run([*argv, "-f", "-"], stdin=manifests.coredns(cluster, nameservers()))
        log = cluster.logs / "kubelet.log"
        ready.wait_until(
            answers, f"DNS at {cluster.network.dns_ip}", process=kubelet, log=log, seconds=DNS_SECONDS
        )

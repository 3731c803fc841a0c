"""What is stored of a cluster: the facts chosen at its creation, and the processes that were started."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from swarmcluster.errors import UsageError
from swarmcluster.network import NodeNetwork
from swarmcluster.paths import RUN_ROOT
from swarmcluster.process import Process

FACTS = "cluster.json"
PROCESSES = "processes.json"


@dataclass(frozen=True)
class Ports:
    """The ports of a control plane."""

    api: int
    etcd: int
    etcd_peer: int
    controller_manager: int


NODE_PORTS = Ports(api=6443, etcd=2379, etcd_peer=2380, controller_manager=10257)


@dataclass(frozen=True)
class Cluster:
    """One cluster's stored facts; everything else is derived from them."""

    name: str
    state: Path
    ports: Ports
    slot: int | None
    """The node's address slot; None for a control plane without a node."""

    @property
    def network(self) -> NodeNetwork:
        """The node's addresses.

        Raises:
            UsageError: the cluster has no node.
        """
        if self.slot is None:
            raise UsageError(f"cluster {self.name!r} is a control plane only: it has no node")
        return NodeNetwork(self.slot)

    @property
    def node(self) -> str:
        """The node's name in the API."""
        return f"swarmrun-{self.name}"

    @property
    def api_host(self) -> str:
        """The address of the API server, reached from this machine."""
        return "127.0.0.1" if self.slot is None else self.network.node_ip

    @property
    def api_url(self) -> str:
        """The URL of the API server."""
        return f"https://{self.api_host}:{self.ports.api}"

    @property
    def service_cidr(self) -> str:
        """The range of the Services."""
        return "10.96.0.0/16" if self.slot is None else str(self.network.services)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def pki(self) -> Path:
        """The folder of keys and certificates."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """The folder of the components' logs."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """The folder of the node's sockets; short, because a socket's path has at most 107 bytes."""
        return RUN_ROOT / f"node-{self.slot}"

    @property
    def registries(self) -> Path:
        """The folder where containerd looks up how a registry is reached."""
        return self.state / "registries"

    @property
    def containerd_socket(self) -> Path:
        """The socket of the node's containerd."""
        return self.run / "containerd.sock"


def load(state: Path) -> Cluster | None:
    """Return the cluster stored in `state`, or None if there is none.

    Raises:
        UsageError: the file exists and cannot be read as a cluster.
    """
    path = state / FACTS
    try:
        raw = json.loads(path.read_text())
        return Cluster(raw["name"], state, Ports(**raw["ports"]), raw["slot"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: not a cluster's description ({error!r}); delete the folder") from error


def save(cluster: Cluster) -> None:
    """Store the cluster's facts, readable by its owner only."""
    cluster.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    raw = {"name": cluster.name, "ports": asdict(cluster.ports), "slot": cluster.slot}
    _write(cluster.state / FACTS, json.dumps(raw, indent=1))


def load_processes(state: Path) -> dict[str, Process]:
    """Return the processes started for the cluster in `state`, by component; they may have ended since."""
    try:
        raw = json.loads((state / PROCESSES).read_text())
    except (OSError, ValueError):
        return {}
    return {name: Process(**fields) for name, fields in raw.items()}


def save_processes(state: Path, processes: dict[str, Process]) -> None:
    """Store the started processes; written at once after each start, so that a killed `up` leaks none."""
    _write(
        state / PROCESSES,
        json.dumps({name: asdict(process) for name, process in processes.items()}, indent=1),
    )


def _write(path: Path, text: str) -> None:
    scratch = path.with_suffix(".tmp")
    scratch.write_text(text)
    scratch.rename(path)

"""What runs: every cluster with its components, as found now."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swarmcluster import components, process, slots, state
from swarmcluster.paths import clusters_dir
from swarmcluster.ready import Api
from swarmcluster.state import Cluster


@dataclass(frozen=True)
class Report:
    """One cluster as found now."""

    cluster: Cluster
    running: dict[str, int | None]
    """Component → pid, or None where it does not run."""
    ready: bool


def one(folder: Path) -> list[Report]:
    """Return the report of the cluster in `folder`; empty when there is none."""
    cluster = state.load(folder)
    return [] if cluster is None else [_report(cluster)]


def every() -> list[Report]:
    """Return the reports of this user's clusters and of every registered node that this user may read."""
    nodes = {folder for folder in slots.registered().values() if os.access(folder / state.FACTS, os.R_OK)}
    folders = {path.parent for path in clusters_dir().glob(f"*/{state.FACTS}")} | nodes
    return [report for folder in sorted(folders) for report in one(folder)]


def _report(cluster: Cluster) -> Report:
    processes = state.load_processes(cluster.state)
    running = {
        name: found.pid if (found := processes.get(name)) is not None and process.alive(found) else None
        for name in components.names(cluster)
    }
    client = Api(cluster) if (cluster.pki / "admin.key").exists() else None
    ready = client is not None and None not in running.values() and client.ready()
    if ready and client is not None and cluster.slot is not None:
        ready = client.node_ready(cluster.node)
    return Report(cluster, running, ready)


def render(reports: list[Report]) -> Iterator[str]:
    """Return the lines of `cluster status`."""
    if not reports:
        yield "no cluster; make one with `hack/cluster/cluster up`"
    for report in reports:
        kind = (
            "control plane only"
            if report.cluster.slot is None
            else f"node at {report.cluster.network.node_ip}"
        )
        state_word = "ready" if report.ready else "NOT READY"
        yield f"{report.cluster.name}  {state_word}  {report.cluster.api_url}  ({kind})"
        yield f"  kubeconfig {report.cluster.kubeconfig}"
        yield f"  logs       {report.cluster.logs}"
        for name, pid in report.running.items():
            yield f"  {name:<24} {pid if pid is not None else 'not running'}"

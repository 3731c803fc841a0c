"""What the demo works on: paths, names, and the scale that this machine bears."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
RELEASE = "swarmrun"
SYSTEM_NAMESPACE = "swarmrun-system"
CLUSTER_NAME = "demo"
LABEL = "swarmrun.dev/demo"
"""On every namespace that demo and tests make in a given cluster; no other is changed or deleted."""
GIT_USER = "swarm"
MODEL_PORT = 9000
GIT_PORT = 8080


@dataclass(frozen=True)
class Settings:
    """Options of one demo."""

    example: str = "task-management-api"
    namespace: str = "swarmrun-demo"
    agents: int | None = None
    faults: str = ""
    seed: int = 1
    latency_ms: int = 200
    verify: bool = True
    timeout_seconds: int = 1200
    cluster: str = CLUSTER_NAME
    output: Path = field(default=ROOT / "build" / "demo")

    @property
    def manifest(self) -> Path:
        """The example's SwarmRun."""
        return ROOT / "examples" / self.example / "swarmrun.yaml"


def bearable_agents(wanted: int, cpus: int | None = None) -> int:
    """Return how many agents the demo runs here: two per core, at least two, never more than wanted."""
    cores = cpus if cpus is not None else (os.cpu_count() or 2)
    return max(1, min(wanted, max(2, 2 * cores)))

"""What tests need of the machine, and a real control plane for those that talk to an API server.

A missing requirement skips the test with its name; with CI=true nothing is skipped, so that it fails there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from redis_server import nothing_leaks
from swarmcluster import api, build

__all__ = ["nothing_leaks"]

ROOT = Path(__file__).resolve().parents[1]


def _has_toolchain() -> str:
    if not (ROOT / "build/tools/bin/node").exists():
        return "needs Node.js in build/tools: run `make setup`"
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")) and not shutil.which("initdb"):
        return "needs a PostgreSQL server: apt-get install postgresql-15"
    return ""


def _has_redis() -> str:
    return "" if shutil.which("redis-server") else "needs redis-server: apt-get install redis-server"


def _has_control_plane() -> str:
    built = build.is_built("kubernetes")
    return "" if built else "needs the compiled control plane: hack/cluster/cluster build kubernetes"


def _has_node() -> str:
    return "needs root for a node" if os.geteuid() != 0 else _has_control_plane()


REQUIREMENTS: dict[str, Callable[[], str]] = {
    "toolchain": _has_toolchain,
    "redis": _has_redis,
    "controlplane": _has_control_plane,
    "node": _has_node,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and say why; in CI everything runs."""
    if os.environ.get("CI") == "true":
        return
    missing = {name: reason for name, check in REQUIREMENTS.items() if (reason := check())}
    for item in items:
        for name, reason in missing.items():
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=reason))


@dataclass(frozen=True)
class ControlPlane:
    """A real API server, with the product's CRDs served."""

    info: api.ClusterInfo

    def kubectl(self, *argv: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl against it."""
        command = [str(self.info.bin_dir / "kubectl"), "--kubeconfig", str(self.info.kubeconfig), *argv]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Start etcd, API server and controller manager, and install the CRDs."""
    state = tmp_path_factory.mktemp("cp")
    name = f"test-{os.getpid()}"
    plane = ControlPlane(api.start(name, state, control_plane_only=True))
    try:
        applied = plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        assert applied.returncode == 0, applied.stderr
        waited = plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        assert waited.returncode == 0, waited.stderr
        yield plane
    finally:
        api.stop(name, state)

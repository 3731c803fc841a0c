"""The real node starts, runs a pod that resolves names, and leaves nothing on the machine."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmcluster import api, build, cgroups, config, packages, ready
from swarmcluster.shell import run

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(os.geteuid() != 0, reason="a node needs root"),
    pytest.mark.skipif(
        not all(build.is_built(name) for name in ("kubernetes", "coredns", "pause")),
        reason="run `hack/cluster/cluster build`",
    ),
    pytest.mark.skipif(
        not {"containerd", "runc", "iptables", "containernetworking-plugins"}.isdisjoint(
            packages.missing(packages.NODE_PACKAGES)
        ),
        reason="run `hack/cluster/cluster setup-packages`",
    ),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets below it are limited to 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="swr-") as parent:
        yield Path(parent, "node")


def _traces() -> set[str]:
    namespaces = run(["ip", "netns", "list"]).splitlines()
    links = [item["ifname"] for item in json.loads(run(["ip", "-json", "link"]))]
    rules = [line for line in run(["iptables-save"]).splitlines() if "swarmrun" in line]
    groups = [str(path) for hierarchy in cgroups.hierarchies() for path in hierarchy.glob("swarmrun-*")]
    return {*namespaces, *links, *rules, *groups}


def test_a_node_runs_a_pod_and_is_removed_without_a_trace(folder: Path) -> None:
    before = _traces()
    info = api.start("test-node", folder)
    try:
        cluster = api.existing("test-node", folder)
        kubectl: list[str | Path] = [info.bin_dir / "kubectl", "--kubeconfig", info.kubeconfig]
        run([*kubectl, "run", "p", f"--image={config.PAUSE_IMAGE}", "--image-pull-policy=Never"])
        run([*kubectl, "wait", "pod/p", "--for=condition=Ready", "--timeout=60s"], timeout=70)
        assert ready.dns_answers(cluster.network.dns_ip, "kube-dns.kube-system.svc.cluster.local")
    finally:
        assert api.stop("test-node", folder)
    assert _traces() == before
    mounts = Path("/proc/self/mounts").read_text()
    assert str(folder) not in mounts
    assert str(cluster.run) not in mounts
    assert not folder.exists()

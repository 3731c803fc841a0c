"""Configuration files and command lines, rendered from a cluster's facts."""

import json
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from swarmcluster import certs, components, config, manifests, netns, node
from swarmcluster.errors import UsageError
from swarmcluster.shell import run
from swarmcluster.state import NODE_PORTS, Cluster, Ports

NODE = Cluster("dev", Path("/s/dev"), NODE_PORTS, slot=1)
OTHER = Cluster("two", Path("/s/two"), NODE_PORTS, slot=2)
PLANE = Cluster("cp", Path("/s/cp"), Ports(16443, 16444, 16445, 16446), slot=None)


def test_a_kubeconfig_names_the_server_and_embeds_its_certificates() -> None:
    parsed = yaml.safe_load(config.kubeconfig(PLANE, ca=b"ca", certificate=b"crt", key=b"key"))
    assert parsed["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:16443"
    assert parsed["users"][0]["user"]["client-key-data"] == "a2V5"
    assert parsed["current-context"] == parsed["contexts"][0]["name"] == "swarmrun-cp"


def test_containerd_keeps_all_its_files_in_the_clusters_own_folders() -> None:
    parsed = tomllib.loads(config.containerd(NODE, snapshotter="overlayfs"))
    cri = parsed["plugins"]["io.containerd.grpc.v1.cri"]
    assert parsed["root"] == "/s/dev/containerd"
    assert parsed["grpc"]["address"] == "/run/swarmrun/node-1/containerd.sock"
    assert cri["restrict_oom_score_adj"] is True
    assert cri["sandbox_image"] == config.PAUSE_IMAGE


def test_a_node_pulls_from_a_registry_without_tls_only_if_it_was_told_to(tmp_path: Path) -> None:
    parsed = tomllib.loads(config.containerd(NODE, snapshotter="overlayfs"))
    registry = parsed["plugins"]["io.containerd.grpc.v1.cri"]["registry"]
    assert registry["config_path"] == "/s/dev/registries"
    mine = Cluster("mine", tmp_path, NODE_PORTS, slot=1)
    node.allow_http_registry(mine, "10.199.0.1:5000")
    hosts = tomllib.loads((tmp_path / "registries" / "10.199.0.1:5000" / "hosts.toml").read_text())
    assert hosts["host"] == {"http://10.199.0.1:5000": {"capabilities": ["pull", "resolve"]}}
    for wrong in ("http://10.199.0.1:5000", "../x:1", "registry"):
        with pytest.raises(UsageError, match="must be HOST:PORT"):
            node.allow_http_registry(mine, wrong)


def test_two_nodes_share_no_file_address_or_cgroup() -> None:
    kubelets = [json.loads(config.kubelet(cluster, resolv_conf="/x")) for cluster in (NODE, OTHER)]
    for key in ("cgroupRoot", "containerRuntimeEndpoint", "clusterDNS", "podLogsDir"):
        assert kubelets[0][key] != kubelets[1][key]
    networks = [json.loads(config.cni(cluster)) for cluster in (NODE, OTHER)]
    assert networks[0]["name"] != networks[1]["name"]
    assert networks[0]["plugins"][0]["ipam"]["dataDir"] != networks[1]["plugins"][0]["ipam"]["dataDir"]


def test_the_kubelet_takes_cgroup_v1_and_no_anonymous_callers() -> None:
    kubelet = json.loads(config.kubelet(NODE, resolv_conf="/x"))
    assert kubelet["failCgroupV1"] is False
    assert kubelet["authentication"]["anonymous"]["enabled"] is False


def test_a_nameserver_on_loopback_is_of_no_use_to_a_node() -> None:
    text = "# x\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver ::1\noptions edns0\n"
    assert config.usable_nameservers(text) == ["192.0.2.53"]


def test_without_a_nameserver_the_dns_forwards_nothing() -> None:
    assert "forward" not in manifests.corefile([])
    assert "forward . 192.0.2.53" in manifests.corefile(["192.0.2.53"])


def test_the_dns_service_has_the_address_that_the_kubelet_gives_to_pods() -> None:
    items = json.loads(manifests.coredns(NODE, []))["items"]
    service = next(item for item in items if item["kind"] == "Service")
    assert [service["spec"]["clusterIP"]] == json.loads(config.kubelet(NODE, resolv_conf="/x"))["clusterDNS"]


def test_a_control_plane_listens_on_loopback_only_and_runs_no_node() -> None:
    assert components.names(PLANE) == ("etcd", "kube-apiserver", "kube-controller-manager")
    argv = components.command(PLANE, "kube-apiserver", Path("/b"))
    assert argv[0] == "/b/kube-apiserver"
    assert "--bind-address=127.0.0.1" in argv
    assert "--secure-port=16443" in argv


def test_every_component_of_a_node_has_a_command_line() -> None:
    for name in components.names(NODE):
        assert components.command(NODE, name, Path("/b"))[0] in {f"/b/{name}", name, sys.executable}


def test_a_control_plane_has_no_network() -> None:
    with pytest.raises(UsageError, match="control plane only"):
        _ = PLANE.network


def test_each_rule_on_this_machine_bears_the_nodes_mark() -> None:
    assert all("swarmrun:1" in rule for rule in netns.rules(NODE.network))


def test_the_servers_certificate_is_valid_for_the_service_and_the_address() -> None:
    server = certs.cluster_certificates("n", ("127.0.0.1", "10.96.0.1"), "10.199.0.2")[0]
    text = certs.openssl_config(server)
    assert "DNS:kubernetes.default.svc" in text
    assert "IP:10.96.0.1" in text
    assert "CA:FALSE" in text


def test_certificates_are_made_once_and_chain_to_the_authority(tmp_path: Path) -> None:
    wanted = [certs.Certificate("x", "me", "group", hosts=("localhost",))]
    certs.make_all(tmp_path, wanted)
    before = (tmp_path / "x.crt").read_bytes()
    certs.make_all(tmp_path, wanted)
    assert (tmp_path / "x.crt").read_bytes() == before
    assert run(["openssl", "verify", "-CAfile", tmp_path / "ca.crt", tmp_path / "x.crt"]).endswith("OK\n")
    assert (tmp_path / "x.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ("/dev/vda / ext4 rw 0 0\n", "overlayfs"),
        ("overlay / overlay rw 0 0\n", "native"),
        ("overlay / overlay rw 0 0\n/dev/vdb /s ext4 rw 0 0\n", "overlayfs"),
        ("/dev/vda / ext4 rw 0 0\noverlay /s/devices overlay rw 0 0\n", "overlayfs"),
    ],
)
def test_overlayfs_is_not_stacked_on_overlayfs(mounts: str, expected: str) -> None:
    assert node.snapshotter(Path("/s/dev"), mounts) == expected

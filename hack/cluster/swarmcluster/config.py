"""Configuration files of the components, rendered from a cluster's facts (pure)."""

from __future__ import annotations

import base64
import json
from typing import Any

from swarmcluster.state import Cluster

PAUSE_IMAGE = "localhost/swarmrun-pause:1"
CNI_PLUGINS = "/usr/lib/cni"
Json = dict[str, Any]


def kubeconfig(cluster: Cluster, *, ca: bytes, certificate: bytes, key: bytes) -> str:
    """Return a kubeconfig with embedded certificates; the context bears the cluster's name."""
    name = f"swarmrun-{cluster.name}"

    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    return f"""apiVersion: v1
kind: Config
current-context: {name}
clusters:
- name: {name}
  cluster:
    server: {cluster.api_url}
    certificate-authority-data: {encoded(ca)}
contexts:
- name: {name}
  context:
    cluster: {name}
    user: {name}
users:
- name: {name}
  user:
    client-certificate-data: {encoded(certificate)}
    client-key-data: {encoded(key)}
"""


def containerd(cluster: Cluster, *, snapshotter: str) -> str:
    """Return containerd's configuration (version 2, containerd ≥1.6).

    `restrict_oom_score_adj`: without it no sandbox starts where lowering the score is forbidden.
    """
    return f"""version = 2
root = "{cluster.state}/containerd"
state = "{cluster.run}/containerd"
oom_score = 0

[grpc]
  address = "{cluster.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{CNI_PLUGINS}"
    conf_dir = "{cluster.state}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{cluster.registries}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def http_registry(address: str) -> str:
    """Return containerd's hosts.toml for a registry without TLS at HOST:PORT."""
    url = f"http://{address}"
    return f'server = "{url}"\n\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'


def cni(cluster: Cluster) -> str:
    """Return the pod network: `ptp` routes every packet, so neither a bridge nor br_netfilter is needed."""
    ipam: Json = {
        "type": "host-local",
        "ranges": [[{"subnet": str(cluster.network.pods)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": f"{cluster.run}/cni",
    }
    plugins: list[Json] = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
    ]
    return json.dumps(
        {"cniVersion": "0.4.0", "name": cluster.network.namespace, "plugins": plugins}, indent=1
    )


def kubelet(cluster: Cluster, *, resolv_conf: str) -> str:
    """Return the kubelet's configuration.

    The cgroup root is the cluster's own: kubelets that share one end each other's pods.
    """
    config: Json = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": "0.0.0.0",  # noqa: S104 — inside the node's own network namespace
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{cluster.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{cluster.pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{cluster.pki}/kubelet.key",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cluster.network.namespace}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{cluster.containerd_socket}",
        "clusterDNS": [cluster.network.dns_ip],
        "clusterDomain": "cluster.local",
        "resolvConf": resolv_conf,
        "podLogsDir": f"{cluster.state}/pod-logs",
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        "maxPods": 250,
        "imageGCHighThresholdPercent": 100,
        "imageMaximumGCAge": "0s",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "nodeStatusUpdateFrequency": "10s",
        "syncFrequency": "10s",
        "serializeImagePulls": False,
    }
    return json.dumps(config, indent=1)


def kube_proxy(cluster: Cluster) -> str:
    """Return kube-proxy's configuration; zeros leave the machine's conntrack limits alone."""
    config: Json = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{cluster.state}/kube-proxy.kubeconfig"},
        "hostnameOverride": cluster.node,
        "mode": "iptables",
        "clusterCIDR": str(cluster.network.pods),
        "oomScoreAdj": 0,
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
        "iptables": {"minSyncPeriod": "100ms"},
    }
    return json.dumps(config, indent=1)


def usable_nameservers(resolv_conf: str) -> list[str]:
    """Return the nameservers of a resolv.conf that another network namespace reaches: none on loopback."""
    servers = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if (
            len(words) > 1
            and words[0] == "nameserver"
            and not words[1].startswith("127.")
            and words[1] != "::1"
        ):
            servers.append(words[1])
    return servers

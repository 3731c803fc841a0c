"""Command lines of the components, from a cluster's facts (pure)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from swarmcluster.paths import HACK_DIR
from swarmcluster.state import Cluster

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager")
NODE = (*CONTROL_PLANE, "containerd", "kube-scheduler", "kubelet", "kube-proxy", "network-policies")


def names(cluster: Cluster) -> tuple[str, ...]:
    """Return the cluster's components in the order of their start."""
    return CONTROL_PLANE if cluster.slot is None else NODE


def _etcd(cluster: Cluster) -> list[str]:
    client = f"http://127.0.0.1:{cluster.ports.etcd}"
    peer = f"http://127.0.0.1:{cluster.ports.etcd_peer}"
    return [
        f"--data-dir={cluster.state}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver(cluster: Cluster) -> list[str]:
    pki = cluster.pki
    bind = ["--endpoint-reconciler-type=none"] if cluster.slot is None else ["--allow-privileged=true"]
    return [
        f"--etcd-servers=http://127.0.0.1:{cluster.ports.etcd}",
        f"--bind-address={cluster.api_host}",
        f"--advertise-address={cluster.api_host}",
        f"--secure-port={cluster.ports.api}",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/service-account.pub",
        f"--service-account-signing-key-file={pki}/service-account.key",
        f"--service-cluster-ip-range={cluster.service_cidr}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--kubelet-client-certificate={pki}/kubelet-client.crt",
        f"--kubelet-client-key={pki}/kubelet-client.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--cert-dir={cluster.state}/apiserver",
        "--profiling=false",
        *bind,
    ]


def _controller_manager(cluster: Cluster) -> list[str]:
    return [
        f"--kubeconfig={cluster.state}/controller-manager.kubeconfig",
        f"--service-account-private-key-file={cluster.pki}/service-account.key",
        f"--root-ca-file={cluster.pki}/ca.crt",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--kube-api-qps=200",  # the default of 20 delays the start by seconds
        "--kube-api-burst=400",
        "--bind-address=127.0.0.1",
        f"--secure-port={cluster.ports.controller_manager}",
        f"--cert-dir={cluster.state}/controller-manager",
        "--profiling=false",
    ]


def _scheduler(cluster: Cluster) -> list[str]:
    return [
        f"--kubeconfig={cluster.state}/scheduler.kubeconfig",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--cert-dir={cluster.state}/scheduler",
    ]


def _kubelet(cluster: Cluster) -> list[str]:
    return [
        f"--config={cluster.state}/kubelet.json",
        f"--kubeconfig={cluster.state}/kubelet.kubeconfig",
        f"--hostname-override={cluster.node}",
        f"--node-ip={cluster.network.node_ip}",
        f"--root-dir={cluster.state}/kubelet",
        f"--cert-dir={cluster.pki}",
    ]


def command(cluster: Cluster, name: str, binaries: Path) -> list[str]:
    """Return the command line of component `name`.

    Args:
        cluster: the cluster's facts.
        name: one of `names(cluster)`.
        binaries: the folder of the Kubernetes binaries.
    """
    if name == "network-policies":
        return [sys.executable, str(HACK_DIR / "cluster"), "enforce-policies", "--state", str(cluster.state)]
    if name == "containerd":
        return ["containerd", f"--config={cluster.state}/containerd.toml", "--log-level=warn"]
    renderers: dict[str, Callable[[Cluster], list[str]]] = {
        "etcd": _etcd,
        "kube-apiserver": _apiserver,
        "kube-controller-manager": _controller_manager,
        "kube-scheduler": _scheduler,
        "kubelet": _kubelet,
        "kube-proxy": lambda _: [f"--config={cluster.state}/kube-proxy.json"],
    }
    return [str(binaries / name), *renderers[name](cluster)]

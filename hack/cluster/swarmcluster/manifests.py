"""Objects that every node gets: CoreDNS, under the names and labels of other distributions (pure)."""

from __future__ import annotations

import json
from typing import Any

from swarmcluster.state import Cluster

COREDNS_IMAGE = "localhost/swarmrun-coredns:1"
Json = dict[str, Any]
NAMESPACE = "kube-system"
LABELS = {"k8s-app": "kube-dns"}


def corefile(nameservers: list[str]) -> str:
    """Return CoreDNS' configuration; without a nameserver, names outside the cluster do not exist."""
    forward = (
        f"  forward . {' '.join(nameservers)} {{\n    max_concurrent 1000\n  }}\n" if nameservers else ""
    )
    return (
        ".:53 {\n  errors\n  health {\n    lameduck 1s\n  }\n  ready\n"
        "  kubernetes cluster.local in-addr.arpa ip6.arpa {\n    pods insecure\n"
        "    fallthrough in-addr.arpa ip6.arpa\n    ttl 5\n  }\n"
        f"{forward}  cache 30\n  reload\n}}\n"
    )


def _meta(name: str, *, namespaced: bool = True) -> Json:
    return {"name": name, "labels": LABELS, **({"namespace": NAMESPACE} if namespaced else {})}


def _rbac() -> list[Json]:
    group = "rbac.authorization.k8s.io"
    watch = ["list", "watch"]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta("coredns")},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": _meta("system:coredns", namespaced=False),
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": watch},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watch},
            ],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": _meta("system:coredns", namespaced=False),
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:coredns"},
            "subjects": [{"kind": "ServiceAccount", "name": "coredns", "namespace": NAMESPACE}],
        },
    ]


def _pod() -> Json:
    return {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "containers": [
            {
                "name": "coredns",
                "image": COREDNS_IMAGE,
                "imagePullPolicy": "Never",
                "args": ["-conf", "/etc/coredns/Corefile"],
                "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
                "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 10},
                "resources": {"requests": {"cpu": "20m", "memory": "40Mi"}, "limits": {"memory": "170Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
                },
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }


def _ports() -> list[Json]:
    return [
        {"name": f"dns-{protocol.lower()}", "port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")
    ]


def coredns(cluster: Cluster, nameservers: list[str]) -> str:
    """Return the objects of the cluster's DNS as one JSON list."""
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta("coredns"),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": _pod()},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta("kube-dns"),
        "spec": {"clusterIP": cluster.network.dns_ip, "selector": LABELS, "ports": _ports()},
    }
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _meta("coredns"),
        "data": {"Corefile": corefile(nameservers)},
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [*_rbac(), config, service, deployment]})

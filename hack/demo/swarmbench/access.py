"""The API clients of one cluster, and what several measurements do with them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from swarmdemo.shell import DemoError
from swarmrun.core.api_base import GROUP, VERSION

Json = dict[str, Any]

_NOT_FOUND: Final = 404
_POLL_SECONDS: Final = 0.1
_PLURAL: Final = "swarmruns"
RUN_LABEL: Final = "swarmrun.dev/run"


class Access:
    """Creates, reads and deletes."""

    def __init__(self, kubeconfig: Path) -> None:
        # Any: the client's hints know neither manifests as plain dicts nor raw answers.
        connect: Any = config.new_client_from_config
        self._api: Any = connect(str(kubeconfig))
        self.core: Any = client.CoreV1Api(self._api)
        self.apps: Any = client.AppsV1Api(self._api)
        self._custom: Any = client.CustomObjectsApi(self._api)

    def create_run(self, manifest: Json) -> None:
        """Create a SwarmRun."""
        namespace = manifest["metadata"]["namespace"]
        self._custom.create_namespaced_custom_object(
            GROUP, VERSION, namespace, _PLURAL, manifest, _request_timeout=30
        )

    def create_deployment(self, manifest: Json) -> None:
        """Create a Deployment."""
        self.apps.create_namespaced_deployment(
            manifest["metadata"]["namespace"], manifest, _request_timeout=30
        )

    def deployment(self, namespace: str, name: str) -> Json:
        """Read a Deployment as plain JSON."""
        found = self.apps.read_namespaced_deployment(name, namespace, _request_timeout=30)
        plain: Json = self._api.sanitize_for_serialization(found)
        return plain

    def delete_run(self, namespace: str, name: str, timeout: float = 120) -> None:
        """Delete a SwarmRun and wait until it and its Deployments are gone."""
        self._custom.delete_namespaced_custom_object(
            GROUP, VERSION, namespace, _PLURAL, name, _request_timeout=30
        )
        self._wait_gone(f"SwarmRun {name}", lambda: self._run_is_left(namespace, name), timeout)

    def delete_deployment(self, namespace: str, name: str, timeout: float = 120) -> None:
        """Delete a Deployment and wait until it and its pods are gone."""
        self.apps.delete_namespaced_deployment(
            name, namespace, propagation_policy="Foreground", _request_timeout=30
        )
        selector = f"app.kubernetes.io/name={name}"

        def left() -> bool:
            listings = (self.apps.list_namespaced_deployment, self.core.list_namespaced_pod)
            return any(
                each(namespace, label_selector=selector, _request_timeout=30).items for each in listings
            )

        self._wait_gone(f"Deployment {name}", left, timeout)

    def _run_is_left(self, namespace: str, name: str) -> bool:
        try:
            self._custom.get_namespaced_custom_object(
                GROUP, VERSION, namespace, _PLURAL, name, _request_timeout=30
            )
        except ApiException as error:
            if error.status != _NOT_FOUND:
                raise
        else:
            return True
        found = self.apps.list_namespaced_deployment(
            namespace, label_selector=f"{RUN_LABEL}={name}", _request_timeout=30
        )
        return bool(found.items)

    @staticmethod
    def _wait_gone(what: str, left: Any, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while left():
            if time.monotonic() > deadline:
                raise DemoError(f"{what} is still there {timeout:.0f} s after its deletion")
            time.sleep(_POLL_SECONDS)

    def stats(self, node: str) -> Json:
        """Read a kubelet's statistics, by the API server's proxy."""
        text = self.core.connect_get_node_proxy_with_path(
            node, "stats/summary", _preload_content=False, _request_timeout=10
        )
        summary: Json = json.loads(text.data)
        return summary

    def nodes(self) -> list[str]:
        """Name the nodes."""
        return [str(n.metadata.name) for n in self.core.list_node(_request_timeout=30).items]

    def report(self, namespace: str, run: str) -> Json:
        """Read a finished run's report."""
        found = self.core.read_namespaced_config_map(f"{run}-report", namespace, _request_timeout=30)
        report: Json = json.loads(found.data["report.json"])
        return report

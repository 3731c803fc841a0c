"""Resident memory of the containers of operator and run, as the kubelets report it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from swarmbench.access import Access

#: The kubelet renews its figures about every ten seconds.
_EVERY_SECONDS: Final = 3.0


def resident(summary: Mapping[str, Any], namespaces: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Yield container name and resident bytes from a kubelet's /stats/summary."""
    for pod in summary.get("pods", []):
        if pod["podRef"]["namespace"] in namespaces:
            for container in pod.get("containers", []):
                if (size := container.get("memory", {}).get("rssBytes")) is not None:
                    yield container["name"], int(size)


class Sampler:
    """Collects samples from a thread of its own, while used as a context manager."""

    def __init__(self, access: Access, namespaces: frozenset[str]) -> None:
        self._access, self._namespaces = access, namespaces
        self.samples: dict[str, list[int]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=30)

    def _collect(self) -> None:
        nodes = self._access.nodes()
        while not self._stopped.wait(_EVERY_SECONDS):
            for node in nodes:
                # One missed sample among many does not matter; none at all shows in the table.
                try:
                    summary = self._access.stats(node)
                except (ApiException, HTTPError, OSError):
                    continue
                for name, size in resident(summary, self._namespaces):
                    self.samples.setdefault(name, []).append(size)

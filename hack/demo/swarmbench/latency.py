"""From apply to the first child object that a client sees, beside a Deployment that is created by hand."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from swarmbench import objects
from swarmbench.access import Access
from swarmbench.sightings import Sightings, named
from swarmdemo.settings import Settings

#: The operator applies the hub's Deployment after all other children.
LAST: Final = "hub"
COMPONENTS: Final = ("agents", "merger", "gates", LAST)


@dataclass(frozen=True)
class Latencies:
    """Seconds, one entry per pair."""

    first: list[float] = field(default_factory=list)
    every: list[float] = field(default_factory=list)
    anchor: list[float] = field(default_factory=list)


class Pairs:
    """Measures runs and Deployments in turn, in a namespace that admits no pods."""

    def __init__(self, access: Access, settings: Settings, namespace: str, image: str) -> None:
        self._access, self._settings, self._namespace, self._image = access, settings, namespace, image
        self._seen = Sightings(access.apps.list_namespaced_deployment, namespace, named)

    def _run(self, name: str) -> tuple[float, float]:
        manifest = objects.tiny_run(self._settings, self._namespace, name)
        started = time.monotonic()
        self._access.create_run(manifest)
        times = self._seen.wait(*(f"{name}-{c}" for c in COMPONENTS))
        self._access.delete_run(self._namespace, name)
        return min(times) - started, max(times) - started

    def _deployment(self, name: str) -> float:
        manifest = objects.sleeper(self._namespace, name, self._image)
        started = time.monotonic()
        self._access.create_deployment(manifest)
        (at,) = self._seen.wait(name)
        self._access.delete_deployment(self._namespace, name)
        return at - started

    def measure(self, pairs: int) -> Latencies:
        """Measure; one more pair before the others warms connections up and does not count."""
        found = Latencies()
        try:
            for index in range(pairs + 1):
                # Who comes first changes, so that neither always follows the other's clean-up.
                if index % 2:
                    anchor, (first, every) = self._deployment(f"hand-{index}"), self._run(f"tiny-{index}")
                else:
                    (first, every), anchor = self._run(f"tiny-{index}"), self._deployment(f"hand-{index}")
                if index:
                    found.first.append(first)
                    found.every.append(every)
                    found.anchor.append(anchor)
        finally:
            self._seen.stop()
        return found

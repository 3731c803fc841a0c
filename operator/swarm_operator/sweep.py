"""Finds what watches missed: vanished objects leave no event after a relist, and a stream can fall silent."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from swarm_operator.controller import Controller
from swarm_operator.fairqueue import Key, Lane
from swarm_operator.kube import Kube, KubeError
from swarm_operator.leftovers import Leftovers
from swarm_operator.memory import Memory, Shelf, version
from swarmrun.core.api_base import API_VERSION

logger = logging.getLogger(__name__)

#: Seconds between sweeps.
SWEEP_EVERY: Final = 120.0
#: Seconds after which a sweeper that did not even try counts as dead.
SWEEP_DEAD: Final = 600.0
MANAGED: Final = "app.kubernetes.io/managed-by=swarmrun-operator"


@dataclass
class Sweeper:
    """Compares what is known with what is there."""

    kube: Kube
    memory: Memory
    controller: Controller
    #: Namespaces served; None stands for all.
    namespaces: Sequence[str | None]
    leftovers: Leftovers | None = None
    tried_at: float = field(default_factory=time.monotonic)
    #: Runs that the last sweep knew better than the watch, with the version it saw.
    _behind: dict[Key, int] = field(default_factory=dict)
    watch_is_dead: bool = False

    def _shelves(self) -> list[tuple[str, str, Shelf[Any]]]:
        return [
            ("apps/v1", "Deployment", self.memory.deployments),
            ("v1", "Pod", self.memory.pods),
            (API_VERSION, "SwarmEscalation", self.memory.escalations),
        ]

    async def prime(self) -> None:
        """Learn of all children before the first visit, so that a restart writes nothing."""
        for namespace in self.namespaces:
            for api, kind, shelf in self._shelves():
                for body in await self.kube.list(api, kind, namespace, labels=MANAGED):
                    shelf.put({"apiVersion": api, "kind": kind, **body})

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await asyncio.sleep(SWEEP_EVERY * random.uniform(0.8, 1.2))  # noqa: S311 — spreads load, guards nothing
            self.tried_at = time.monotonic()
            try:
                await self.sweep()
            except KubeError as error:
                logger.warning("sweep failed", extra={"error": str(error)[:300]})

    async def sweep(self) -> None:
        """Compare once."""
        await self._runs()
        for api, kind, shelf in self._shelves():
            alive: list[Any] = []
            for namespace in self.namespaces:
                alive += await self.kube.list(api, kind, namespace, labels=MANAGED, metadata_only=True)
            for key in shelf.keep_only(alive):
                self.controller.wake(key)
        # An operator that sees some namespaces only cannot tell that a run is gone.
        if self.leftovers is not None and None in self.namespaces:
            await self.leftovers.clean(self._uids)

    async def _uids(self) -> frozenset[str]:
        runs = await self.kube.list(API_VERSION, "SwarmRun", None, metadata_only=True)
        return frozenset(str(body["metadata"]["uid"]) for body in runs)

    async def _runs(self) -> None:
        """Visit runs that the watch did not tell of; twice in a row the watch is dead."""
        known = self.memory.versions()
        seen: dict[Key, int] = {}
        for namespace in self.namespaces:
            for body in await self.kube.list(API_VERSION, "SwarmRun", namespace, metadata_only=True):
                meta = body["metadata"]
                seen[Key(meta["namespace"], meta["name"])] = version(body)
        for key in known.keys() - seen.keys():
            self.controller.forget(key)
        behind = {key: new for key, new in seen.items() if new > known.get(key, 0)}
        self.watch_is_dead = any(
            known.get(key, 0) < old for key, old in self._behind.items() if key in behind
        )
        self._behind = behind
        if behind and not self.watch_is_dead:
            logger.info("sweep is ahead of the watch", extra={"runs": len(behind)})

    def problem(self) -> str:
        """Say why the process should be restarted; empty when all is well."""
        if self.watch_is_dead:
            return "the watch of swarmruns has stopped telling of changes"
        if time.monotonic() - self.tried_at > SWEEP_DEAD:
            return "the sweeper has stopped"
        return ""


def lane_of(event_type: str | None, *, first_visit: bool) -> Lane:
    """Choose the lane of a watch event: new runs first, then changes, then the initial list."""
    if first_visit:
        return Lane.FRESH
    return Lane.RESYNC if event_type is None else Lane.CHANGED

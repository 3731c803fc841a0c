"""Gathers everything that a decision may depend on into one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from swarm_operator.fairqueue import Key
from swarm_operator.kube import ForbiddenError, Kube, Ref
from swarm_operator.memory import Memory
from swarm_operator.names import FINALIZER
from swarm_operator.observed import Observed, ProjectSource, QueueView, Run
from swarm_operator.stores import Stores
from swarmrun.core.status import TERMINAL


@dataclass(frozen=True)
class Observer:
    """Looks at runs."""

    kube: Kube
    stores: Stores
    memory: Memory

    async def observe(
        self, key: Key, *, raised_epoch: int | None, refresh: bool, known: tuple[str, ...] | None
    ) -> Observed | None:
        """Look at a run; None when it is gone.

        `known` is what the auditor found lately; None has it asked now.
        """
        run = self.memory.run(key)
        if run is None:
            return None
        over = run.deleting or run.status.phase in TERMINAL
        started = run.status.queue_epoch > 0 or FINALIZER in run.finalizers
        looks = started and not over
        queue = await self.stores.observe(run.uid, audit=known is None) if looks else QueueView()
        return Observed(
            run=run,
            children=self.memory.children(key),
            queue=queue,
            project=None if over else await self._project(run),
            raised_epoch=raised_epoch,
            refresh=refresh,
            violations=_last(queue, known),
        )

    async def _project(self, run: Run) -> ProjectSource | None:
        wish = run.spec.get("projectFrom")
        reference = wish.get("configMapKeyRef") if isinstance(wish, dict) else None
        if not isinstance(reference, dict) or not isinstance(reference.get("name"), str):
            return None
        return await self._text(run, reference)

    async def _text(self, run: Run, reference: dict[str, Any]) -> ProjectSource:
        name, key = reference["name"], reference.get("key") or "project.yaml"
        try:
            body = await self.kube.get(Ref("v1", "ConfigMap", run.namespace, name))
        except ForbiddenError as error:
            return ProjectSource(missing=f"ConfigMap {name!r} may not be read: {error.message}")
        if body is None:
            return ProjectSource(
                missing=f"ConfigMap {name!r} is not in namespace {run.namespace!r}; create it"
            )
        text = (body.get("data") or {}).get(key)
        if not isinstance(text, str):
            return ProjectSource(missing=f"ConfigMap {name!r} has no key {key!r}; add it")
        return ProjectSource(text=text)


def _last(queue: QueueView, known: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Keep an earlier audit as long as the queue that it was about is there."""
    if queue.snapshot is None:
        return None
    return known if queue.audit is None else queue.audit

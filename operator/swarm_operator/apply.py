"""The thin edge that carries decisions out: actions in order, one status write, then the events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from swarm_operator.decision import (
    Action,
    Apply,
    ApplyStatus,
    Delete,
    DeleteRun,
    Enqueue,
    EnsureUsers,
    Open,
    Purge,
    Reap,
    Resolve,
    SetFinalizers,
    SetLimit,
    SetState,
)
from swarm_operator.kube import Kube, NotFoundError, Ref
from swarm_operator.manifests.build import Json, RunTokens
from swarm_operator.memory import Memory
from swarm_operator.observed import Run
from swarm_operator.stores import Stores
from swarmrun.core.api_base import API_VERSION
from swarmrun.core.status import SwarmRunStatus

#: Seconds between two writes of a status whose conditions did not change.
STATUS_EVERY: Final = 5.0
#: Status fields whose change is written at once.
_URGENT: Final = (
    "phase",
    "conditions",
    "plan",
    "queueEpoch",
    "observedGeneration",
    "escalations",
    "reportRef",
)


def run_ref(run: Run) -> Ref:
    """Name the run's object."""
    return Ref(API_VERSION, "SwarmRun", run.namespace, run.name)


def stored_form(status: SwarmRunStatus) -> Json:
    """Render a status as it is stored."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def status_wait(before: Mapping[str, Any], after: Mapping[str, Any], *, since_last: float) -> float | None:
    """Seconds until a status may be written: 0 for now, None when there is nothing to write."""
    if before == after:
        return None
    if any(before.get(name) != after.get(name) for name in _URGENT):
        return 0.0
    return max(0.0, STATUS_EVERY - since_last)


@dataclass(frozen=True)
class Applier:
    """Carries actions out."""

    kube: Kube
    stores: Stores
    memory: Memory
    tokens: Callable[[str], RunTokens]

    async def execute(self, run: Run, action: Action) -> None:  # noqa: C901, PLR0912 — a flat table of actions
        """Carry out one action."""
        queue = self.stores.queue(run.uid)
        match action:
            case SetFinalizers(finalizers):
                await self._finalizers(run, finalizers)
            case Apply(manifests, last):
                await self._apply(manifests, last)
            case ApplyStatus(manifest):
                await self._escalation_status(manifest)
            case Delete(objects):
                await self._delete(run, objects)
            case DeleteRun():
                await self.kube.delete(run_ref(run), uid=run.uid)
            case EnsureUsers():
                await self.stores.ensure_users(run.uid, self.tokens(run.uid))
            case Open(epoch, spent):
                await queue.open(epoch, spent=spent)
            case Enqueue(tasks, plan_hash, attempts, rungs):
                await queue.enqueue(tasks, plan_hash=plan_hash, max_attempts=attempts, rungs=rungs, landed={})
            case SetState(state):
                await queue.set_state(state)
            case SetLimit(limit, tokens, reserve):
                await queue.set_limit(limit, max_tokens=tokens, fix_reserve_micro_usd=reserve)
            case Reap():
                await queue.reap()
            case Resolve(task_id, verb, hint):
                await queue.resolve(task_id, verb, hint)
            case Purge():
                await self.stores.remove_users(run.uid)
                await queue.purge()

    async def write_status(self, run: Run, status: SwarmRunStatus) -> None:
        """Write a status; NotFoundError when the run is gone. The uid keeps it off a successor."""
        manifest = {
            "apiVersion": API_VERSION,
            "kind": "SwarmRun",
            "metadata": {"name": run.name, "namespace": run.namespace, "uid": run.uid},
            "status": stored_form(status),
        }
        self.memory.put_run(await self.kube.apply_status(manifest))

    async def _finalizers(self, run: Run, finalizers: tuple[str, ...]) -> None:
        body = {"metadata": {"finalizers": list(finalizers), "resourceVersion": run.resource_version}}
        try:
            answer = await self.kube.patch(run_ref(run), body)
        except NotFoundError:
            if not run.deleting:
                raise
            return
        # The answer to the last finalizer's removal describes an object that is gone.
        if not run.deleting:
            self.memory.put_run(answer)

    async def _apply(self, manifests: tuple[Json, ...], last: Json | None) -> None:
        ends = await asyncio.gather(*map(self._apply_one, manifests), return_exceptions=True)
        if (failed := next((e for e in ends if isinstance(e, BaseException)), None)) is not None:
            raise failed
        if last is not None:
            await self._apply_one(last)

    async def _apply_one(self, manifest: Json) -> None:
        body = await self.kube.apply(manifest)
        if manifest["kind"] == "Deployment":
            self.memory.deployments.put(body)
        elif manifest["kind"] == "SwarmEscalation":
            self.memory.escalations.put(body)

    async def _escalation_status(self, manifest: Json) -> None:
        try:
            self.memory.escalations.put(await self.kube.apply_status(manifest))
        except NotFoundError:
            return

    async def _delete(self, run: Run, objects: tuple[tuple[str, str, str], ...]) -> None:
        for api, kind, name in objects:
            await self.kube.delete(Ref(api, kind, run.namespace, name))

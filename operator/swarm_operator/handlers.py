"""Kopf's part: watch streams that wake runs. Level-triggered: an event says look, not what happened.

Kopf writes nothing here: no finalizer, no annotation, no event, no status.
"""

from __future__ import annotations

from typing import Any

import kopf

from swarm_operator.connection import Connection
from swarm_operator.controller import Controller
from swarm_operator.fairqueue import Key
from swarm_operator.memory import Shelf, run_key
from swarm_operator.sweep import MANAGED, lane_of
from swarmrun.core.api_base import GROUP, VERSION


def kopf_settings() -> kopf.OperatorSettings:
    """Settings of Kopf: server-side timeouts and selectors, nothing posted, nothing stored."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    for selector in (("apps", "v1", "deployments"), ("", "v1", "pods"), (GROUP, VERSION, "swarmescalations")):
        settings.watching.label_selectors[selector] = MANAGED
    settings.process.ultimate_exiting_timeout = 25
    return settings


def register(connection: Connection, controller: Controller) -> kopf.OperatorRegistry:
    """Register the handlers."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return connection.for_kopf()

    @kopf.on.event(GROUP, VERSION, "swarmruns", registry=registry)
    async def run_event(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 — Kopf names it
        controller.metrics.heard("SwarmRun")
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        if type == "DELETED":
            controller.forget(key)
            return
        if controller.memory.put_run(body):
            status = body.get("status") or {}
            first = int(status.get("observedGeneration", -1)) < 0
            controller.wake(key, lane_of(type, first_visit=first))

    def watch_children(group: str, version: str, plural: str, shelf: Shelf[Any]) -> None:
        @kopf.on.event(group, version, plural, registry=registry, id=f"{plural}_event")
        async def child_event(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 — Kopf names it
            controller.metrics.heard(plural)
            key = run_key(body)
            gone = type == "DELETED"
            changed = shelf.drop(key, body["metadata"]["name"]) if gone else shelf.put(body)
            if changed and controller.memory.run_known(key):
                controller.wake(key)

    watch_children("apps", "v1", "deployments", controller.memory.deployments)
    watch_children("", "v1", "pods", controller.memory.pods)
    watch_children(GROUP, VERSION, "swarmescalations", controller.memory.escalations)
    return registry

"""What this process remembers of the cluster: runs as compact JSON, their watched children as small views.

Fed by watch events and by our own writes, whichever is newer; a sweep removes what vanished without an event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from swarm_operator.fairqueue import Key
from swarm_operator.names import RUN_LABEL
from swarm_operator.observed import Children, DeploymentView, EscalationView, PodView, Run

V = TypeVar("V")


def version(body: Mapping[str, Any]) -> int:
    """Read a resource version; comparable since Kubernetes 1.35, and in practice long before."""
    text = str(body["metadata"].get("resourceVersion", "0"))
    return int(text) if text.isdigit() else 0


def run_key(body: Mapping[str, Any]) -> Key:
    """Key of the run that a child belongs to, or of the run itself."""
    meta = body["metadata"]
    return Key(meta["namespace"], (meta.get("labels") or {}).get(RUN_LABEL) or meta["name"])


@dataclass
class _Kept:
    """A run's body, and how new it and the last watched version are."""

    text: bytes
    version: int
    uid: str


class Shelf(Generic[V]):
    """Views of one kind of children, by run."""

    def __init__(self, read: Callable[[Mapping[str, Any]], V | None]) -> None:
        self._read = read
        self._items: dict[Key, dict[str, tuple[int, V | None]]] = {}

    def put(self, body: Mapping[str, Any]) -> bool:
        """Keep an object if it is newer than what is known; tell whether its view changed."""
        key, name, new = run_key(body), body["metadata"]["name"], version(body)
        items = self._items.setdefault(key, {})
        known = items.get(name)
        if known is not None and known[0] >= new:
            return False
        view = self._read(body)
        items[name] = (new, view)
        return known is None or known[1] != view

    def drop(self, key: Key, name: str) -> bool:
        """Forget an object; tell whether it was known."""
        items = self._items.get(key, {})
        found = items.pop(name, None) is not None
        if not items:
            self._items.pop(key, None)
        return found

    def keep_only(self, alive: Iterable[Mapping[str, Any]]) -> set[Key]:
        """Forget all objects but these; return the runs that lost one."""
        names: dict[Key, set[str]] = {}
        for body in alive:
            names.setdefault(run_key(body), set()).add(body["metadata"]["name"])
        lost = {
            (key, name)
            for key, items in self._items.items()
            for name in items
            if name not in names.get(key, set())
        }
        for key, name in lost:
            self.drop(key, name)
        return {key for key, _ in lost}

    def of(self, key: Key) -> list[V]:
        """Views of a run's objects, by name."""
        return [v for _, (_, v) in sorted(self._items.get(key, {}).items()) if v is not None]


@dataclass
class Memory:
    """All that is known."""

    _runs: dict[Key, _Kept] = field(default_factory=dict)
    deployments: Shelf[DeploymentView] = field(default_factory=lambda: Shelf(DeploymentView.of))
    pods: Shelf[PodView] = field(default_factory=lambda: Shelf(PodView.of))
    escalations: Shelf[EscalationView] = field(default_factory=lambda: Shelf(EscalationView.of))

    def put_run(self, body: Mapping[str, Any]) -> bool:
        """Keep a run if it is newer than what is known."""
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        uid, new = body["metadata"]["uid"], version(body)
        known = self._runs.get(key)
        if known is not None and known.uid == uid and known.version >= new:
            return False
        meta = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
        slim = {
            "metadata": meta,
            "spec": dict(body.get("spec") or {}),
            "status": dict(body.get("status") or {}),
        }
        self._runs[key] = _Kept(json.dumps(slim, separators=(",", ":")).encode(), new, uid)
        return True

    def drop_run(self, key: Key) -> str:
        """Forget a run; return its uid, or nothing."""
        kept = self._runs.pop(key, None)
        return kept.uid if kept else ""

    def run(self, key: Key) -> Run | None:
        """Return a run as it was last seen."""
        kept = self._runs.get(key)
        return Run.of(json.loads(kept.text)) if kept else None

    def run_known(self, key: Key) -> bool:
        """Tell whether a run is known."""
        return key in self._runs

    def versions(self) -> dict[Key, int]:
        """Resource versions of all known runs."""
        return {key: kept.version for key, kept in self._runs.items()}

    def children(self, key: Key) -> Children:
        """Return a run's watched children."""
        return Children(
            deployments={d.name: d for d in self.deployments.of(key)},
            pods=tuple(self.pods.of(key)),
            escalations=tuple(self.escalations.of(key)),
        )

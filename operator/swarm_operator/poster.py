"""Posts events of our own. A repeated event raises the count of the first instead of making another."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from swarm_operator.kube import ConflictError, Kube, KubeError, Ref
from swarm_operator.manifests.event import event
from swarm_operator.observed import Run
from swarm_operator.transitions import Notice
from swarmrun.telemetry import redact

logger = logging.getLogger(__name__)

#: Events remembered; older ones start anew.
REMEMBERED: Final = 2048
#: Seconds in which the same event is a repetition.
WINDOW: Final = 600.0
#: Shortest time in seconds between two writes of the same event.
PATCH_EVERY: Final = 60.0


@dataclass
class _Series:
    name: str
    began: float
    written: float
    count: int = 1


class Poster:
    """Posts events and remembers the recent ones."""

    def __init__(self, kube: Kube, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._clock = clock
        self._recent: OrderedDict[str, _Series] = OrderedDict()

    async def post(self, run: Run, notice: Notice) -> None:
        """Post an event, or count it; a failure is logged and forgotten, for events are a courtesy."""
        now = self._clock()
        note = redact(notice.note)
        digest = hashlib.sha256(f"{run.uid}/{notice.reason}/{note}".encode()).hexdigest()[:12]
        series = self._recent.get(digest)
        try:
            if series is None or now - series.began > WINDOW:
                await self._first(run, notice, note, digest, now)
            else:
                await self._again(run, series, now)
        except KubeError as error:
            fields = {"run": run.name, "namespace": run.namespace, "error": str(error)}
            logger.warning("event not posted", extra=fields)

    async def _first(self, run: Run, notice: Notice, note: str, digest: str, now: float) -> None:
        name = f"{run.name}.{digest}{int(now) & 0xFFFFFFFF:08x}"
        self._recent[digest] = _Series(name, now, now)
        self._recent.move_to_end(digest)
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        manifest = event(
            run.namespace,
            run.name,
            run.uid,
            name=name,
            type_=notice.type,
            reason=notice.reason,
            note=note,
            time=_micro(now),
        )
        try:
            await self._kube.create(manifest)
        except ConflictError:
            return

    async def _again(self, run: Run, series: _Series, now: float) -> None:
        series.count += 1
        if now - series.written < PATCH_EVERY:
            return
        series.written = now
        body = {"series": {"count": series.count, "lastObservedTime": _micro(now)}}
        await self._kube.patch(Ref("events.k8s.io/v1", "Event", run.namespace, series.name), body)


def _micro(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

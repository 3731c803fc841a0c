"""Tells the queue of the state of repository and gates, and leaves documents; repeats itself seldom."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from swarmrun.core.sandbox import StepResult
from swarmrun.queue.port import MergeQueue, Signal, TestTotals

_REPEAT: Final = 30.0
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reporter:
    """Remembers what was said last. `now` gives seconds since the epoch."""

    queue: MergeQueue
    now: Callable[[], float]
    _last: dict[str, tuple[Signal, float]] = field(default_factory=dict)

    async def signal(self, component: str, *, ok: bool, reason: str, message: str = "") -> None:
        """Report a component, when it is news or was not said for 30 s."""
        signal = Signal(ok=ok, reason=reason, message=message[:500])
        before, at = self._last.get(component, (None, 0.0))
        if signal == before and self.now() - at < _REPEAT:
            return
        if signal != before:
            log.info("state changed", extra={"component": component, "ok": ok, "reason": reason})
        await self.queue.signal(component, signal)
        self._last[component] = (signal, self.now())

    async def receipt(self, totals: TestTotals, tree: str, steps: Sequence[StepResult]) -> None:
        """Keep the figures and the proof of a green run: commit, tree, commands with exit codes."""
        await self.queue.record_tests(totals)
        await self.queue.put_document("gates", gate_document(totals, tree, steps, at=self.now()))


def gate_document(totals: TestTotals, tree: str, steps: Sequence[StepResult], *, at: float) -> dict[str, Any]:
    """Write the receipt of a gate run as JSON."""
    return {
        "commit": totals.commit,
        "tree": tree,
        "steps": [
            {"name": s.name, "exit_code": s.exit_code, "seconds": round(s.duration_seconds, 3)}
            for s in steps[:50]
        ],
        "tests": {
            "passing": totals.passing,
            "total": totals.total,
            "coverage_percent": totals.coverage_percent,
        },
        "at": at,
    }

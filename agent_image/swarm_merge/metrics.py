"""Prometheus series of the merger. One registry per process; never a task id as a label."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_LABELS: Final = ("namespace", "run")
_SECONDS: Final = (0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640)


class MergeMetrics:
    """The merger's series, bound to one run."""

    def __init__(self, *, namespace: str, run: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._run = (namespace, run)
        self._landed = self._counter("landed", "Change sets that landed on the target branch.")
        self._rejected = self._counter("rejected", "Change sets refused, by kind.", "outcome")
        self._pushes = self._counter("pushes", "Pushes to the target branch, by outcome.", "outcome")
        self._failures = self._counter(
            "infrastructure_failures", "Rounds and gate runs ended by infrastructure.", "outcome"
        )
        self._gate = Histogram(
            "swarmrun_merge_gate_seconds",
            "Duration of gate runs, by outcome.",
            (*_LABELS, "outcome"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._batch = Histogram(
            "swarmrun_merge_batch_size",
            "Change sets judged by one gate run.",
            _LABELS,
            buckets=(1, 2, 4, 8, 16),
            registry=self.registry,
        )
        self._depth = Gauge(
            "swarmrun_merge_queue_depth",
            "Submissions that waited at the last look.",
            _LABELS,
            registry=self.registry,
        )
        self._landed.labels(*self._run)
        self._depth.labels(*self._run)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"swarmrun_merge_{name}", text, (*_LABELS, *labels), registry=self.registry)

    def landed(self, count: int) -> None:
        """Count change sets that landed."""
        self._landed.labels(*self._run).inc(count)

    def rejected(self, kind: str) -> None:
        """Count one refused change set."""
        self._rejected.labels(*self._run, kind).inc()

    def pushed(self, outcome: str) -> None:
        """Count one push."""
        self._pushes.labels(*self._run, outcome).inc()

    def gate_run(self, seconds: float, outcome: str, size: int) -> None:
        """Note one gate run."""
        self._gate.labels(*self._run, outcome).observe(seconds)
        if size:
            self._batch.labels(*self._run).observe(size)

    def depth(self, waiting: int) -> None:
        """Note how many submissions wait."""
        self._depth.labels(*self._run).set(waiting)

    def failed_round(self, reason: str) -> None:
        """Count a round that infrastructure ended."""
        self._failures.labels(*self._run, reason).inc()

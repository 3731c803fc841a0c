"""The operator's metrics. Series of a run live as long as the run: they are collected from what is known."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from swarm_operator.fairqueue import Key
from swarm_operator.observed import Observed
from swarmrun.core.money import MICRO
from swarmrun.core.status import SwarmRunStatus
from swarmrun.queue.port import Totals


@dataclass(frozen=True)
class _Figures:
    phase: str
    tasks: dict[tuple[str, str], int]
    agents: dict[str, int]
    totals: Totals | None
    violations: int | None


@dataclass(eq=False)
class _Runs(Collector):
    """Series of all known runs."""

    figures: dict[Key, _Figures] = field(default_factory=dict)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the present series."""
        labels = ["namespace", "run"]
        tasks = GaugeMetricFamily(
            "swarmrun_tasks", "Tasks by type and state.", labels=[*labels, "type", "state"]
        )
        agents = GaugeMetricFamily("swarmrun_agents", "Agents by state.", labels=[*labels, "state"])
        budget = GaugeMetricFamily("swarmrun_budget_usd", "Budget by kind.", labels=[*labels, "kind"])
        phase = GaugeMetricFamily("swarmrun_run_phase", "1 for the run's phase.", labels=[*labels, "phase"])
        violations = GaugeMetricFamily(
            "swarmrun_queue_invariant_violations",
            "Where the queue disagreed with itself at the last audit, one a minute; at most 20 are counted.",
            labels=labels,
        )
        for (namespace, run), known in list(self.figures.items()):
            phase.add_metric([namespace, run, known.phase], 1)
            for (type_, state), count in known.tasks.items():
                tasks.add_metric([namespace, run, type_, state], count)
            for state, count in known.agents.items():
                agents.add_metric([namespace, run, state], count)
            if known.totals is not None:
                for kind in ("limit", "reserved", "spent"):
                    value = getattr(known.totals, f"{kind}_micro_usd") / MICRO
                    budget.add_metric([namespace, run, kind], value)
            if known.violations is not None:
                violations.add_metric([namespace, run], known.violations)
        yield from (tasks, agents, budget, phase, violations)


class Metrics:
    """All metrics of the process."""

    def __init__(self, depth: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._runs = _Runs()
        self.registry.register(self._runs)
        self.registry.register(_Depth(depth))
        self._reconcile = Histogram(
            "swarmrun_reconcile_duration_seconds",
            "Duration of a visit to a run.",
            ["outcome"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=self.registry,
        )
        self._wait = Histogram(
            "swarmrun_reconcile_wait_seconds",
            "Time that a run waited for its visit.",
            buckets=(0.001, 0.01, 0.1, 0.5, 1, 2.5, 10, 60),
            registry=self.registry,
        )
        self._events = Counter(
            "swarmrun_watch_events", "Watch events received.", ["kind"], registry=self.registry
        )

    def reconciled(self, outcome: str, seconds: float) -> None:
        """Count a visit."""
        self._reconcile.labels(outcome).observe(seconds)

    def waited(self, seconds: float) -> None:
        """Count how long a run waited for its visit."""
        self._wait.observe(seconds)

    def heard(self, kind: str) -> None:
        """Count a watch event."""
        self._events.labels(kind).inc()

    def show(self, observed: Observed, status: SwarmRunStatus) -> None:
        """Show a run's figures; those that this look does not know stay as they were."""
        key = Key(observed.run.namespace, observed.run.name)
        snapshot, found = observed.queue.snapshot, observed.violations
        before = self._runs.figures.get(key)
        counts = status.agents
        if snapshot is not None:
            tasks = dict(Tally((t.type.value, t.state.value) for t in snapshot.tasks))
        else:
            tasks = before.tasks if before else {}
        agents = {} if counts is None else counts.model_dump()
        totals = snapshot.totals if snapshot else (before.totals if before else None)
        violations = len(found) if found is not None else (before.violations if before else None)
        self._runs.figures[key] = _Figures(status.phase.value, tasks, agents, totals, violations)

    def forget(self, key: Key) -> None:
        """Let a run's series vanish."""
        self._runs.figures.pop(key, None)


@dataclass(eq=False)
class _Depth(Collector):
    depth: Callable[[], int]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the present depth."""
        family = GaugeMetricFamily("swarmrun_reconcile_queue_depth", "Runs that wait for their visit.")
        family.add_metric([], self.depth())
        yield family

"""Figures for Prometheus. A task id is never a label; models are those of the run's policy or "other"."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from swarmrun.core.money import MICRO
from swarmrun.core.pricing import TokenUsage
from swarmrun.queue.port import Totals

_M = TypeVar("_M", Counter, Histogram)
_RUN: Final = ("namespace", "run")
_MOST_CHILDREN: Final = 1024
_BUCKETS: Final = (0.005, 0.02, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600)


class HubMetrics:
    """The metrics of one hub, in a registry of their own."""

    def __init__(self, namespace: str, run: str, provider: str) -> None:
        self.registry = CollectorRegistry()
        self._run = (namespace, run)
        self._provider = provider
        # Finding a child by its labels costs more than counting; there are few.
        self._child = lru_cache(_MOST_CHILDREN)(_child)
        self._requests = Counter(
            "swarmrun_llm_requests_total",
            "Model calls by outcome.",
            (*_RUN, "provider", "model", "outcome"),
            registry=self.registry,
        )
        self._tokens = Counter(
            "swarmrun_llm_tokens_total",
            "Tokens that the provider reported.",
            (*_RUN, "kind"),
            registry=self.registry,
        )
        self._cost = Counter(
            "swarmrun_llm_cost_usd_total",
            "Money spent on model calls; calls of unknown usage count at their worst case.",
            (*_RUN, "model", "task_type"),
            registry=self.registry,
        )
        self._budget = Gauge(
            "swarmrun_budget_usd", "The run's ledger.", (*_RUN, "kind"), registry=self.registry
        )
        self._duration = Histogram(
            "swarmrun_hub_request_duration_seconds",
            "Duration of requests to the hub, long polls and streams included.",
            (*_RUN, "route", "code"),
            registry=self.registry,
            buckets=_BUCKETS,
        )

    def request(self, model: str, outcome: str, provider: str = "") -> None:
        """Count a model call; `provider` is a route's label, the first one's by default."""
        self._child(self._requests, *self._run, provider or self._provider, model, outcome).inc()

    def spent(self, model: str, task_type: str, micro_usd: int, usage: TokenUsage | None) -> None:
        """Add a settled call."""
        self._child(self._cost, *self._run, model, task_type).inc(micro_usd / MICRO)
        if usage is None:
            return
        kinds = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cache_read": usage.cache_read_tokens,
            "cache_write": usage.cache_write_tokens + usage.cache_write_long_tokens,
        }
        for kind, tokens in kinds.items():
            self._child(self._tokens, *self._run, kind).inc(tokens)

    def served(self, route: str, code: int, seconds: float) -> None:
        """Observe a request to the hub; `route` is the pattern, not the path."""
        self._child(self._duration, *self._run, route, str(code)).observe(seconds)

    def budget(self, totals: Totals) -> None:
        """Show the ledger."""
        for kind, micro_usd in (
            ("limit", totals.limit_micro_usd),
            ("spent", totals.spent_micro_usd),
            ("reserved", totals.reserved_micro_usd),
        ):
            self._budget.labels(*self._run, kind).set(micro_usd / MICRO)

    def render(self) -> bytes:
        """Render the text format."""
        return generate_latest(self.registry)


def _child(metric: _M, *labels: str) -> _M:
    return metric.labels(*labels)

"""Renders docs/reference/metrics.md from the metric objects of operator, hub and merger themselves."""

from __future__ import annotations

import sys
from typing import Final

from hack.docs.generated import cell, note, write_or_compare
from prometheus_client import CollectorRegistry

from swarm_hub.metrics import HubMetrics
from swarm_merge.metrics import MergeMetrics
from swarm_operator.metrics import Metrics

PAGE: Final = "docs/reference/metrics.md"
_INTRO: Final = """# Metrics

Operator, hub and merger answer `GET /metrics` on port 9090 in the Prometheus text format. A task id is
never a label. The operator's series of a run vanish with the run. Labels `namespace` and `run`
name the SwarmRun.
"""


def _labels(registry: CollectorRegistry, name: str, family: object) -> tuple[str, ...]:
    collector = registry._names_to_collectors.get(name)  # noqa: SLF001 — the library lists metrics without samples nowhere else
    return tuple(getattr(collector, "_labelnames", ()) or getattr(family, "_labelnames", ()))


def _table(registry: CollectorRegistry) -> str:
    rows = []
    for family in sorted(registry.collect(), key=lambda f: f.name):
        if not family.name.startswith("swarmrun_"):
            continue
        labels = ", ".join(f"`{label}`" for label in _labels(registry, family.name, family))
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(f"| `{name}` | {family.type} | {labels} | {cell(family.documentation)} |")
    return "\n".join(["| series | type | labels | meaning |", "|---|---|---|---|", *rows]) + "\n"


def page() -> str:
    """Render the page."""
    sections = (
        ("Operator", Metrics(lambda: 0).registry),
        ("Hub", HubMetrics("", "", "").registry),
        ("Merger", MergeMetrics(namespace="", run="").registry),
    )
    body = "\n".join(f"## {title}\n\n{_table(registry)}" for title, registry in sections)
    return note("the metrics modules of operator, hub and merger") + _INTRO + "\n" + body


if __name__ == "__main__":
    sys.exit(write_or_compare({PAGE: page()}, check="--check" in sys.argv))

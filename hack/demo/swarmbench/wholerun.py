"""One whole run of an example: first agent, first claim, memory, efficiency."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from swarmbench import objects as shapes
from swarmbench.access import RUN_LABEL, Access
from swarmbench.efficiency import Efficiency, efficiency
from swarmbench.memory import Sampler
from swarmbench.sightings import Sightings, running
from swarmdemo import objects, watch
from swarmdemo.settings import SYSTEM_NAMESPACE, Settings
from swarmdemo.shell import DemoError, Tools
from swarmrun.core.plan import build_plan
from swarmrun.core.project import parse_project
from swarmrun.profiles import load, names

#: How often pods of the same shape are started by hand.
ANCHORS: Final = 3


@dataclass(frozen=True)
class WholeRun:
    """Seconds, and bytes per container name."""

    first_agent: float
    anchor_agent: list[float]
    first_claim: float
    memory: dict[str, list[int]]
    efficiency: Efficiency
    report: dict[str, Any]


def dependencies(project: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Plan a project as the operator does, and return what each task depends on."""
    parsed = parse_project(dict(project), profiles=[load(name) for name in names()])
    return {t.id: frozenset(t.depends_on) for t in build_plan(parsed, load(parsed.profile)).tasks}


def first_claim(report: Mapping[str, Any], start_time: str, applied: float) -> float:
    """Seconds from the apply to the first claim. Compares the cluster's clock with this machine's.

    Args:
        report: the run's report.
        start_time: the run's `status.startTime`, to which the report's times are relative.
        applied: seconds since the epoch, by this machine's clock.
    """
    claims = [t["claimedAfter"] for t in report["tasks"] if t["claimedAfter"] is not None]
    return datetime.fromisoformat(start_time).timestamp() + float(min(claims)) - applied


def _anchor(access: Access, agents: dict[str, Any], number: int) -> float:
    name = f"same-shape-{number}"
    manifest = shapes.same_shape(agents, name)
    namespace = manifest["metadata"]["namespace"]
    seen = Sightings(
        access.core.list_namespaced_pod, namespace, running, label_selector=f"app.kubernetes.io/name={name}"
    )
    try:
        started = time.monotonic()
        access.create_deployment(manifest)
        at = seen.first(name)
        access.delete_deployment(namespace, name)
        return at - started
    finally:
        seen.stop()


def measure(access: Access, tools: Tools, settings: Settings, agents: int) -> WholeRun:
    """Build the example once and measure.

    Raises:
        DemoError: the run failed, or stalled.
    """
    manifest = objects.swarm_run(settings, agents)
    name, namespace = manifest["metadata"]["name"], settings.namespace
    chosen = f"{RUN_LABEL}={name},app.kubernetes.io/component=agent"
    seen = Sightings(access.core.list_namespaced_pod, namespace, running, label_selector=chosen)
    try:
        with Sampler(access, frozenset({namespace, SYSTEM_NAMESPACE})) as sampler:
            applied, started = time.time(), time.monotonic()
            access.create_run(manifest)
            first_agent = seen.first(name, timeout=180) - started
            shape = access.deployment(namespace, f"{name}-agents")
            run = watch.follow(tools, settings, name)
    finally:
        seen.stop()
    if watch.condition(run, "Succeeded").get("status") != "True":
        raise DemoError(f"the run did not succeed: {watch.condition(run, 'Succeeded').get('message')}")
    report = access.report(namespace, name)
    return WholeRun(
        first_agent=first_agent,
        anchor_agent=[_anchor(access, shape, n) for n in range(ANCHORS)],
        first_claim=first_claim(report, run["status"]["startTime"], applied),
        memory=sampler.samples,
        efficiency=efficiency(report["tasks"], dependencies(manifest["spec"]["project"]), agents),
        report=report,
    )

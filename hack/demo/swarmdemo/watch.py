"""Follows a run to its end, one line per change."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from swarmcluster.progress import say
from swarmdemo.settings import Settings
from swarmdemo.shell import DemoError, Tools

POLL_SECONDS = 2.0


def condition(run: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return one condition of a run, or an empty dict."""
    conditions = run.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


def line(run: dict[str, Any]) -> str:
    """Summarise a run in one line."""
    status = run.get("status", {})
    agents, cost, tests = status.get("agents", {}), status.get("cost", {}), status.get("tests", {})
    return (
        f"{status.get('phase', ''):<12} {status.get('progress', ''):>7} tasks   "
        f"{agents.get('working', 0)}/{agents.get('ready', 0)} agents working   "
        f"tests {tests.get('summary') or '-'} ({tests.get('coveragePercent', 0)}%)   "
        f"${cost.get('spentUSD', '0.00')}"
    )


def _runs(tools: Tools, settings: Settings, name: str, deadline: float) -> Iterator[dict[str, Any]]:
    while time.monotonic() < deadline:
        yield json.loads(tools.kubectl("-n", settings.namespace, "get", "swarmrun", name, "-o", "json"))
        time.sleep(POLL_SECONDS)


def follow(
    tools: Tools, settings: Settings, name: str, *, each: Callable[[dict[str, Any]], None] = lambda _run: None
) -> dict[str, Any]:
    """Print the run's progress until it is finished; return it. `each` sees the run at every look.

    Raises:
        DemoError: it stalled, or took longer than the demo's timeout.
    """
    started, last, run = time.monotonic(), "", {}
    for run in _runs(tools, settings, name, started + settings.timeout_seconds):
        each(run)
        text = line(run)
        if text != last:
            say(f"  {time.monotonic() - started:5.0f} s  {text}")
            last = text
        if condition(run, "Finished").get("status") == "True":
            return run
        stalled = condition(run, "Stalled")
        if stalled.get("status") == "True":
            raise DemoError(f"the run is stalled: {stalled.get('reason')}: {stalled.get('message')}")
    raise DemoError(f"the run did not end within {settings.timeout_seconds} s; last seen: {line(run)}")

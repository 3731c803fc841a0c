"""Follows a run until it ends. Time comes in as two functions, so that tests need no waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from swarm_cli import dashboard
from swarm_cli.kubectl import RUNS, Kubectl, KubectlError
from swarm_cli.manifest import now
from swarm_cli.output import Out

INTERVAL_SECONDS: Final = 2.0
#: Failed looks in a row after which watching ends; an API server may restart in between.
PATIENCE: Final = 15
TIMED_OUT: Final = 2


@dataclass(frozen=True, slots=True)
class Clock:
    """Monotonic seconds, and how to wait."""

    seconds: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def observe(
    get: Callable[[], dict[str, Any]], clock: Clock, timeout_seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield the run again and again until it has ended or the time is over.

    Raises:
        KubectlError: the run does not exist, or could not be read `PATIENCE` times in a row.
    """
    deadline = clock.seconds() + timeout_seconds
    failures = 0
    while True:
        try:
            run = get()
            failures = 0
        except KubectlError as error:
            failures += 1
            if error.not_found or failures >= PATIENCE:
                raise
        else:
            yield run
            if dashboard.outcome(run):
                return
        if clock.seconds() >= deadline:
            return
        clock.sleep(INTERVAL_SECONDS)


def wait(out: Out, kubectl: Kubectl, name: str, *, timeout_seconds: float, clock: Clock | None = None) -> int:
    """Wait for the end: 0 succeeded, 1 failed or cancelled, 2 timeout."""
    ended = ""
    for run in observe(lambda: kubectl.get(RUNS, name), clock or Clock(), timeout_seconds):
        ended = dashboard.outcome(run)
    if not ended:
        out.error(f"swarmrun/{name} did not end within {dashboard.duration(timeout_seconds)}")
        return TIMED_OUT
    out.line(f"swarmrun/{name} {ended}")
    return 0 if ended == "succeeded" else 1


def watch(out: Out, kubectl: Kubectl, name: str, *, ascii_only: bool, clock: Clock | None = None) -> int:
    """Keep the dashboard current on a terminal; elsewhere print it whenever it changes."""
    style = dashboard.Style(unicode=out.unicode and not ascii_only)
    looks = observe(lambda: kubectl.get(RUNS, name), clock or Clock(), float("inf"))
    ended = ""
    if not out.console.is_terminal:
        last: list[str] = []
        for run in looks:
            lines = dashboard.lines(run, style, now())
            if lines != last:
                out.markup([*lines, ""])
            last, ended = lines, dashboard.outcome(run)
        return 0 if ended == "succeeded" else 1
    with Live(console=out.console, auto_refresh=False) as live:
        for run in looks:
            lines = dashboard.lines(run, style, now())
            live.update(Group(*(Text.from_markup(line) for line in lines)), refresh=True)
            ended = dashboard.outcome(run)
    return 0 if ended == "succeeded" else 1

"""The values of a scenario: what is asked for, what came out, and the dice that a seed throws."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """What a violation broke."""

    LOST = "lost"
    DOUBLE = "double"
    OVERSPEND = "overspend"
    REFUSAL = "refusal"
    LATE = "late"
    STUCK = "stuck"


@dataclass(frozen=True)
class Violation:
    """One broken promise: its kind and the facts that show it."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Scale:
    """How much of each scenario is run. Times in seconds."""

    seed: int = 1
    #: agents, rollback: tasks that are open at least while events go on.
    ahead: int = 300
    #: agents: kill -9 and STOP/CONT events.
    events: int = 1_000
    #: redis-kill: kills of the server, and acknowledged writes over all.
    kills: int = 200
    writes: int = 1_000_000
    #: rollback: FLUSHALLs and cuts of the AOF, alternating, and what a cut takes away.
    rollbacks: int = 16
    cut_seconds: float = 10.0
    #: rollback: runs of `MAX_TASKS` tasks that are built again against the clock.
    rebuilt_runs: int = 20
    #: proxy: faulty calls.
    calls: int = 1_200
    #: clocks: tasks done under wrong clocks.
    tasks: int = 1_000
    #: budget: callers, and calls of each.
    callers: int = 1_000
    calls_each: int = 50


@dataclass(frozen=True)
class Outcome:
    """What a scenario did and found."""

    scenario: str
    events: int
    acknowledged: int
    #: Slowest recovery in seconds, None where nothing recovers.
    recovered: float | None
    violations: Sequence[Violation] = ()
    #: Further figures, one line.
    note: str = ""

    def count(self, kind: Kind) -> int:
        """Count the violations of one kind."""
        return sum(found.kind is kind for found in self.violations)


@dataclass(frozen=True)
class Site:
    """Where the processes of a scenario meet: the store, the run's uid, the folder of journals and branch."""

    url: str
    uid: str
    folder: Path
    ttl: int = 2
    seed: int = 1
    #: Share of submissions that the merger turns down, and of claims that agents give up.
    mishaps: float = 0.0
    #: Seconds that a task takes at most.
    work: float = 0.2


@dataclass
class Progress:
    """Lines for the person who waits."""

    scenario: str
    shown: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Print a line."""
        self.shown.append(text)
        print(f"  {self.scenario}: {text}", flush=True)


def dice(seed: int, *names: object) -> random.Random:
    """Return the random numbers of one place, the same for the same seed."""
    return random.Random(f"{seed}/{'/'.join(map(str, names))}")  # noqa: S311 — faults, not secrets

"""Agents, a merger and a second operator live under clocks that are an hour wrong, and jump meanwhile.

Nothing may follow from it: no lease ends early, none lasts longer, no holder is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from swarmchaos import agent, checker, merger
from swarmchaos.journal import Ack, Reader, acknowledged
from swarmchaos.steward import Steward
from swarmchaos.store import ALWAYS, Store
from swarmchaos.values import Kind, Outcome, Progress, Scale, Site, Violation, dice
from swarmchaos.workload import plan
from swarmrun.queue.rules import MAX_TASKS

_AGENTS: Final = 4
_HOURS: Final = (-1, 1, -1, 1)
_JUMP_EVERY: Final = 1.5
_KILL_EVERY: Final = 2.5
_TTL: Final = 2
_PROMISE: Final = 1.0
_END_SECONDS: Final = 180.0
_LIBRARIES: Final = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/local/lib/faketime/libfaketime.so.1")
_MISSING: Final = "libfaketime must be installed: apt-get install faketime"


def _library() -> str:
    found = [str(path) for pattern in _LIBRARIES for path in Path("/").glob(pattern.lstrip("/"))]
    if not found or shutil.which("faketime") is None:
        raise FileNotFoundError(_MISSING)
    return found[0]


@dataclass
class _Skewed:
    """Processes under clocks of their own. The monotonic clock stays, as when a machine's time is set."""

    site: Site
    library: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    jumps: int = 0

    def start(self, role: str, name: str, hours: int) -> None:
        """Start `python -m swarmchaos.wrong_clocks role name` so many hours off."""
        self.set(name, hours)
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "LD_PRELOAD": self.library,
            "FAKETIME_TIMESTAMP_FILE": str(self._clock(name)),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        site = self.site
        argv = [role, name, site.url, site.uid, str(site.folder), str(site.seed), repr(time.time())]
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", "swarmchaos.wrong_clocks", *argv], env=env
        )

    def set(self, name: str, hours: int) -> None:
        """Set a process's clock."""
        fresh = self._clock(name).with_suffix(".new")
        fresh.write_text(f"{hours:+}h\n")
        fresh.replace(self._clock(name))
        self.jumps += 1

    def kill(self, name: str) -> float:
        """Kill a process; returns when, by the monotonic clock."""
        at = time.monotonic()
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        return at

    def _clock(self, name: str) -> Path:
        return self.site.folder / f"{name}.clock"


@contextlib.contextmanager
def _skewed(site: Site) -> Iterator[_Skewed]:
    skewed = _Skewed(site, _library())
    try:
        yield skewed
    finally:
        for name in list(skewed.processes):
            skewed.kill(name)


async def _reap(site: Site, _: str) -> None:
    steward = Steward(site.url, site.uid)
    while True:
        await steward.queue.reap()
        await asyncio.sleep(site.ttl / 4)


def _main(argv: list[str]) -> None:
    role, name, url, uid, folder, seed, real = argv
    skew = abs(time.time() - float(real))
    # Proof that the clock is wrong: without it, the scenario would show nothing.
    if not 3_000 < skew < 4_200:  # noqa: PLR2004 — an hour, give or take a slow start
        raise SystemExit(f"{name}: the clock is {skew:.0f} s off, should be an hour")
    site = Site(url, uid, Path(folder), ttl=_TTL, seed=int(seed))
    works = {"agent": agent.run, "merger": merger.run, "reaper": _reap}
    asyncio.run(works[role](site, name))


async def run(folder: Path, scale: Scale, progress: Progress) -> Outcome:
    """Run the scenario."""
    with Store(folder, *ALWAYS) as store:
        site = Site(store.url, "chaos-clocks", folder, ttl=_TTL, seed=scale.seed)
        await merger.create_repository(folder)
        steward = Steward(store.url, site.uid)
        steward.tasks = plan(0, min(scale.tasks, MAX_TASKS))
        await steward.open()
        reader = Reader(folder)
        with _skewed(site) as skewed:
            for number in range(_AGENTS):
                skewed.start("agent", f"agent-{number}", _HOURS[number % len(_HOURS)])
            skewed.start("merger", "merger-0", -1)
            skewed.start("reaper", "reaper-0", 1)
            acks, deaths, ended = await _chaos(skewed, reader, len(steward.tasks), scale)
            unfit = [name for name, process in skewed.processes.items() if process.poll() is not None]
        on_branch = await merger.commits(folder)
        states, commits = await steward.states(), await steward.commits()
    progress.say(f"{len(on_branch)} tasks landed under wrong clocks")
    seconds = checker.recoveries(acks, deaths, urgent=steward.urgent)
    violations = [
        *checker.branch([task.id for task in steward.tasks], on_branch),
        *checker.agreement(states, commits, on_branch),
        *judge(acks),
        *checker.late(seconds, _TTL + _PROMISE),
        *(Violation(Kind.STUCK, f"{name} has ended") for name in unfit),
        *([] if ended else [Violation(Kind.STUCK, f"work did not end within {_END_SECONDS:.0f} s")]),
    ]
    note = f"clocks an hour off, set {skewed.jumps} times; {len(deaths) // agent.PODS} agents killed"
    return Outcome("clocks", skewed.jumps, acknowledged(acks), max(seconds, default=None), violations, note)


def judge(acks: list[Ack]) -> list[Violation]:
    """Judge a history in which nobody is frozen: every holder is alive or dead, and none hears STALE."""
    return [
        *checker.refused_holders(acks),
        *checker.tokens_given_twice(acks),
        *checker.stale_accepted(acks),
        *checker.done_twice(acks),
    ]


async def _chaos(
    skewed: _Skewed, reader: Reader, tasks: int, scale: Scale
) -> tuple[list[Ack], list[tuple[float, str]], bool]:
    rng = dice(scale.seed, "clocks")
    acks: list[Ack] = []
    deaths: list[tuple[float, str]] = []
    landed = set[str]()
    began = time.monotonic()
    next_jump, next_kill, names = began + _JUMP_EVERY, began + _KILL_EVERY, _AGENTS
    while len(landed) < tasks and time.monotonic() < began + _END_SECONDS:
        await asyncio.sleep(0.1)
        new = reader.new()
        acks += new
        landed |= {ack.task for ack in new if ack.what == "land"}
        now = time.monotonic()
        if now >= next_jump:
            next_jump = now + _JUMP_EVERY
            skewed.set(rng.choice(sorted(skewed.processes)), rng.choice(_HOURS))
        agents = sorted(name for name in skewed.processes if name.startswith("agent"))
        if now >= next_kill and agents:
            next_kill = now + _KILL_EVERY
            victim = rng.choice(agents)
            at = skewed.kill(victim)
            deaths += [(at, f"{victim}.{pod}") for pod in range(agent.PODS)]
            skewed.start("agent", f"agent-{names}", rng.choice(_HOURS))
            names += 1
    return acks + reader.new(), deaths, len(landed) >= tasks


if __name__ == "__main__":
    _main(sys.argv[1:])

"""Agents and mergers are killed by kill -9 and frozen past their leases, many times, while work goes on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Final

from swarmchaos import agent, checker, merger
from swarmchaos.fleet import Fleet
from swarmchaos.journal import Ack, Reader, acknowledged
from swarmchaos.steward import Steward
from swarmchaos.store import ALWAYS, Store
from swarmchaos.values import Kind, Outcome, Progress, Scale, Site, Violation, dice
from swarmchaos.workload import plan

_AGENTS: Final = 8
_MERGERS: Final = 2
#: Share of tasks that agents give up or fail, and that the merger turns down; longest work in seconds.
_MISHAPS: Final = 0.04
_WORK: Final = 0.6
_LOOK: Final = 0.3
_PACE: Final = 0.07
_FROZEN_AT_MOST: Final = 3
_END_SECONDS: Final = 120.0
#: An expired lease's task is ready again within so many seconds.
_PROMISE: Final = 1.0


class _Chaos:
    def __init__(self, site: Site, fleet: Fleet, steward: Steward, scale: Scale) -> None:
        self._site, self._fleet, self._steward, self._scale = site, fleet, steward, scale
        self._rng = dice(scale.seed, "agents")
        self._reader = Reader(site.folder)
        self.acks: list[Ack] = []
        self.deaths: list[tuple[float, str]] = []
        self._landed: set[str] = set()
        self._names = 0
        self.kills = self.freezes = self.restarts = 0

    async def run(self) -> None:
        """Let the events happen."""
        for _ in range(_AGENTS):
            self._spawn("agent")
        for _ in range(_MERGERS):
            self._spawn("merger")
        for _ in range(self._scale.events):
            await self._top_up()
            self._look_after()
            self._event()
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) * _PACE)

    async def drain(self) -> bool:
        """Let all work end; tell whether it did."""
        deadline = time.monotonic() + _END_SECONDS
        # The store is asked, for answers to a killed merger are on nobody's record.
        while not (ended := await self._steward.ended()) and time.monotonic() < deadline:
            self._look_after()
            await asyncio.sleep(_LOOK)
        self._open()
        return ended

    def _look_after(self) -> None:
        """Wake who has slept enough; restart who ended by himself, as a container is."""
        self._fleet.thaw()
        for name in self._fleet.dead():
            self._fleet.kill(name)
            self._spawn(name.partition("-")[0], name)
            self.restarts += 1

    def _open(self) -> int:
        """Read what is new; count the tasks that have not landed."""
        new = self._reader.new()
        self.acks += new
        self._landed |= {ack.task for ack in new if ack.what == "land" and ack.reply in {"OK", "DUP"}}
        return len(self._steward.tasks) - len(self._landed)

    async def _top_up(self) -> None:
        if self._open() < self._scale.ahead:
            await self._steward.enqueue(plan(len(self._steward.tasks), self._scale.ahead))

    def _spawn(self, role: str, name: str = "") -> None:
        self._names += not name
        work = agent.run if role == "agent" else merger.run
        self._fleet.start(work, name or f"{role}-{self._names}")

    def _event(self) -> None:
        role = "agent" if self._rng.random() < 0.9 else "merger"  # noqa: PLR2004 — mergers are few
        victims = self._fleet.running(role)
        frozen = len(self._fleet.members) - len(self._fleet.running(""))
        if not victims:
            return
        name = self._rng.choice(victims)
        if self._rng.random() < 0.5 or frozen >= _FROZEN_AT_MOST:  # noqa: PLR2004 — half and half
            at = self._fleet.kill(name)
            self.kills += 1
            # Half of the containers restart in their pod, the others are replaced by another pod.
            self._spawn(role, name if self._rng.random() < 0.5 else "")  # noqa: PLR2004 — half and half
        else:
            at = self._fleet.freeze(name, self._site.ttl * self._rng.uniform(0.5, 2.0))
            self.freezes += 1
        self.deaths += [(at, f"{name}.{pod}") for pod in range(agent.PODS) if role == "agent"]


async def run(folder: Path, scale: Scale, progress: Progress) -> Outcome:
    """Run the scenario."""
    with Store(folder, *ALWAYS) as store:
        site = Site(store.url, "chaos-agents", folder, seed=scale.seed, mishaps=_MISHAPS, work=_WORK)
        await merger.create_repository(folder)
        steward = Steward(store.url, site.uid)
        steward.tasks = plan(0, scale.ahead * 2)
        await steward.open()
        looking = asyncio.create_task(steward.work())
        with Fleet(site) as fleet:
            chaos = _Chaos(site, fleet, steward, scale)
            await chaos.run()
            progress.say(f"{chaos.kills} kills, {chaos.freezes} freezes; waiting for the work to end")
            ended = await chaos.drain()
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        return await _judge(chaos, steward, folder, ended=ended)


async def _judge(chaos: _Chaos, steward: Steward, folder: Path, *, ended: bool) -> Outcome:
    acks = chaos.acks
    ttl = Site("", "", folder).ttl
    on_branch = await merger.commits(folder)
    seconds = checker.recoveries(acks, chaos.deaths, urgent=steward.urgent)
    violations = [
        *checker.branch([task.id for task in steward.tasks], on_branch),
        *checker.agreement(await steward.states(), await steward.commits(), on_branch),
        *checker.tokens_given_twice(acks),
        *checker.stale_accepted(acks),
        *checker.done_twice(acks),
        *checker.late(seconds, ttl + _PROMISE),
        *([] if ended else [Violation(Kind.STUCK, f"work did not end within {_END_SECONDS:.0f} s")]),
    ]
    stale = sum(ack.reply == "STALE" for ack in acks)
    note = (
        f"{chaos.kills} kill -9, {chaos.freezes} STOP/CONT, {chaos.restarts} restarts; "
        f"{len(on_branch)} commits; {stale} STALE answers; {len(seconds)} recoveries measured"
    )
    events = chaos.kills + chaos.freezes
    return Outcome("agents", events, acknowledged(acks), max(seconds, default=None), violations, note)

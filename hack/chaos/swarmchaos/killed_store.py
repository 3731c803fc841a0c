"""The server is killed by kill -9 in a loop, while many writers have every acknowledged write on record.

After each start the store is compared with the record; when a run is done, with its whole history.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from swarmchaos import checker, writer
from swarmchaos.fleet import Fleet
from swarmchaos.journal import Ack, Reader, acknowledged
from swarmchaos.steward import LIMIT, MAX_ATTEMPTS
from swarmchaos.store import ALWAYS, Store
from swarmchaos.values import Kind, Outcome, Progress, Scale, Site, Violation, dice
from swarmchaos.workload import plan
from swarmrun.core.task import TaskState
from swarmrun.queue.port import RunState, Snapshot
from swarmrun.queue.redis import RedisQueue, connect

_WRITERS: Final = 2
#: Runs that are open at a time: the one at work, and the next ones for those who find nothing to do.
_AHEAD: Final = 3
_LOOK: Final = 0.01
_STALL_SECONDS: Final = 60.0
_SAID_EVERY: Final = 50


@dataclass
class _Loop:
    site: Site
    store: Store
    scale: Scale
    reader: Reader
    #: Answers of the runs that are not judged yet.
    acks: dict[str, list[Ack]] = field(default_factory=lambda: defaultdict(list))
    done: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    violations: list[Violation] = field(default_factory=list)
    written: int = 0
    opened: int = 0
    epoch: int = 1
    judged: int = 0
    slowest: float = 0.0

    async def until(self, target: int) -> bool:
        """Read answers until `target` writes were acknowledged, runs open ahead. False: nothing moves."""
        deadline = time.monotonic() + _STALL_SECONDS
        while self.written < target:
            if self._read():
                deadline = time.monotonic() + _STALL_SECONDS
            if time.monotonic() > deadline:
                self.violations.append(
                    Violation(Kind.STUCK, f"nothing was written for {_STALL_SECONDS:.0f} s")
                )
                return False
            await self._turn_over()
            await asyncio.sleep(_LOOK)
        return True

    def _read(self) -> int:
        new = self.reader.new()
        for ack in new:
            self.acks[ack.run].append(ack)
            if ack.what == "land":
                self.done[ack.run].add(ack.task)
        count = acknowledged(new)
        self.written += count
        return count

    async def _turn_over(self) -> None:
        """Open runs ahead; judge and remove those that are done."""
        while self.opened < self.judged + _AHEAD:
            await self._open(self.opened)
            self.opened += 1
        while len(self.done[writer.uid_of(self.site, self.judged)]) >= writer.SIZE:
            await self._retire(self.judged)
            self.judged += 1

    async def _open(self, number: int) -> None:
        client = connect(self.store.url)
        queue = RedisQueue(client, writer.uid_of(self.site, number))
        await queue.open(self.epoch)
        tasks = plan(0, writer.SIZE, chained=False)
        await queue.enqueue(tasks, plan_hash="plan", max_attempts=MAX_ATTEMPTS, landed={})
        await queue.set_limit(LIMIT)
        await queue.set_state(RunState.ACTIVE)
        await queue.mark_landed({}, epoch=self.epoch)
        await client.aclose()

    async def _reopen(self) -> None:
        """Do as the operator does after a restart: raise the epoch. Nothing is said to have landed."""
        self.epoch += 1
        client = connect(self.store.url)
        for number in range(self.judged, self.opened):
            queue = RedisQueue(client, writer.uid_of(self.site, number))
            await queue.open(self.epoch)
            # The branch would name what has landed; the store must know it by itself.
            await queue.mark_landed({}, epoch=self.epoch)
        await client.aclose()

    async def _retire(self, number: int) -> None:
        uid = writer.uid_of(self.site, number)
        # Writers answer late what they wrote last; nothing more comes once the run is over.
        await asyncio.sleep(_LOOK * 10)
        self._read()
        self.violations += judge(self.acks[uid], uid, await self._snapshot(uid))
        client = connect(self.store.url)
        await RedisQueue(client, uid).purge()
        await client.aclose()
        del self.acks[uid], self.done[uid]

    async def _snapshot(self, uid: str) -> Snapshot:
        client = connect(self.store.url)
        snapshot = await RedisQueue(client, uid).snapshot()
        await client.aclose()
        return snapshot

    async def kill(self) -> None:
        """Kill, start, and compare what was answered before with what is there."""
        at = time.monotonic()
        self.store.kill()
        self.store.start()
        self._read()
        known = {uid: list(acks) for uid, acks in self.acks.items() if acks}
        for uid, acks in known.items():
            states, commits = facts(uid, await self._snapshot(uid))
            self.violations += checker.writes_lost(acks, states, commits)
        await self._reopen()
        before = self.written
        if await self.until(before + 1):
            first = min((a.ended for acks in self.acks.values() for a in acks if a.began > at), default=at)
            self.slowest = max(self.slowest, first - at)


def facts(uid: str, snapshot: Snapshot) -> tuple[dict[str, dict[str, TaskState]], dict[str, dict[str, str]]]:
    """Return the states and the commits of a run."""
    states = {uid: {task.id: task.state for task in snapshot.tasks}}
    return states, {uid: {task.id: task.commit for task in snapshot.tasks if task.commit}}


def judge(acks: list[Ack], uid: str, snapshot: Snapshot) -> list[Violation]:
    """Judge the whole history of a run that is done."""
    states, commits = facts(uid, snapshot)
    named = [(task, f"commit-{task}") for task in states[uid]]
    return [
        *checker.writes_lost(acks, states, commits),
        *checker.agreement(states[uid], commits[uid], named),
        *checker.claims_lost(acks),
        *checker.refused_holders(acks),
        *checker.tokens_given_twice(acks),
        *checker.stale_accepted(acks),
        *checker.done_twice(acks),
    ]


async def run(folder: Path, scale: Scale, progress: Progress) -> Outcome:
    """Run the scenario."""
    with Store(folder, *ALWAYS) as store:
        site = Site(store.url, "chaos-kill", folder, seed=scale.seed)
        loop = _Loop(site, store, scale, Reader(folder))
        rng, kills = dice(scale.seed, "redis-kill"), 0
        with Fleet(site) as fleet:
            for number in range(_WRITERS):
                fleet.start(writer.run, f"writer-{number}")
            fleet.start(writer.merge, "merger")
            # A tenth of the writes follows the last kill.
            step = scale.writes * 0.9 / max(1, scale.kills)
            while kills < scale.kills and await loop.until(loop.written + int(step * rng.uniform(0.5, 1.3))):
                await asyncio.sleep(rng.random() * 0.05)
                await loop.kill()
                kills += 1
                if kills % _SAID_EVERY == 0:
                    progress.say(f"{kills} kills, {loop.written:,} acknowledged writes")
            await loop.until(scale.writes)
            dead = fleet.dead()
        violations = [*loop.violations, *(Violation(Kind.STUCK, f"{name} has ended") for name in dead)]
        agents, judged = _WRITERS * writer.PODS, loop.judged
        note = f"{agents} concurrent agents; {judged} runs of {writer.SIZE} tasks done and judged"
        return Outcome("redis-kill", kills, loop.written, loop.slowest, violations, note)

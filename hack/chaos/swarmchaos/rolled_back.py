"""The store forgets, while agents hold leases and go on: FLUSHALL, or an AOF cut by its last seconds.

The operator's part raises the epoch and builds the queue again; the branch is what must be right in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from swarmchaos import agent, checker, merger
from swarmchaos.fleet import Fleet
from swarmchaos.journal import Ack, Reader, acknowledged
from swarmchaos.rebuild import rebuild
from swarmchaos.steward import Steward
from swarmchaos.store import GROWING, Store
from swarmchaos.values import Kind, Outcome, Progress, Scale, Site, Violation, dice
from swarmchaos.workload import change_set, plan
from swarmrun.core.task import Lease, Reply
from swarmrun.queue.redis import RedisQueue
from swarmrun.queue.rules import MAX_TASKS

_AGENTS: Final = 6
#: Seconds between the operator's looks: what has happened to the store shows to it at its next one.
_LOOK_EVERY: Final = 0.5
_SAMPLE_EVERY: Final = 0.1
_WORK: Final = 0.5
_BETWEEN: Final = 2.0
_OPEN_SECONDS: Final = 30.0
_END_SECONDS: Final = 120.0
_PROBES: Final = 200


@dataclass
class _Loop:
    site: Site
    store: Store
    steward: Steward
    reader: Reader
    #: As an agent's, for calls with forgotten tokens.
    queue: RedisQueue
    ahead: int
    acks: list[Ack] = field(default_factory=list)
    landed: set[str] = field(default_factory=set)
    #: (time, bytes of the AOF), newest last.
    sizes: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=10_000))
    slowest: float = 0.0
    cut_bytes: int = 0
    probed: int = 0
    #: What was found on the branch, in a line.
    branch: str = ""
    violations: list[Violation] = field(default_factory=list)

    async def work(self, seconds: float) -> None:
        """Let agents work, and watch the AOF grow."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.sizes.append((time.monotonic(), self.store.aof_size()))
            await self._top_up()
            await asyncio.sleep(_SAMPLE_EVERY)

    def read(self) -> None:
        """Read the answers that are new."""
        new = self.reader.new()
        self.acks += new
        self.landed |= {ack.task for ack in new if ack.what == "land"}

    async def _top_up(self) -> None:
        self.read()
        planned = len(self.steward.tasks)
        if planned - len(self.landed) < self.ahead and planned + self.ahead <= MAX_TASKS:
            await self.steward.enqueue(plan(planned, self.ahead))

    async def forget_all(self) -> None:
        """FLUSHALL: no token given so far may be accepted again."""
        at = time.monotonic()
        await self.steward.client.flushall()
        await self._reopened(at, forgotten_since=0.0, forgotten_until=at)

    async def forget(self, seconds: float) -> None:
        """Kill the server, cut the last `seconds` off its AOF, start it: a restored backup."""
        self.store.kill()
        at = time.monotonic()
        since, size = next((s for s in self.sizes if s[0] >= at - seconds), (at, self.store.aof_size()))
        self.cut_bytes += self.store.cut(size)
        self.store.start()
        await self._reopened(at, forgotten_since=since, forgotten_until=at)

    async def _reopened(self, at: float, *, forgotten_since: float, forgotten_until: float) -> None:
        """Wait until the operator has opened the queue again; then try every token that was forgotten."""
        opened = await self.steward.until(lambda: self.steward.openings[-1][1] > at, seconds=_OPEN_SECONDS)
        if not opened:
            self.violations.append(Violation(Kind.STUCK, "the queue was not opened again"))
            return
        self.slowest = max(self.slowest, self.steward.openings[-1][1] - at)
        self.sizes.clear()
        self.read()
        forgotten = [
            ack
            for ack in self.acks
            if ack.what == "claim" and forgotten_since < ack.began and ack.ended < forgotten_until
        ]
        self.violations += await self._probe(forgotten[-_PROBES:])

    async def _probe(self, forgotten: Iterable[Ack]) -> list[Violation]:
        found = []
        for ack in forgotten:
            lease = Lease(
                task_id=ack.task, token=ack.token, agent="agent-0", attempt=1, ttl_seconds=self.site.ttl
            )
            replies = [
                await self.queue.heartbeat(lease),
                await self.queue.submit(lease, change_set(ack.task, f"{ack.token} too late")),
            ]
            self.probed += len(replies)
            if replies != [Reply.STALE, Reply.STALE]:
                told = f"token {ack.token}, forgotten by the store, was answered {', '.join(replies)}"
                found.append(Violation(Kind.DOUBLE, f"{ack.task}: {told}"))
        return found

    async def drain(self) -> bool:
        """Let all work end; tell whether it did."""
        deadline = time.monotonic() + _END_SECONDS
        while time.monotonic() < deadline:
            on_branch = {task for task, _ in await merger.commits(self.site.folder)}
            if len(on_branch) >= len(self.steward.tasks):
                return True
            await asyncio.sleep(0.5)
        return False


async def run(folder: Path, scale: Scale, progress: Progress) -> Outcome:
    """Run the scenario."""
    with Store(folder, *GROWING) as store:
        site = Site(store.url, "chaos-rollback", folder, seed=scale.seed, work=_WORK)
        await merger.create_repository(folder)
        steward = Steward(store.url, site.uid, look_every=_LOOK_EVERY)
        steward.tasks = plan(0, scale.ahead * 2)
        await steward.open()
        looking = asyncio.create_task(steward.work())
        loop = _Loop(site, store, steward, Reader(folder), RedisQueue(steward.client, site.uid), scale.ahead)
        with Fleet(site) as fleet:
            await _events(loop, fleet, scale)
            ended = await loop.drain()
        # The last landings may be news to the queue.
        settled = await _settled(steward)
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        loop.read()
        violations = await _judge(loop, ended=ended and settled)
        progress.say(
            f"{len(loop.steward.tasks)} tasks on the branch; building {scale.rebuilt_runs} runs again"
        )
        rebuilt = await rebuild(store, scale.rebuilt_runs)
    violations += rebuilt.violations
    note = (
        f"{loop.branch}; {loop.cut_bytes:,} bytes cut; {loop.probed} calls with forgotten tokens; "
        f"{rebuilt.tasks:,} tasks built again in {rebuilt.seconds:.1f} s"
    )
    return Outcome("rollback", scale.rollbacks, acknowledged(loop.acks), loop.slowest, violations, note)


async def _events(loop: _Loop, fleet: Fleet, scale: Scale) -> None:
    rng = dice(scale.seed, "rollback")
    for number in range(_AGENTS):
        fleet.start(agent.run, f"agent-{number}")
    fleet.start(merger.run, "merger-0")
    for number in range(scale.rollbacks):
        if number % 2 == 0:
            await loop.work(_BETWEEN * rng.uniform(0.5, 1.5))
            await loop.forget_all()
        else:
            # Some cuts are short: what is lost may be less than a lease, or a second.
            seconds = scale.cut_seconds if number % 4 == 1 else scale.cut_seconds * rng.random()
            await loop.work(seconds + rng.random())
            await loop.forget(seconds)


async def _settled(steward: Steward) -> bool:
    deadline = time.monotonic() + _OPEN_SECONDS
    while time.monotonic() < deadline:
        if await steward.ended():
            return True
        await asyncio.sleep(0.2)
    return False


async def _judge(loop: _Loop, *, ended: bool) -> list[Violation]:
    on_branch = await merger.commits(loop.site.folder)
    wrong = checker.branch([task.id for task in loop.steward.tasks], on_branch)
    loop.branch = (
        f"branch: {len(on_branch)} commits, {sum(found.kind is Kind.LOST for found in wrong)} lost, "
        f"{sum(found.kind is Kind.DOUBLE for found in wrong)} double"
    )
    return [
        *loop.violations,
        *wrong,
        *checker.agreement(await loop.steward.states(), await loop.steward.commits(), on_branch),
        *checker.tokens_given_twice(loop.acks),
        *checker.stale_accepted(loop.acks),
        *([] if ended else [Violation(Kind.STUCK, f"work did not end within {_END_SECONDS:.0f} s")]),
    ]

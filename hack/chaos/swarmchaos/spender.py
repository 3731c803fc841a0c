"""Callers that reserve, spend, cancel, forget and report late, each with its lease; all is kept."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Final, TextIO

from swarmchaos.ledger_checker import Call, End
from swarmchaos.values import Site, dice
from swarmrun.core.task import Lease, Reply
from swarmrun.queue.port import Claimed, ReserveOutcome, Usage
from swarmrun.queue.redis import RedisQueue, connect

#: Micro-dollars of one call's worst case, at most.
WORST: Final = 10_000
#: Seconds that a hold lives when nobody renews it.
HOLD: Final = 1
_LEASE: Final = 3_600
_LEASES: Final = "leases.json"
#: Real cost, at most, as a part of the worst case.
_COST: Final = 0.3
_THINKS: Final = 0.05
#: Parts of the calls whose outcome is known, that are cancelled, of unknown usage; the rest is never settled.
_ENDS: Final = ((End.SETTLED, 0.55), (End.CANCELLED, 0.15), (End.UNKNOWN, 0.1))
_LATE_REPORTS: Final = 0.3


async def claim_all(queue: RedisQueue, folder: Path, count: int) -> None:
    """Claim a lease for every caller while there is money: once calls are refused, no claim is answered."""
    answers = await asyncio.gather(
        *(queue.claim(f"pod-{number}", ttl_seconds=_LEASE) for number in range(count))
    )
    leases = [answer.lease.model_dump() for answer in answers if isinstance(answer, Claimed)]
    if len(leases) < count:
        raise AssertionError(f"{count} claims must be answered, {len(leases)} were")
    (folder / _LEASES).write_text(json.dumps(leases))


def read_leases(folder: Path) -> list[Lease]:
    """Read what `claim_all` claimed."""
    return [Lease.model_validate(each) for each in json.loads((folder / _LEASES).read_text())]


async def crowd(site: Site, name: str) -> None:
    """Play some callers, each with a number of calls; `name` is "part.callers.calls"."""
    await _play(site, name, whole=True)


async def drain(site: Site, name: str) -> None:
    """Ask for one micro-dollar at a time until there is none."""
    await _play(site, name, whole=False)


async def _play(site: Site, name: str, *, whole: bool) -> None:
    part, callers, calls = map(int, name.split("."))
    queue = RedisQueue(connect(site.url), site.uid)
    with (site.folder / f"{'crowd' if whole else 'drain'}-{part}.calls").open("w") as file:
        leases = read_leases(site.folder)[part * callers : (part + 1) * callers]
        each = [_Caller(site, queue, lease, file) for lease in leases]
        await asyncio.gather(*(caller.spend(calls) if whole else caller.drain() for caller in each))


class _Caller:
    def __init__(self, site: Site, queue: RedisQueue, lease: Lease, file: TextIO) -> None:
        self._queue, self._lease, self._file = queue, lease, file
        self._rng: Random = dice(site.seed, lease.token)

    async def spend(self, calls: int) -> None:
        for number in range(calls):
            worst = self._rng.randint(1, WORST)
            await self._call(f"{self._lease.token}.{number}", worst)
            await asyncio.sleep(self._rng.random() * _THINKS)

    async def drain(self) -> None:
        for number in itertools.count():
            began = time.monotonic()
            call = f"{self._lease.token}.last.{number}"
            outcome = await self._reserve(call, 1)
            asked = (began, time.monotonic())
            if outcome is not ReserveOutcome.RESERVED:
                self._keep(Call(1, asked, End.REFUSED))
                return
            closed, _ = await self._close(call, End.SETTLED, 1)
            self._keep(Call(1, asked, End.SETTLED, closed, 1))

    async def _reserve(self, call: str, worst: int) -> ReserveOutcome:
        return await self._queue.reserve(
            call, self._lease, worst_micro_usd=worst, model="m", ttl_seconds=HOLD
        )

    async def _call(self, call: str, worst: int) -> None:
        began = time.monotonic()
        outcome = await self._reserve(call, worst)
        asked = (began, time.monotonic())
        if outcome is ReserveOutcome.BUDGET:
            self._keep(Call(worst, asked, End.REFUSED))
            return
        if outcome is not ReserveOutcome.RESERVED:
            raise AssertionError(f"a holder of a lease must be granted or refused: {outcome}")
        await asyncio.sleep(self._rng.random() * _THINKS)
        end, cost = self._end(), int(worst * _COST * self._rng.random())
        if end is End.NEVER and self._rng.random() < _LATE_REPORTS:
            await asyncio.sleep(HOLD * 1.5)
            end = End.SETTLED
        if end is End.NEVER:
            self._keep(Call(worst, asked, End.NEVER))
            return
        closed, reply = await self._close(call, end, cost)
        # A hold that was reaped meanwhile stays charged whole, unless its usage is known.
        self._keep(Call(worst, asked, end if reply is Reply.OK else End.NEVER, closed, cost))

    def _end(self) -> End:
        chance = self._rng.random()
        for end, part in _ENDS:
            if chance < part:
                return end
            chance -= part
        return End.NEVER

    async def _close(self, call: str, end: End, cost: int) -> tuple[tuple[float, float], Reply]:
        began = time.monotonic()
        if end is End.CANCELLED:
            reply = await self._queue.cancel_reservation(call)
        else:
            reply = await self._queue.settle(call, Usage(cost_micro_usd=cost) if end is End.SETTLED else None)
        return (began, time.monotonic()), reply

    def _keep(self, call: Call) -> None:
        row = [call.worst, call.asked, call.end, call.closed, call.cost]
        self._file.write(json.dumps(row) + "\n")


def read(files: Iterable[Path]) -> list[Call]:
    """Read what callers kept."""
    rows = (json.loads(line) for path in files for line in path.read_text().splitlines())
    return [
        Call(worst, tuple(asked), End(end), tuple(closed), cost) for worst, asked, end, closed, cost in rows
    ]

"""A thousand callers at a nearly spent limit: no overspending, and no refusal while there is money."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from swarmchaos import ledger_checker, spender
from swarmchaos.fleet import Fleet, Work
from swarmchaos.ledger_checker import Call, End
from swarmchaos.steward import MAX_ATTEMPTS
from swarmchaos.store import ALWAYS, Store
from swarmchaos.values import Kind, Outcome, Progress, Scale, Site, Violation
from swarmchaos.workload import plan
from swarmrun.core.task import Lease
from swarmrun.queue.port import ReserveOutcome, RunState, Totals, Usage
from swarmrun.queue.redis import RedisQueue, connect
from swarmrun.queue.rules import MAX_AGENTS

_PROCESSES: Final = 2
#: Micro-dollars: what was spent before, and what is left for each call; far less than they would take.
_BEFORE: Final = 1_000_000_000
_LEFT_PER_CALL: Final = 500
#: Micro-dollars that are left for the end, per caller, when they are asked for one at a time.
_LAST: Final = 3
_SAMPLE_EVERY: Final = 0.01
_REAP_EVERY: Final = 0.2
_REAPED: Final = 1_000
_END_SECONDS: Final = 240.0


@dataclass
class _Ledger:
    """The run's money, watched."""

    queue: RedisQueue
    limit: int
    samples: int = 0
    highest: int = 0
    violations: list[Violation] = field(default_factory=list)

    async def open(self, callers: int) -> None:
        await self.queue.open(1, spent=Totals(spent_micro_usd=_BEFORE))
        await self.queue.set_limit(self.limit)
        tasks = plan(0, callers, chained=False)
        await self.queue.enqueue(tasks, plan_hash="plan", max_attempts=MAX_ATTEMPTS, landed={})
        await self.queue.set_state(RunState.ACTIVE)

    async def sample(self) -> Totals:
        totals = await self.queue.totals()
        self.samples += 1
        self.highest = max(self.highest, totals.spent_micro_usd + totals.reserved_micro_usd)
        self.violations += ledger_checker.sample(totals)
        return totals

    async def watch(self, fleet: Fleet) -> bool:
        """Sample and reap until all callers are done; False when they are not in time."""
        deadline, reap_at = time.monotonic() + _END_SECONDS, 0.0
        while len(fleet.dead()) < len(fleet.members):
            await self.sample()
            if time.monotonic() >= reap_at:
                await self.queue.reap(limit=_REAPED)
                reap_at = time.monotonic() + _REAP_EVERY
            if time.monotonic() > deadline:
                self.violations.append(Violation(Kind.STUCK, f"callers took more than {_END_SECONDS:.0f} s"))
                return False
            await asyncio.sleep(_SAMPLE_EVERY)
        codes = [member.process.exitcode for member in fleet.members.values()]
        if any(codes):
            self.violations.append(Violation(Kind.STUCK, f"callers ended with {codes}"))
        return not any(codes)

    async def settled(self) -> Totals:
        """Wait until the last hold has been reaped."""
        deadline = time.monotonic() + 10 * spender.HOLD
        while (totals := await self.sample()).reserved_micro_usd and time.monotonic() < deadline:
            await self.queue.reap(limit=_REAPED)
            await asyncio.sleep(_REAP_EVERY / 2)
        return totals

    async def leave(self, lease: Lease, last: int) -> None:
        """Raise the limit a little, then spend all but `last` in one call: it just fits, so it is granted."""
        totals = await self.sample()
        self.limit = max(self.limit, totals.spent_micro_usd + 2 * last)
        await self.queue.set_limit(self.limit)
        totals = await self.sample()
        rest = totals.limit_micro_usd - totals.spent_micro_usd - last
        for amount, wanted in ((rest + last + 1, ReserveOutcome.BUDGET), (rest, ReserveOutcome.RESERVED)):
            said = await self.queue.reserve(
                f"rest-{amount}", lease, worst_micro_usd=amount, model="m", ttl_seconds=60
            )
            if said is not wanted:
                told = f"{amount} with {rest + last} left: {said}, should be {wanted}"
                self.violations.append(Violation(Kind.REFUSAL, told))
        await self.queue.settle(f"rest-{rest}", Usage(cost_micro_usd=rest))


async def run(folder: Path, scale: Scale, progress: Progress) -> Outcome:
    """Run the scenario."""
    callers = min(scale.callers, MAX_AGENTS) // _PROCESSES * _PROCESSES
    limit = _BEFORE + callers * scale.calls_each * _LEFT_PER_CALL
    with Store(folder, *ALWAYS) as store:
        site = Site(store.url, "chaos-budget", folder, seed=scale.seed)
        ledger = _Ledger(RedisQueue(connect(store.url), site.uid), limit)
        await ledger.open(callers)
        await spender.claim_all(ledger.queue, folder, callers)
        calls = await _all(site, ledger, spender.crowd, callers, scale.calls_each)
        at_rest = await ledger.settled()
        progress.say(
            f"{len(calls):,} calls, {limit - at_rest.spent_micro_usd:,} of {limit - _BEFORE:,} are left"
        )
        await ledger.leave(spender.read_leases(folder)[-1], callers * _LAST)
        last = await _all(site, ledger, spender.drain, callers, 1)
        end = await ledger.settled()
    granted = sum(call.end is End.SETTLED for call in last)
    violations = [
        *ledger.violations,
        *ledger_checker.sums(at_rest, expected=_BEFORE + ledger_checker.spent(calls)),
        *ledger_checker.overspent(calls, before=_BEFORE, limit=limit),
        *ledger_checker.false_refusals(calls, before=_BEFORE, limit=limit),
        *ledger_checker.drained(granted, callers * _LAST),
        *ledger_checker.sums(end, expected=ledger.limit),
    ]
    return _outcome(calls, last, ledger, violations, callers)


async def _all(site: Site, ledger: _Ledger, work: Work, callers: int, calls: int) -> list[Call]:
    with Fleet(site) as fleet:
        for part in range(_PROCESSES):
            fleet.start(work, f"{part}.{callers // _PROCESSES}.{calls}")
        if not await ledger.watch(fleet):
            return []
    return spender.read(sorted(site.folder.glob(f"{work.__name__}-*.calls")))


def _outcome(
    calls: list[Call], last: list[Call], ledger: _Ledger, violations: list[Violation], callers: int
) -> Outcome:
    both = [*calls, *last]
    refused = sum(call.end is End.REFUSED for call in both)
    closed = sum(call.closed[1] < float("inf") for call in both)
    over = max(0, ledger.highest - ledger.limit)
    false = sum(violation.kind is Kind.REFUSAL for violation in violations)
    note = (
        f"{callers} callers; overspent by {over} micro-dollars in {ledger.samples} samples; "
        f"{refused:,} refusals, {false} of them false; the last {len(last) - callers} given one by one"
    )
    return Outcome("budget", len(both), len(both) - refused + closed, None, violations, note)

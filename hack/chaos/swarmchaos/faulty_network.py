"""Every fenced call is broken by a proxy, and repeated: it takes effect once, and says so."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swarmchaos.operations import OPERATIONS, Facts, Operation, facts, opened
from swarmchaos.proxy import EXECUTED, Fault, Proxy
from swarmchaos.store import Store
from swarmchaos.values import Kind, Outcome, Progress, Scale, Violation, dice
from swarmrun.core.errors import Retryable
from swarmrun.queue.redis import RedisQueue, connect

_FAULTS: Final = tuple(fault for fault in Fault if fault is not Fault.NONE)
#: Seconds after which the client gives a connection up; the product's 15 would only take longer.
_PATIENCE: Final = 0.4
_AT_A_TIME: Final = 24
_LOST: Final = "lost"
_TRIES: Final = 3


@dataclass(frozen=True)
class Trial:
    """What a broken call and its repetitions were answered, and what had changed in the end."""

    operation: str
    fault: Fault
    first: str
    settled: frozenset[str]
    replies: tuple[str, ...]
    #: Facts after the call made once without any fault, in a run like it.
    expected: Facts
    actual: Facts
    seconds: float = 0.0


def judge(trial: Trial) -> list[Violation]:
    """Judge one trial: once OK, then DUP or STALE, and one effect. Pure."""
    name = f"{trial.operation}, {trial.fault}: {', '.join(trial.replies)}"
    executed = trial.fault in EXECUTED
    answered = [reply for reply in trial.replies if reply != _LOST]
    found = []
    fresh = trial.first not in trial.settled
    if fresh and answered.count(trial.first) != (0 if executed else 1):
        found.append(Violation(Kind.DOUBLE, f"{name}: must be answered {trial.first} once in all"))
    if (trial.replies[0] == _LOST) != (trial.fault is not Fault.DELAY):
        found.append(Violation(Kind.STUCK, f"{name}: the fault did not strike"))
    if any(reply not in trial.settled for reply in (answered if executed else answered[1:])):
        found.append(Violation(Kind.DOUBLE, f"{name}: repetitions must be answered {sorted(trial.settled)}"))
    if trial.actual != trial.expected:
        found.append(Violation(Kind.DOUBLE, f"{name}: effect {trial.actual}, expected {trial.expected}"))
    return found


async def try_one(proxy: Proxy, store: Store, operation: Operation, fault: Fault, number: int) -> Trial:
    """Break one call, repeat it, and compare with a run in which nothing broke."""
    straight = connect(store.url)
    through = connect(f"redis://127.0.0.1:{proxy.port}")
    through.connection_pool.connection_kwargs["socket_timeout"] = _PATIENCE
    smooth, rough = (RedisQueue(straight, f"{kind}-{number}") for kind in ("smooth", "rough"))
    try:
        await opened(smooth)
        await (await operation.prepare(smooth)).call(smooth)
        expected = facts(await smooth.snapshot())
        await opened(rough)
        prepared = await operation.prepare(rough)
        client = RedisQueue(through, f"rough-{number}")
        # The connection stands before the fault is armed, so that it meets the call and not the greeting.
        await through.ping()
        proxy.arm(fault)
        began = time.monotonic()
        replies: list[str] = []
        while len(replies) < _TRIES:
            try:
                replies.append(str(await prepared.call(client)))
            except Retryable:
                replies.append(_LOST)
            if len(replies) == _TRIES - 1:
                await proxy.release()
        seconds = time.monotonic() - began
        actual = facts(await rough.snapshot())
        await smooth.purge()
        await rough.purge()
        return Trial(
            operation.name, fault, prepared.first, prepared.settled, tuple(replies), expected, actual, seconds
        )
    finally:
        await straight.aclose()
        await through.aclose()


async def run(folder: Path, scale: Scale, progress: Progress) -> Outcome:
    """Run the scenario."""
    rng = dice(scale.seed, "proxy")
    pairs = [(operation, fault) for operation in OPERATIONS for fault in _FAULTS]
    chosen = [pairs[number % len(pairs)] for number in range(scale.calls)]
    rng.shuffle(chosen)
    with Store(folder) as store:
        gate = asyncio.Semaphore(_AT_A_TIME)

        async def one(number: int) -> Trial:
            operation, fault = chosen[number]
            async with gate, Proxy(store.socket) as proxy:
                return await try_one(proxy, store, operation, fault, number)

        trials = await asyncio.gather(*(one(number) for number in range(len(chosen))))
    counted = Counter(trial.fault.value for trial in trials)
    progress.say(", ".join(f"{fault} {count}" for fault, count in sorted(counted.items())))
    violations = [violation for trial in trials for violation in judge(trial)]
    written = sum(reply == trial.first for trial in trials for reply in trial.replies)
    note = f"{len(OPERATIONS)} kinds of calls x {len(_FAULTS)} faults, each repeated twice"
    return Outcome("proxy", len(trials), written, max(t.seconds for t in trials), violations, note)

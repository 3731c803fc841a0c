"""python -m swarmchaos: kill loops against a real redis-server, one table, exit code 1 on any violation.

agents       agent and merger processes are killed (kill -9) and frozen past their leases
redis-kill   the server is killed in a loop, AOF with fsync always
rollback     FLUSHALL, and an AOF cut by its last seconds, while agents work; 100,000 tasks built again
proxy        a TCP proxy drops, delays, half-opens, and loses replies after execution
clocks       agents' and merger's clocks are an hour wrong, and jump
budget       a crowd of callers at a nearly spent limit
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

from swarmchaos import crowd, faulty_network, killed_agents, killed_store, rolled_back, wrong_clocks
from swarmchaos.table import render
from swarmchaos.values import Kind, Outcome, Progress, Scale, Violation

Scenario = Callable[[Path, Scale, Progress], Awaitable[Outcome]]
SCENARIOS: Final[Mapping[str, Scenario]] = {
    "agents": killed_agents.run,
    "redis-kill": killed_store.run,
    "rollback": rolled_back.run,
    "proxy": faulty_network.run,
    "clocks": wrong_clocks.run,
    "budget": crowd.run,
}


def parse(argv: list[str] | None = None) -> tuple[list[str], Scale]:
    """Read the command line: the scenarios, and how much of each."""
    parser = argparse.ArgumentParser(
        prog="make chaos-queue",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='Flags go through make: make chaos-queue CHAOS_FLAGS="--only redis-kill --kills 20"',
    )
    parser.add_argument("--only", action="append", choices=sorted(SCENARIOS), help="may be repeated")
    for name in fields(Scale):
        kind = type(name.default)
        flag = f"--{name.name.replace('_', '-')}"
        parser.add_argument(
            flag, type=kind, default=name.default, metavar="N", help=f"default {name.default}"
        )
    options = vars(parser.parse_args(argv))
    return options.pop("only") or list(SCENARIOS), Scale(**options)


def play(names: list[str], scale: Scale) -> list[Outcome]:
    """Run scenarios one after another, each in a folder of its own."""
    outcomes = []
    for name in names:
        progress, began = Progress(name), time.monotonic()
        progress.say("begins")
        # A short path: a unix socket's name has at most 107 characters.
        with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
            outcomes.append(asyncio.run(_run(SCENARIOS[name], Path(folder), scale, progress)))
        progress.say(f"took {time.monotonic() - began:.0f} s")
        gc.collect()
    return outcomes


async def _run(scenario: Scenario, folder: Path, scale: Scale, progress: Progress) -> Outcome:
    try:
        return await scenario(folder, scale, progress)
    except Exception as error:  # noqa: BLE001 — the other scenarios still have something to say
        traceback.print_exc()
        broken = Violation(Kind.STUCK, f"{type(error).__name__}: {error}")
        return Outcome(progress.scenario, 0, 0, None, [broken], "broke off")


def main() -> int:
    """Run what the command line asks for."""
    names, scale = parse()
    outcomes = play(names, scale)
    print(f"\nseed {scale.seed}\n{render(outcomes)}")
    return int(any(outcome.violations for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())

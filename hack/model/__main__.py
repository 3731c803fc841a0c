"""python -m hack.model: checks the queue's protocol in every state, and that it fails with a part taken out.

Prints one line per search, and the shortest history behind every failure that must be. Exit code 1: something
did not come out as it must; 2: a tool is missing or failed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from hack.model.cases import ASSERTIONS, CASES, Case
from hack.model.spin import PACKAGES, ModelError, Outcome, peak_megabytes, search

from swarmcluster.errors import ClusterError
from swarmcluster.packages import install_missing

_HEAD = ("protocol", "properties", "faults restarts losses", "states", "depth", "MB", "s", "result")
_WIDTHS = (39, 30, 22, 10, 5, 5, 5)


def row(cells: Sequence[str]) -> str:
    """Lay out one line of the table."""
    fixed = [
        cell.rjust(width) if at >= len(_WIDTHS) - 4 else cell.ljust(width)
        for at, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=False))
    ]
    return "  ".join([*fixed, cells[-1]]).rstrip()


def judge(case: Case, outcome: Outcome) -> tuple[bool, str]:
    """Say whether a search came out as it must, and how."""
    if not outcome.complete:
        return False, "✗ not all states were visited"
    if case.holds:
        return outcome.holds, "✓ holds" if outcome.holds else f"✗ broken: {outcome.violated}"
    if outcome.holds:
        return False, "✗ holds, must be broken"
    if not any(ASSERTIONS[check] in outcome.violated for check in case.checks):
        return False, f"✗ broken otherwise: {outcome.violated}"
    return True, "✓ broken, as it must be"


def main() -> int:
    """Run all searches; return the exit code."""
    started = time.monotonic()
    bad, told = 0, []
    try:
        install_missing(PACKAGES)
        print(row(_HEAD))
        for case in CASES:
            outcome = search(case)
            good, words = judge(case, outcome)
            bad += not good
            properties = " ".join(case.checks).lower() + (" cycles" if case.cycles else "")
            figures = (f"{outcome.states:,}", str(outcome.depth), f"{outcome.megabytes:.0f}")
            line = (case.title, properties, str(case.bounds), *figures, f"{outcome.seconds:.1f}", words)
            print(row(line), flush=True)
            if outcome.history:
                told.append((f"{case.title}: {properties}", outcome.history))
    except (ClusterError, ModelError) as error:
        print(f"✗ {error}", file=sys.stderr)
        return 2
    for title, history in told:
        print(f"\n{title}\n" + "\n".join(f"  {step}" for step in history))
    seconds, peak = time.monotonic() - started, peak_megabytes()
    print(f"\n{len(CASES)} searches, {bad} not as they must be, {seconds:.0f} s, at most {peak:.0f} MB")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

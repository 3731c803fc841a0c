"""python -m hack.mutants: takes promises out of the queue's scripts, one at a time; tests must notice each.

Prints one line per mutant as it ends. Exit code 1: a mutant survived; 2: the unchanged code fails, a
mutant does not fit the scripts, or a trial taught nothing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from hack.mutants.catalogue import CATALOGUE
from hack.mutants.mutant import Mutant, MutantError
from hack.mutants.trial import ROOT, SUITE, Outcome, Suite, Verdict, try_mutant

SCRIPTS = ROOT / "operator/swarmrun/queue/lua"
_WIDTHS = (38, 16, 9, 4)
_HEAD = ("mutant", "script", "result", "s", "killed by, or the promise that nothing tests")


def check_fit(mutants: Sequence[Mutant]) -> None:
    """Apply every mutant to a copy of the scripts.

    Raises:
        MutantError: one does not fit, or a name occurs twice.
    """
    for name, found in Counter(mutant.name for mutant in mutants).items():
        if found > 1:
            raise MutantError(f"{name}: names {found} mutants; a name must be unique")
    for mutant in mutants:
        with tempfile.TemporaryDirectory(prefix="swr-mutant-") as folder:
            mutant.apply(Path(shutil.copytree(SCRIPTS, Path(folder, "lua"))))


def row(cells: Sequence[str]) -> str:
    """Lay out one line of the table."""
    fixed = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)]
    return "  ".join([*fixed, *cells[len(_WIDTHS) :]]).rstrip()


def told(mutant: Mutant, outcome: Outcome) -> str:
    """Tell a trial in one line."""
    words = mutant.breaks if outcome.verdict is Verdict.SURVIVED else outcome.by.rpartition("/")[2]
    return row((mutant.name, mutant.script, outcome.verdict, f"{outcome.seconds:4.0f}", words))


@contextmanager
def _pool(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Start nothing more when one trial has raised."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def survivors(
    mutants: Sequence[Mutant], suite: Suite, jobs: int, tell: Callable[[Mutant, Outcome], None]
) -> list[Mutant]:
    """Try all mutants, `jobs` at a time; return those that no test noticed.

    Raises:
        MutantError: the unchanged code fails, or a trial taught nothing.
    """
    unchanged = try_mutant(None, suite)
    if unchanged.verdict is not Verdict.SURVIVED:
        raise MutantError(f"the unchanged code fails, too: {unchanged.verdict} by {unchanged.by or 'time'}")
    alive = []
    with _pool(jobs) as pool:
        trials = {pool.submit(try_mutant, mutant, suite): mutant for mutant in mutants}
        for trial in as_completed(trials):
            outcome, mutant = trial.result(), trials[trial]
            tell(mutant, outcome)
            if outcome.verdict is Verdict.SURVIVED:
                alive.append(mutant)
    return alive


def main() -> int:
    """Try the catalogue; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="make mutate-queue",
        description="Take promises out of the queue's scripts, one at a time: tests must notice each.",
        epilog='Flags go through make: make mutate-queue MUTATE_FLAGS="--only settled-twice"',
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="mutants whose names hold one of these"
    )
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="print the promises, try nothing")
    flags = parser.parse_args()
    chosen = [one for one in CATALOGUE if not flags.only or any(part in one.name for part in flags.only)]
    started = time.monotonic()
    try:
        check_fit(CATALOGUE)
        if flags.list:
            print(*(row((one.name, one.script, "", "", one.breaks)) for one in chosen), sep="\n")
            return 0
        print(row(_HEAD), flush=True)
        alive = survivors(chosen, SUITE, flags.jobs, lambda one, end: print(told(one, end), flush=True))
    except MutantError as error:
        print(f"✗ {error}", file=sys.stderr)
        return 2
    print(f"\n{len(chosen)} mutants, {len(alive)} survived, {time.monotonic() - started:.0f} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())

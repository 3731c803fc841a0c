"""Runs one search: Spin writes a program for the model, gcc compiles it, the program visits every state."""

from __future__ import annotations

import re
import resource
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.model.cases import Case

MODEL: Final = Path(__file__).with_name("queue.pml")
#: Debian package → command or file that it brings: what it takes to make and compile a search.
PACKAGES: Final = {"spin": "spin", "gcc": "gcc", "libc6-dev": "/usr/include/stdio.h"}
#: A search that needs more is ended and counts as failed.
MEMORY_MB: Final = 3000
SEARCH_SECONDS: Final = 600
#: Longest history that is followed; a longer one makes the search incomplete, which counts as failed.
DEPTH: Final = 100_000

_ERRORS: Final = re.compile(r"errors: (\d+)")
_STATES: Final = re.compile(r"^\s*(\d+) states, stored", re.MULTILINE)
_LONGEST: Final = re.compile(r"depth reached (\d+)")
_MEMORY: Final = re.compile(r"([\d.]+)\s+total actual memory usage")
_VIOLATED: Final = re.compile(r"^pan:\d+: (.*?)(?: \(at depth \d+\))?$", re.MULTILINE)


class ModelError(Exception):
    """A search could not be carried out; says what to do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search found. `complete`: all states were visited, or an error ended it."""

    errors: int
    complete: bool
    violated: str
    states: int
    depth: int
    megabytes: float
    seconds: float = 0.0
    #: The shortest history that breaks a property, in words.
    history: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Tell whether the properties hold in every state."""
        return self.complete and self.errors == 0


def parse(output: str) -> Outcome:
    """Read what the search printed.

    Raises:
        ModelError: it did not come to its end.
    """
    found = [pattern.search(output) for pattern in (_ERRORS, _STATES, _LONGEST, _MEMORY)]
    if not all(found):
        raise ModelError(f"the search did not end: {output.strip()[-500:]}")
    errors, states, depth, megabytes = (match.group(1) for match in found if match is not None)
    violated = _VIOLATED.search(output)
    complete = "max search depth too small" not in output and (
        int(errors) > 0 or "Search not completed" not in output
    )
    return Outcome(
        errors=int(errors),
        complete=complete,
        violated=violated.group(1) if violated else "",
        states=int(states),
        depth=int(depth),
        megabytes=float(megabytes),
    )


def search(case: Case) -> Outcome:
    """Carry out one search.

    Raises:
        ModelError: a tool failed, or the search took too much time or memory.
    """
    with tempfile.TemporaryDirectory(prefix="swarm-model-") as name:
        folder = Path(name)
        _run(["spin", "-a", *case.defines, str(MODEL)], folder, 60)
        _run(["gcc", "-O2", "-w", *_options(case), "-o", "pan", "pan.c"], folder, 120)
        started = time.monotonic()
        found = parse(_run(["./pan", f"-m{DEPTH}", *(["-l"] if case.cycles else [])], folder, SEARCH_SECONDS))
        seconds = time.monotonic() - started
        history = _history(case, folder) if found.errors else ()
    return Outcome(
        found.errors,
        found.complete,
        found.violated,
        found.states,
        found.depth,
        found.megabytes,
        seconds,
        history,
    )


def _options(case: Case) -> tuple[str, ...]:
    """Choose the search: by breadth where an error is expected, so that the shortest is found first."""
    kind = "-DNP" if case.cycles else "-DSAFETY"
    # Every step touches what all share, so that partial order reduction finds nothing to leave out.
    order = () if case.holds else ("-DBFS",)
    return (kind, "-DCOLLAPSE", "-DNOREDUCE", f"-DMEMLIM={MEMORY_MB}", *order)


def _history(case: Case, folder: Path) -> tuple[str, ...]:
    trail = next(folder.glob("*.trail"), None)
    if trail is None:
        return ()
    told = _run(["spin", "-k", trail.name, *case.defines, str(MODEL)], folder, 60)
    lines = told.partition("spin: ")[0].splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def _run(argv: list[str], folder: Path, seconds: float) -> str:
    """Run a program and return all that it printed."""
    try:
        done = subprocess.run(
            argv,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{argv[0]} took longer than {seconds:g} s") from error
    output = done.stdout + done.stderr
    if argv[0] != "./pan" and "-k" not in argv and done.returncode != 0:
        raise ModelError(f"{argv[0]} failed with exit code {done.returncode}: {output.strip()[-500:]}")
    return output


def peak_megabytes() -> float:
    """Return the most memory that any of the programs took."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024

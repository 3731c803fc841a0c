"""One trial: the tests against a copy of the package whose scripts are changed.

The copy comes first on PYTHONPATH, which Python searches before the folders of installed packages.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from hack.mutants.mutant import Mutant, MutantError

ROOT: Final = Path(__file__).resolve().parents[2]
_PACKAGE: Final = ROOT / "operator/swarmrun"
#: A trial that takes longer hangs, which a test would have noticed.
LIMIT_SECONDS: Final = 180.0
_STOP_SECONDS: Final = 10.0
_PYTEST: Final = ("-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider")
_ALL_PASSED, _SOME_FAILED = 0, 1
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
#: Such a mutant is no Lua any more: every test would kill it, and that shows nothing.
_NO_LUA: Final = ("Error compiling script", "nonexistent global variable")
_IMPORTED: Final = "import swarmrun; print(swarmrun.__file__)"


@dataclass(frozen=True, slots=True)
class Suite:
    """What has to notice a mutant: arguments of pytest, and how many runs the random test tries."""

    arguments: tuple[str, ...]
    model_examples: int = 40


#: On Redis alone: the other servers run the same scripts. What fails fastest comes first. Left out is a test
#: of the client's waiting, in which a cancelled call may go on until its timeout of half a minute.
SUITE: Final = Suite(
    (
        "-m",
        "redis",
        "-k",
        "not valkey and not cluster and not a_thousand_waiting",
        *(f"tests/contract/test_{name}.py" for name in ("claims", "ledger", "merging", "plans", "bounds")),
        "tests/swarmrun/test_queue_audit.py",
        "tests/swarmrun/test_queue_outages.py",
        "tests/contract/test_model.py",
    )
)


class Verdict(StrEnum):
    """How a trial ended. HUNG is as good as KILLED."""

    KILLED = "killed"
    HUNG = "hung"
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial's end; `by` is the test that failed first."""

    verdict: Verdict
    by: str
    seconds: float


def try_mutant(mutant: Mutant | None, suite: Suite = SUITE) -> Outcome:
    """Run a suite on a mutant, or on an unchanged copy.

    Raises:
        MutantError: the mutant does not fit or is no Lua, the tests did not run, or not on the copy.
    """
    with tempfile.TemporaryDirectory(prefix="swr-mutant-") as folder:
        # With the compiled files: times are copied, so they stay valid.
        shutil.copytree(_PACKAGE, Path(folder, "swarmrun"))
        if mutant is not None:
            mutant.apply(Path(folder, "swarmrun/queue/lua"))
        environment = _environment(folder, suite)
        _check_import(folder, environment)
        started = time.monotonic()
        code, output = _run((*_PYTEST, *suite.arguments), environment)
    seconds = time.monotonic() - started
    name = "unchanged" if mutant is None else mutant.name
    failed = _FAILED.search(output)
    if any(words in output for words in _NO_LUA):
        raise MutantError(f"{name}: the script does not compile; write Lua\n{output[-2000:]}")
    if code is None:
        return Outcome(Verdict.HUNG, "", seconds)
    if code == _ALL_PASSED:
        return Outcome(Verdict.SURVIVED, "", seconds)
    if code != _SOME_FAILED or failed is None:
        raise MutantError(f"{name}: pytest ended with {code} and names no failed test\n{output[-2000:]}")
    return Outcome(Verdict.KILLED, failed[1], seconds)


def _environment(folder: str, suite: Suite) -> dict[str, str]:
    # A run inside a test must not take itself for one of that test's workers.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    before = kept.get("PYTHONPATH")
    path = os.pathsep.join([folder, before] if before else [folder])
    return kept | {"PYTHONPATH": path, "MODEL_EXAMPLES": str(suite.model_examples)}


def _check_import(folder: str, environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", _IMPORTED]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if not found.stdout.startswith(folder):
        raise MutantError(f"tests would import {found.stdout.strip()!r}, not {folder}\n{found.stderr}")


def _run(arguments: tuple[str, ...], environment: dict[str, str]) -> tuple[int | None, str]:
    """Run Python in the repository's root; no exit code means that it was stopped."""
    with (
        subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process,
        _stopped(process),
    ):
        try:
            output, _ = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            return None, ""
        return process.returncode, output


@contextlib.contextmanager
def _stopped(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a trial together with the servers that it has started, whatever happens."""
    try:
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

"""What a gate run proves. Pure: the runner's result, the profile's promises and the tree in; a verdict out.

Green needs every step at exit code 0, a readable JUnit report without failures, and a test seen from every
expected test file. A report that is missing, or says less than expected, is red: silence is no proof.
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from swarmrun.core.ownership import matches
from swarmrun.core.profile import Profile
from swarmrun.core.quality import JUnit, ReportError, missing_tests, parse_junit, parse_lcov
from swarmrun.core.sandbox import RunResult, RunSpec, Step, StepResult
from swarmrun.core.task import OUTPUT_LIMIT, Failure, FailureKind, Task, TaskType
from swarmrun.queue.port import TestTotals
from swarmrun.telemetry import redact


@dataclass(frozen=True, slots=True)
class Green:
    """The tree may land."""

    totals: TestTotals
    result: RunResult


@dataclass(frozen=True, slots=True)
class Red:
    """The tree may not land; why, with the step that says so."""

    failure: Failure
    result: RunResult | None = None


Verdict = Green | Red


def run_spec(profile: Profile, commands: Sequence[str]) -> RunSpec:
    """Write the gate's orders: the profile's steps, then the user's further commands."""
    extra = tuple(
        Step(name=f"command-{number}", argv=tuple(shlex.split(command)))
        for number, command in enumerate(commands, start=1)
    )
    wanted = {*profile.artifacts, *(p for p in (profile.junit, profile.lcov) if p)}
    return RunSpec(steps=profile.gate + extra, links=profile.links, artifacts=tuple(sorted(wanted)))


def expected_tests(profile: Profile, paths: Iterable[str], candidates: Sequence[Task]) -> frozenset[str]:
    """List the test files that must have run on a tree: the stack's own naming, and the candidates' promises.

    Landed tests stay on the branch, where only their owner may touch them; so the tree itself, read by the
    profile's patterns, tells which tests the landed tasks promised.
    """
    promised = [pattern for layout in profile.layout.values() for pattern in layout.tests]
    globs = [re.sub(r"\{[a-z_]+\}", "*", pattern) for pattern in promised]
    globs += [pattern for task in candidates for pattern in task.tests]
    return frozenset(path for path in paths if matches(path, globs))


def unmet_promises(paths: Iterable[str], candidates: Sequence[Task]) -> list[str]:
    """List the test globs that candidates promised to write themselves and no file of the tree matches."""
    present = list(paths)
    return sorted(
        pattern
        for task in candidates
        for pattern in task.tests
        if (task.type is TaskType.WRITE_TESTS or pattern in task.owned)
        and not any(matches(path, (pattern,)) for path in present)
    )


def judge(profile: Profile, result: RunResult, expected: frozenset[str], *, commit: str) -> Verdict:
    """Decide whether the tree of `commit` is green."""
    junit, complaint = _report(profile, result.artifacts)
    if (step := next((s for s in result.steps if s.exit_code != 0 and _ran(s)), None)) is not None:
        return Red(_failed_step(step, junit), result)
    if not result.passed:
        return Red(_failure("gates", "every step must run", ""), result)
    if complaint and (expected or profile.junit in result.artifacts):
        return Red(_failure("tests", complaint, _tail_of(result)), result)
    if junit.failing:
        return Red(_failure("tests", _names(junit), _cases(junit)), result)
    if missing := missing_tests(expected, junit):
        message = f"no test ran from {len(missing)} test file(s): {', '.join(missing[:10])}"
        return Red(_failure("tests", message, _tail_of(result)), result)
    lcov = _artifact(result.artifacts, profile.lcov)
    totals = TestTotals(
        passing=junit.passing,
        total=junit.total,
        coverage_percent=parse_lcov(lcov.decode(errors="replace")) if lcov else 0.0,
        commit=commit,
    )
    return Green(totals, result)


def _ran(step: StepResult) -> bool:
    return step.exit_code is not None or step.timed_out


def _report(profile: Profile, artifacts: Mapping[str, str]) -> tuple[JUnit, str]:
    if not profile.junit:
        return JUnit(), ""
    data = _artifact(artifacts, profile.junit)
    if data is None:
        return JUnit(), f"the test run must leave its report at {profile.junit}"
    try:
        return parse_junit(data), ""
    except ReportError as error:
        return JUnit(), str(error)


def _artifact(artifacts: Mapping[str, str], path: str) -> bytes | None:
    if not path or path not in artifacts:
        return None
    try:
        return base64.b64decode(artifacts[path], validate=True)
    except binascii.Error:
        return None


def _failed_step(step: StepResult, junit: JUnit) -> Failure:
    if step.timed_out:
        message = f"{step.name} did not end within its time limit"
    elif junit.failing:
        message = f"{step.name} ended with {step.exit_code}: {_names(junit)}"
    else:
        message = f"{step.name} ended with {step.exit_code}"
    return _failure(step.name, message, step.output)


def _names(junit: JUnit) -> str:
    names = ", ".join(case.name for case in junit.failures[:5])
    return f"{junit.failing} test(s) failed: {names}"


def _cases(junit: JUnit) -> str:
    return "\n\n".join(f"{case.name}\n{case.text}" for case in junit.failures)


def _tail_of(result: RunResult) -> str:
    return result.steps[-1].output if result.steps else ""


def _failure(step: str, message: str, output: str) -> Failure:
    return Failure(
        kind=FailureKind.GATE,
        step=step,
        message=redact(message)[:1000],
        output=redact(output)[-OUTPUT_LIMIT:],
    )

from __future__ import annotations

import base64

import pytest

from merge_values import PROFILE, task
from swarm_merge.verdict import Green, Red, expected_tests, judge, run_spec, unmet_promises
from swarmrun.core.sandbox import RunResult, StepResult
from swarmrun.core.task import TaskType

OK = StepResult(name="test", exit_code=0)


def result(*steps: StepResult, junit: str | None = None, lcov: str | None = None) -> RunResult:
    files = {"junit.xml": junit, "lcov.info": lcov}
    return RunResult(
        steps=steps,
        artifacts={n: base64.b64encode(t.encode()).decode() for n, t in files.items() if t is not None},
    )


def report(*cases: str) -> str:
    return f"<testsuites><testsuite name='s'>{''.join(cases)}</testsuite></testsuites>"


GOOD = "<testcase classname='tests.test_users' name='creates'/>"
BAD = GOOD.replace("/>", "><failure message='404 != 201'>at x</failure></testcase>")
EXPECTED = frozenset({"tests/test_users.py"})


def test_green_needs_steps_report_and_every_expected_test() -> None:
    lcov = "SF:a\nDA:1,1\nDA:2,0\nend_of_record\nSF:a\nDA:2,3\nDA:3,0\nDA:4,0\nend_of_record\n"
    verdict = judge(PROFILE, result(OK, junit=report(GOOD), lcov=lcov), EXPECTED, commit="c1")
    assert isinstance(verdict, Green)
    assert (verdict.totals.passing, verdict.totals.total, verdict.totals.coverage_percent) == (1, 1, 50.0)
    assert verdict.totals.commit == "c1"


@pytest.mark.parametrize(
    ("given", "step", "words"),
    [
        (result(StepResult(name="test", exit_code=1, output="boom")), "test", "ended with 1"),
        (result(StepResult(name="test", exit_code=None, timed_out=True)), "test", "time limit"),
        (result(), "gates", "every step must run"),
        (result(OK, StepResult(name="lint", exit_code=None)), "gates", "every step must run"),
        (result(OK), "tests", "must leave its report at junit.xml"),
        (result(OK, junit="<broken"), "tests", "must be plain XML"),
        (result(OK, junit="<!DOCTYPE x [<!ENTITY e 'x'>]><testsuites/>"), "tests", "must be plain XML"),
        (result(OK, junit=report(BAD)), "tests", "1 test(s) failed: creates"),
        (result(OK, junit=report()), "tests", "no test ran from 1 test file(s): tests/test_users.py"),
        (result(OK, junit=report(GOOD.replace("/>", "><skipped/></testcase>"))), "tests", "no test ran"),
    ],
)
def test_everything_less_is_red_with_its_reason(given: RunResult, step: str, words: str) -> None:
    verdict = judge(PROFILE, given, EXPECTED, commit="c1")
    assert isinstance(verdict, Red)
    assert verdict.failure.step == step
    assert words in verdict.failure.message


def test_a_project_without_tests_yet_needs_no_report() -> None:
    verdict = judge(PROFILE, result(OK), frozenset(), commit="c1")
    assert isinstance(verdict, Green)
    assert verdict.totals.total == 0


def test_a_failed_test_names_itself_beside_the_exit_code() -> None:
    step = StepResult(name="test", exit_code=1, output="x" * 70_000 + "the end")
    verdict = judge(PROFILE, result(step, junit=report(BAD)), EXPECTED, commit="c1")
    assert isinstance(verdict, Red)
    assert verdict.failure.message == "test ended with 1: 1 test(s) failed: creates"
    assert verdict.failure.output.endswith("the end")
    assert len(verdict.failure.output) == 16_384


def test_expected_tests_are_those_on_the_tree_and_those_promised() -> None:
    promised = task("users.tests", type=TaskType.WRITE_TESTS, tests=("spec/users.py",))
    tree = ["tests/test_users.py", "tests/helper.py", "src/users.py", "spec/users.py"]
    assert expected_tests(PROFILE, tree, [promised]) == {"tests/test_users.py", "spec/users.py"}
    assert unmet_promises(tree, [promised]) == []
    assert unmet_promises(["src/users.py"], [promised]) == ["spec/users.py"]


def test_the_users_commands_follow_the_profiles_steps_without_a_shell() -> None:
    spec = run_spec(PROFILE, ["npm run 'my check'"])
    assert [s.argv for s in spec.steps][-1] == ("npm", "run", "my check")
    assert spec.artifacts == ("junit.xml", "lcov.info")

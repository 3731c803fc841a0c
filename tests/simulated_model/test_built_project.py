"""The proof that a built project is real: compiled, linted and tested against a real PostgreSQL."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from simulated_model.answer import answer
from simulated_model.faults import Faults
from simulated_model.parse import Message
from simulated_model.rehearsal import conversation, files_in
from swarmrun.core.sandbox import Step
from swarmrun.core.task import Task, TaskType

pytestmark = [pytest.mark.toolchain, pytest.mark.timeout(300)]


def _coverage(lcov: Path) -> float:
    text = lcov.read_text()
    hit, found = (
        sum(int(n) for n in re.findall(rf"^{key}:(\d+)", text, re.MULTILINE)) for key in ("LH", "LF")
    )
    return 100 * hit / found


def _cases(junit: Path) -> list[ET.Element]:
    return list(ET.fromstring(junit.read_text()).iter("testcase"))  # noqa: S314 — our own reporter wrote it


def _assert_green(results: dict[str, tuple[int, str]]) -> None:
    red = {name: output[-6000:] for name, (code, output) in results.items() if code != 0}
    assert not red, "\n".join(f"{name}:\n{output}" for name, output in red.items())


@pytest.mark.parametrize(
    ("name", "coverage"), [("task_management", 95), ("library", 90), ("odd_corners", 90)]
)
def test_a_project_built_from_a_specification_alone_passes_every_gate(
    new_tree: Callable[[str], Any], name: str, coverage: int
) -> None:
    tree = new_tree(name)
    expected: set[str] = set()
    for task, files in tree.rehearsal.files():
        tree.write(files)
        expected |= set(task.tests)

    _assert_green(tree.run(tree.rehearsal.profile.gate))

    cases = _cases(tree.root / "reports/junit.xml")
    assert expected <= {case.get("file") for case in cases}
    assert not [case.get("name") for case in cases if case.find("failure") is not None]
    assert _coverage(tree.root / "reports/lcov.info") >= coverage


@pytest.fixture
def scaffolded(new_tree: Callable[[str], Any]) -> Any:
    """The task management project after its first task."""
    tree = new_tree("task_management")
    for task, files in tree.rehearsal.files():
        if task.type is TaskType.SCAFFOLD:
            tree.write(files)
    return tree


def test_the_scaffold_alone_passes_the_gates(scaffolded: Any) -> None:
    _assert_green(scaffolded.run(scaffolded.rehearsal.profile.gate))


def test_each_step_of_the_plan_leaves_a_tree_that_passes_the_gates(new_tree: Callable[[str], Any]) -> None:
    tree = new_tree("library")
    stops = {"db.books", "api.loans.create"}
    for task, files in tree.rehearsal.files():
        tree.write(files)
        if task.id in stops:
            _assert_green(tree.run(tree.rehearsal.profile.gate))


@pytest.fixture
def finished(new_tree: Callable[[str], Any]) -> Any:
    """The library, built."""
    tree = new_tree("library")
    for _, files in tree.rehearsal.files():
        tree.write(files)
    return tree


ALWAYS_WRONG = Faults({"wrong-code": 1.0})


def _said(tree: Any, task: Task, faults: Faults, *more: Message) -> dict[str, str]:
    return files_in(answer([*conversation(task, tree.rehearsal.profile), *more], faults).text)


@pytest.mark.parametrize("slug", ["create", "read", "update", "delete", "list"])
def test_wrong_code_compiles_fails_its_own_tests_and_a_repair_mends_it(finished: Any, slug: str) -> None:
    plan, check = finished.rehearsal.plan, finished.rehearsal.profile.check
    code, tests = plan.task(f"api.books.{slug}"), plan.task(f"test.books.{slug}")
    finished.write(_said(finished, code, ALWAYS_WRONG))

    results = finished.run(check, tests.tests)

    assert {name: code for name, (code, _) in results.items()} == {
        "typecheck": 0,
        "lint": 0,
        "contract": 0,
        "test": 1,
    }
    fix = code.model_copy(
        update={
            "id": f"fix.{tests.id}",
            "type": TaskType.FIX_BUG,
            "spec": {**tests.spec, "target": {"id": tests.id, "type": "write_tests", "title": tests.title}},
        }
    )
    repaired = _said(finished, fix, ALWAYS_WRONG)
    assert set(repaired) == set(code.owned)
    finished.write(repaired)
    _assert_green(finished.run(check[-1:], tests.tests))


@pytest.mark.parametrize(("task_id", "step"), [("test.books.create", "test"), ("db.books", "contract")])
def test_a_repair_round_mends_what_the_check_refused(finished: Any, task_id: str, step: str) -> None:
    task, check = finished.rehearsal.plan.task(task_id), _step(finished, step)
    finished.write(_said(finished, task, ALWAYS_WRONG))
    code, output = finished.run([check], task.tests)[step]
    assert code == 1

    complaint = f"## Check failed\n\n### {step}\n\n```\n{output[-4000:]}\n```\n"
    repair = _said(finished, task, ALWAYS_WRONG, Message("assistant", "…"), Message("user", complaint))

    finished.write(repair)
    _assert_green(finished.run([check], task.tests))


def _step(tree: Any, name: str) -> Step:
    found: Step = next(s for s in tree.rehearsal.profile.check if s.name == name)
    return found


def test_a_run_stops_its_database_and_leaves_nothing_behind(scaffolded: Any) -> None:
    # Not below tmp_path: PostgreSQL runs as another user, who may not enter pytest's private folders.
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        Path(home).chmod(0o777)
        step = _step(scaffolded, "contract").model_copy(update={"env": {"TMPDIR": home}})

        _assert_green(scaffolded.run([step]))

        assert list(Path(home).iterdir()) == []


def test_a_signal_stops_the_tests_and_their_database(scaffolded: Any) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        Path(home).chmod(0o777)
        program = "console.log('up'); setInterval(() => {}, 1000)"
        running = subprocess.Popen(
            ["node", "scripts/with-postgres.mjs", "node", "-e", program],
            cwd=scaffolded.root,
            env=scaffolded.toolchain.environment | {"TMPDIR": home},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"

        running.terminate()

        assert running.wait(timeout=30) != 0
        running.stdout.close()
        assert list(Path(home).iterdir()) == []

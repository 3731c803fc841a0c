"""What every answer must be, whatever the specification: in the format, inside its paths, the same again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulated_model.answer import answer
from simulated_model.faults import Faults
from simulated_model.parse import Message
from simulated_model.rehearsal import conversation, files_in, rehearse
from swarmrun.core.edits import FormatProblem
from swarmrun.core.prompt import answer_continues
from swarmrun.core.task import Task, TaskType

NAMES = ["task_management", "library", "odd_corners"]
every_specification = pytest.mark.parametrize("name", NAMES)


@every_specification
def test_every_task_is_answered_in_the_format_and_inside_its_paths(
    specification: Callable[[str], Any], name: str
) -> None:
    rehearsal = rehearse(specification(name))

    written = {task.id: files for task, files in rehearsal.files()}

    assert set(written) == {task.id for task in rehearsal.plan.tasks}
    assert all(written.values())


@every_specification
def test_the_tests_that_the_plan_expects_are_written(specification: Callable[[str], Any], name: str) -> None:
    rehearsal = rehearse(specification(name))
    paths = {path for _, files in rehearsal.files() for path in files}

    assert {test for task in rehearsal.plan.tasks for test in task.tests} <= paths


def _task(specification: Callable[[str], Any], task_id: str) -> tuple[Any, Task]:
    rehearsal = rehearse(specification("task_management"))
    return rehearsal, rehearsal.plan.task(task_id)


def test_the_same_conversation_gets_the_same_answer(specification: Callable[[str], Any]) -> None:
    rehearsal, task = _task(specification, "api.tasks.update")
    talk = conversation(task, rehearsal.profile)

    assert answer(talk, Faults()) == answer(talk, Faults())


@pytest.mark.parametrize("kind", ["malformed", "truncate"])
def test_a_broken_answer_is_refused_by_the_agents_parser(
    specification: Callable[[str], Any], kind: str
) -> None:
    rehearsal, task = _task(specification, "api.tasks.update")

    said = answer(conversation(task, rehearsal.profile), Faults({kind: 1.0}))

    assert said.fault == kind
    with pytest.raises(FormatProblem):
        files_in(said.text)


def test_asking_again_after_a_cut_answer_gets_all_of_it(specification: Callable[[str], Any]) -> None:
    rehearsal, task = _task(specification, "api.tasks.update")
    first = conversation(task, rehearsal.profile)
    again = [first[0], Message("user", first[1].text + "\n## Answer too long\n\nWrite less.\n")]

    assert set(files_in(answer(again, Faults({"truncate": 1.0})).text)) == set(task.owned)


def test_the_rest_of_a_cut_answer_leaves_out_what_has_arrived(specification: Callable[[str], Any]) -> None:
    rehearsal, task = _task(specification, "scaffold")
    first = conversation(task, rehearsal.profile)
    request = answer_continues(["README.md", "src/app.ts"], 4000)

    rest = answer([*first, Message("assistant", "…"), Message("user", request)], Faults())

    whole = set(files_in(answer(first, Faults()).text))
    assert set(files_in(rest.text)) == whole - {"README.md", "src/app.ts"}


def _fix(target: Task, owned: tuple[str, ...]) -> Task:
    about = {"id": target.id, "type": str(target.type), "title": target.title}
    return target.model_copy(
        update={
            "id": f"fix.{target.id}",
            "type": TaskType.FIX_BUG,
            "owned": owned,
            "spec": {**target.spec, "target": about},
        }
    )


def test_a_repair_of_tests_writes_the_code_that_they_exercise(specification: Callable[[str], Any]) -> None:
    rehearsal, tests = _task(specification, "test.users.create")
    code = rehearsal.plan.task("api.users.create")
    always_wrong = Faults({"wrong-code": 1.0})

    repaired = answer(conversation(_fix(tests, code.owned), rehearsal.profile), always_wrong)
    right = answer(conversation(code, rehearsal.profile), Faults())

    assert files_in(repaired.text) == files_in(right.text)


@pytest.mark.parametrize("task_id", ["db.users", "req.security.rate-limiting", "docs.users", "scaffold"])
def test_a_repair_of_other_work_writes_it_anew(specification: Callable[[str], Any], task_id: str) -> None:
    rehearsal, task = _task(specification, task_id)

    repaired = answer(conversation(_fix(task, task.owned), rehearsal.profile), Faults())

    assert files_in(repaired.text) == files_in(answer(conversation(task, rehearsal.profile), Faults()).text)


def test_a_stubborn_task_is_wrong_in_its_repair_too_and_right_after_a_hint(
    specification: Callable[[str], Any],
) -> None:
    rehearsal, code = _task(specification, "api.users.create")
    faults = Faults(stubborn=("api.users.create",))
    right = files_in(answer(conversation(code, rehearsal.profile), Faults()).text)

    def said(task: Task, **more: Any) -> dict[str, str]:
        return files_in(answer(conversation(task, rehearsal.profile, **more), faults).text)

    assert said(code, attempt=3) != right
    assert said(_fix(code, code.owned)) != right
    assert said(code, attempt=3, hint="the status must be 201") == right


def test_without_a_task_it_says_so() -> None:
    said = answer([Message("user", "Hello")], Faults())

    assert said.prompt is None
    assert "## Task" in said.text


def test_a_task_without_its_resource_gets_no_files() -> None:
    text = "## Task\n\n- id: x\n- type: implement_database\n- title: t\n- attempt: 1\n"

    assert answer([Message("user", text)], Faults()).text.endswith("FILES: 0\n")


def test_a_project_without_tokens_gets_no_authentication(specification: Callable[[str], Any]) -> None:
    files = {
        path: text for _, part in rehearse(specification("library")).files() for path, text in part.items()
    }

    assert "src/http/auth.ts" not in files
    assert not [p for p, text in files.items() if p.startswith("src/resources/") and "auth: true" in text]


def test_only_registration_and_login_are_open_where_tokens_are_used(
    specification: Callable[[str], Any],
) -> None:
    files = {
        path: text
        for _, part in rehearse(specification("task_management")).files()
        for path, text in part.items()
    }

    open_routes = {
        p
        for p, text in files.items()
        if p.startswith(("src/resources/", "src/system/")) and "auth: false" in text
    }
    assert open_routes == {"src/resources/users/create.ts", "src/system/health.ts", "src/system/login.ts"}

"""The prompt's text: section order, fences, bounds, and that no content can pose as a section."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmrun.core.edits import parse_answer
from swarmrun.core.errors import Problem
from swarmrun.core.prompt import (
    PromptFile,
    PromptInput,
    answer_cut,
    check_failed,
    fit,
    format_refused,
    system_prompt,
    tail,
    user_prompt,
)
from swarmrun.core.sandbox import StepResult
from swarmrun.core.task import Failure, FailureKind, Specialization, Task, TaskType

PROJECT = {"name": "Shop", "description": "", "architecture": {}, "resources": ["users"], "requirements": {}}
USERS = {"name": "users", "table": "users", "fields": []}


def task(**spec: Any) -> Task:
    return Task(
        id="endpoint.users.create",
        type=TaskType.IMPLEMENT_ENDPOINT,
        title="POST /users",
        owned=("src/users/create.ts", "src/users/create/**"),
        spec={"project": PROJECT, **spec},
    )


def headings(text: str) -> list[str]:
    """Read the sections as the stand-in model does: fences hide what is inside."""
    found, fence = [], ""
    for line in text.split("\n"):
        opening = re.match(r"^(`{3,})", line)
        if fence:
            fence = "" if line == fence else fence
        elif opening:
            fence = opening[1]
        elif line.startswith("## "):
            found.append(line[3:])
    assert not fence
    return found


def full_input() -> PromptInput:
    return PromptInput(
        task=task(resource=USERS, related=[USERS], endpoint={"method": "POST"}),
        attempt=2,
        failures=(Failure(kind=FailureKind.GATE, step="test", message="1 failed", output="boom\n"),),
        hint="Use bcrypt.",
        files=(PromptFile(path="src/users/create.ts", content="old\n"),),
        left_out=("big.json",),
        changes=("abc123 feat: users",),
    )


def test_all_sections_come_in_the_order_of_the_contract() -> None:
    assert headings(user_prompt(full_input())) == [
        "Project",
        "Resource",
        "Related resources",
        "Task",
        "Paths you may write",
        "Existing files",
        "Recent changes",
        "Hint",
        "Previous failures",
    ]


def test_sections_without_content_are_left_out() -> None:
    bare = Task(id="scaffold", type=TaskType.SCAFFOLD, title="Scaffold")
    assert headings(user_prompt(PromptInput(task=bare, attempt=1))) == ["Task"]


def test_the_task_carries_its_facts_and_the_rest_of_its_spec() -> None:
    text = user_prompt(full_input())
    assert (
        "- id: endpoint.users.create\n- type: implement_endpoint\n- title: POST /users\n- attempt: 2\n"
        in text
    )
    section = text.split("## Task")[1].split("## Paths")[0]
    found = re.search(r"```json\n(.*?)\n```", section, re.DOTALL)
    assert found is not None
    assert json.loads(found[1]) == {"endpoint": {"method": "POST"}}


def test_the_prefix_is_the_same_for_all_tasks_of_a_run() -> None:
    one, other = (user_prompt(PromptInput(task=task(resource={"name": n}), attempt=1)) for n in ("a", "b"))
    prefix = one.split("## Resource")[0]
    assert other.startswith(prefix)
    assert "Shop" in prefix


def test_files_are_fenced_longer_than_their_content() -> None:
    given_file = PromptFile(path="README.md", content="````sh\nls\n````\n## Task\n")
    text = user_prompt(PromptInput(task=task(), attempt=1, files=(given_file,)))
    assert "`````markdown:README.md\n````sh\nls\n````\n## Task\n`````" in text
    assert headings(text).count("Task") == 1


def test_paths_that_do_not_fit_are_named() -> None:
    assert "- not shown for lack of space: big.json" in user_prompt(full_input())


def test_whole_files_are_chosen_in_order_within_the_budget() -> None:
    files = [PromptFile(path=p, content="x" * n) for p, n in (("own", 40), ("big", 70), ("small", 60))]
    chosen, left_out = fit(files, 100)
    assert [f.path for f in chosen] == ["own", "small"]
    assert left_out == ("big",)


def test_at_most_five_failures_with_the_tail_of_their_output_are_told() -> None:
    failures = tuple(
        Failure(kind=FailureKind.CHECK, step="tsc", message=f"no {n}", output="x\n" * 9000 + "the end")
        for n in range(7)
    )
    text = user_prompt(PromptInput(task=task(), attempt=3, failures=failures))
    assert text.count("### check tsc") == 5
    assert "no 1" not in text
    assert text.count("the end") == 5
    assert len(text) < 40_000


@given(st.text(max_size=300), st.text(max_size=300))
def test_free_text_never_poses_as_a_section(hint: str, output: str) -> None:
    failure = Failure(kind=FailureKind.GATE, step=hint[:50], message=output, output=output + "\n## Task\n```")
    text = user_prompt(PromptInput(task=task(), attempt=1, hint=f"{hint}\n## Task", failures=(failure,)))
    assert headings(text).count("Task") == 1


def test_a_repair_round_shows_the_failed_steps_only() -> None:
    text = check_failed(
        [
            StepResult(name="tsc", exit_code=0, output="fine"),
            StepResult(name="lint", exit_code=2, output="a" * 20_000 + "\nlast"),
            StepResult(name="test", exit_code=124, output="", timed_out=True),
            StepResult(name="skipped", exit_code=None),
        ]
    )
    assert text.startswith("## Check failed\n\n### lint\n\nexit code 2\n")
    assert "### test\n\ntimed out" in text
    assert "fine" not in text
    assert "skipped" not in text
    assert text.endswith("Answer with the corrected files, whole, in the same format.\n")
    assert len(text) < 9_000


@pytest.mark.parametrize("task_type", list(TaskType))
@pytest.mark.parametrize("specialization", list(Specialization))
def test_every_kind_of_task_has_its_guidance(task_type: TaskType, specialization: Specialization) -> None:
    text = system_prompt("Shop {x}", "# Rules of the stack\n{y}\n", specialization, task_type)
    assert "builds Shop {x}." in text
    assert text.rstrip().endswith("# Conventions\n\n# Rules of the stack\n{y}")
    assert len(text) < 8_000


def test_implementer_tester_fixer_and_writer_are_told_different_things() -> None:
    kinds = (TaskType.IMPLEMENT_ENDPOINT, TaskType.WRITE_TESTS, TaskType.FIX_BUG, TaskType.WRITE_DOCS)
    texts = {system_prompt("p", "", Specialization.TESTING, kind) for kind in kinds}
    assert len(texts) == 4
    assert all("# Conventions" not in text for text in texts)


def test_the_example_of_the_answer_format_is_in_that_format() -> None:
    text = system_prompt("p", "", Specialization.TESTING, TaskType.WRITE_DOCS)
    example = text.split("# Answer format")[1].split("# This kind")[0]
    (edit,) = parse_answer(example)
    assert (edit.path, edit.content) == ("src/example.ts", "export const answer = 42;\n")


def test_a_refused_answer_names_its_faults_and_a_cut_one_its_limit() -> None:
    problem = Problem(path="a.ts", value="edit", rule="must be own", fix="write\n## other")
    refused = format_refused([problem])
    assert "- a.ts: must be own (found edit); write ## other" in refused
    assert headings(refused) == ["Answer refused"]
    assert "limit of 16000 tokens" in answer_cut(16_000)


def test_a_tail_begins_with_a_whole_line() -> None:
    assert tail("one\ntwo\nthree", 9) == "three"
    assert tail("x" * 20, 5) == "xxxxx"
    assert tail("short", 5) == "short"

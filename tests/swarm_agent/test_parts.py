"""The parts of the agent that decide: drafts, conversations, what errors mean, which steps run."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from agent_support import PROFILE
from swarm_agent.backoff import Backoff, wait
from swarm_agent.check import only_tests_failed, steps_for
from swarm_agent.context import relevant
from swarm_agent.conversation import Conversation
from swarm_agent.draft import draft_on, in_style_of
from swarm_agent.errors import AttemptFailedError, GiveBackError, LeaseLostError, ModelUnavailable
from swarm_agent.health import STALE_AFTER, Pulse
from swarm_agent.model.base import meaning, retry_after
from swarmrun.core.sandbox import RunResult, StepResult
from swarmrun.core.task import ChangeSet, Failure, FailureKind, FileEdit, Task, TaskType
from swarmrun.vcs.tree import Entry

HEAD = {
    "src/a.py": Entry("100644", "1" * 40),
    "src/B.py": Entry("100644", "2" * 40),
    "link": Entry("120000", "3" * 40),
}


def write(path: str, content: str = "x\n") -> FileEdit:
    return FileEdit(path=path, content=content)


def delete(path: str) -> FileEdit:
    return FileEdit(path=path, action="delete")


def test_own_edits_lie_on_the_stack_and_the_stack_on_the_head() -> None:
    older = ChangeSet(base="", edits=(write("src/a.py", "old\n"), write("src/c.py")))
    newer = ChangeSet(base="", edits=(write("src/a.py", "new\n"), delete("src/B.py")))
    draft = draft_on(HEAD, [older, newer])
    draft.take([write("src/d.py")])
    assert draft.paths() == ["link", "src/a.py", "src/c.py", "src/d.py"]
    assert draft.text_of_stack("src/a.py") == "new\n"
    assert draft.overlay() == {"src/a.py": b"new\n", "src/c.py": b"x\n", "src/B.py": None, "src/d.py": b"x\n"}
    assert [e.path for e in draft.change_set("", "").edits] == ["src/d.py"]


def test_a_file_made_and_deleted_in_one_attempt_is_no_change() -> None:
    draft = draft_on(HEAD, [])
    draft.take([write("src/new.py"), write("src/a.py")])
    draft.take([delete("src/new.py"), delete("src/a.py")])
    assert draft.own == {"src/a.py": delete("src/a.py")}


@pytest.mark.parametrize(
    ("edits", "rule"),
    [
        ([write("link")], "must be a plain file"),
        ([write("link/x")], "must not lie below a file"),
        ([write("src")], "must not be a folder"),
        ([write("src/a.py/x")], "must not lie below a file"),
        ([write("src/b.py")], "must not differ from a file by case alone"),
        ([delete("src/no.py")], "must exist to be deleted"),
        ([write("n"), write("n/x")], "must not be a folder"),
    ],
)
def test_edits_that_do_not_fit_the_tree_are_named(edits: list[FileEdit], rule: str) -> None:
    assert rule in [problem.rule for problem in draft_on(HEAD, []).problems(edits)]


def test_edits_may_take_the_place_of_what_they_delete() -> None:
    edits = [delete("src/a.py"), delete("src/B.py"), write("src/a.py/x.py"), write("src/b.py")]
    assert draft_on(HEAD, []).problems(edits) == []


def test_a_file_keeps_its_line_ends_and_its_mark() -> None:
    assert in_style_of(b"a\r\nb\r\n", write("f", "x\ny\n")).content == "x\r\ny\r\n"
    assert in_style_of("\ufeffa\n".encode(), write("f", "x\n")).content == "\ufeffx\n"
    assert in_style_of(b"a\n", write("f", "x\n")).content == "x\n"


def test_own_files_come_before_those_worth_reading_in_the_order_of_their_globs() -> None:
    task = Task(
        id="t", type=TaskType.REFACTOR, title="t", owned=("src/b/**",), reads=("z.md", "src/**", "a.md")
    )
    paths = ["a.md", "other", "src/a/x.py", "src/b/y.py", "z.md"]
    assert relevant(task, paths) == ["src/b/y.py", "z.md", "src/a/x.py", "a.md"]


def test_files_that_a_failure_names_are_shown_before_those_worth_reading() -> None:
    task = Task(id="t", type=TaskType.REFACTOR, title="t", owned=("src/b/**",), reads=("a.md",))
    failure = Failure(kind=FailureKind.CHECK, message="red", output="./src/a/x.py:3:1 error\nnot/there.py:1")
    assert relevant(task, ["a.md", "src/a/x.py", "src/b/y.py"], [failure]) == [
        "src/b/y.py",
        "src/a/x.py",
        "a.md",
    ]


def test_roles_alternate_whatever_happens() -> None:
    talk = Conversation("task")
    talk.shorten(" shorter")
    talk.refuse("bad", "because")
    talk.refuse(" ", "because again")
    talk.shorten(" shorter")
    assert [tuple(t) for t in talk.turns()] == [
        ("user", "task"),
        ("assistant", "(no answer)"),
        ("user", "because again shorter"),
    ]
    talk.accept("good", "red")
    assert [t.text for t in talk.turns()] == ["task", "good", "red"]
    assert all(one.role != two.role for one, two in itertools.pairwise(talk.turns()))


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (402, "budget_exhausted", GiveBackError),
        (409, "stale_lease", LeaseLostError),
        (409, "conflict", ModelUnavailable),
        (503, "run_paused", GiveBackError),
        (503, "overloaded", ModelUnavailable),
        (403, "price_unknown", GiveBackError),
        (401, "", GiveBackError),
        (429, "", ModelUnavailable),
        (529, "", ModelUnavailable),
        (400, "context_length_exceeded", AttemptFailedError),
        (404, "model_not_found", AttemptFailedError),
    ],
)
def test_each_error_of_the_model_says_what_happens_next(
    status: int, code: str, error: type[Exception]
) -> None:
    assert type(meaning(status, code, "text", {})) is error


def test_an_error_is_told_without_the_key_that_it_quotes() -> None:
    assert "sk-" not in str(meaning(400, "", "Incorrect API key provided: sk-abcdefghijkl", {}))


def test_the_wait_that_a_server_asks_for_is_understood_and_capped() -> None:
    assert retry_after({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert retry_after({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}) is None
    assert 30 <= Backoff(base=1, cap=30).asked(86_400) <= 31


def test_waits_grow_and_stay_below_their_cap() -> None:
    backoff = Backoff(base=1, cap=10)
    assert all(0.1 <= backoff.delay(1) <= 1 for _ in range(100))
    assert all(1 <= backoff.delay(1000) <= 10 for _ in range(100))


async def test_a_wait_ends_with_the_stop() -> None:
    stop = asyncio.Event()
    assert not await wait(stop, 0.001)
    stop.set()
    assert await wait(stop, 60)


def test_tests_are_expanded_and_steps_without_tests_are_left_out() -> None:
    kind = TaskType.WRITE_TESTS
    assert [s.argv[-2:] for s in steps_for(PROFILE, kind, ["t/a.py", "t/b.py"])][1] == ("t/a.py", "t/b.py")
    assert [step.name for step in steps_for(PROFILE, kind, [])] == ["compile"]


def test_a_step_for_other_types_is_left_out() -> None:
    compiling, testing = PROFILE.check[:2]
    narrow = compiling.model_copy(update={"types": (TaskType.SCAFFOLD,)})
    profile = PROFILE.model_copy(update={"check": (narrow, testing)})
    assert [step.name for step in steps_for(profile, TaskType.WRITE_DOCS, [])] == []
    assert [step.name for step in steps_for(profile, TaskType.SCAFFOLD, [])] == ["compile"]


@pytest.mark.parametrize(
    ("compiled", "tested", "timed_out", "only_tests"),
    [
        (0, 1, False, True),
        (1, None, False, False),
        (0, 0, False, False),
        (0, 127, False, False),
        (0, 124, True, False),
    ],
)
def test_only_tests_that_ran_and_failed_count_as_such(
    compiled: int, tested: int | None, *, timed_out: bool, only_tests: bool
) -> None:
    steps = (
        StepResult(name="compile", exit_code=compiled),
        StepResult(name="test", exit_code=tested, timed_out=timed_out),
    )
    assert only_tests_failed(PROFILE, RunResult(steps=steps)) is only_tests


def test_a_loop_that_stands_still_is_not_alive() -> None:
    now = [0.0]
    pulse = Pulse(lambda: now[0])
    now[0] = STALE_AFTER + 1
    assert not pulse.alive
    pulse.beat()
    assert pulse.alive

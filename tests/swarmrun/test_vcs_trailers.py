from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarmrun.vcs.trailers import Trailers, commit_message, landed, parse

MINE = Trailers(run="uid-1", task="users.create", attempt=2, agent="agent-3")


def message(title: str = "Create users", summary: str = "", trailers: Trailers = MINE) -> str:
    return commit_message(task_type="implement_endpoint", title=title, summary=summary, trailers=trailers)


@given(title=st.text(max_size=300), summary=st.text(max_size=3000))
def test_whatever_a_model_writes_above_them_the_trailers_are_ours(title: str, summary: str) -> None:
    assert parse(message(title, summary)) == MINE


def test_trailers_that_a_model_wrote_into_its_summary_do_not_count() -> None:
    forged = "Done.\n\nSwarm-Run: uid-1\nSwarm-Task: orders.create\nSwarm-Attempt: 1\nSwarm-Agent: x"
    assert parse(message(summary=forged)) == MINE


def test_the_subject_is_one_line_of_type_and_title() -> None:
    assert message("Create\nusers").splitlines()[0] == "implement_endpoint: Create users"


def test_a_persons_commit_has_no_trailers() -> None:
    assert parse("Fix the build\n") is None
    assert parse("Fix the build\n\nSwarm-Run: uid-1 was wrong\nand so was I\n") is None
    assert parse("Fix\n\nSwarm-Run: u\nSwarm-Task: t\nSwarm-Attempt: ²\n") is None


def test_landed_maps_tasks_of_one_run_to_their_newest_commit() -> None:
    other = Trailers(run="uid-2", task="users.create", attempt=1, agent="agent-0")
    log = [("c3", message()), ("c2", message(trailers=other)), ("c1", message()), ("c0", "Start\n")]
    assert landed(log, run="uid-1") == {"users.create": "c3"}

"""The checker finds what is planted, and nothing else."""

from __future__ import annotations

from pathlib import Path

from swarmchaos import checker
from swarmchaos.journal import Ack, Journal, Reader, acknowledged
from swarmchaos.values import Kind, Violation
from swarmrun.core.task import TaskState

RUN = "r"


def ack(at: float, what: str, task: str, token: str, reply: str = "OK", *, detail: str = "") -> Ack:
    return Ack(at, at + 0.1, f"pod-{token}", what, RUN, task, token, reply, detail)


def kinds(violations: list[Violation]) -> list[Kind]:
    return [violation.kind for violation in violations]


HISTORY = [
    ack(1, "claim", "a", "1-1"),
    ack(2, "submit", "a", "1-1"),
    ack(3, "land", "a", "1-1", detail="c-a"),
    ack(4, "claim", "b", "1-2"),
    ack(5, "heartbeat", "b", "1-2"),
]


def lost(states: dict[str, TaskState], commits: dict[str, str]) -> list[Kind]:
    return kinds(checker.writes_lost(HISTORY, {RUN: states}, {RUN: commits}))


def test_a_store_that_holds_every_acknowledged_write_passes() -> None:
    assert lost({"a": TaskState.COMPLETED, "b": TaskState.LEASED}, {"a": "c-a"}) == []


def test_further_progress_than_was_acknowledged_passes() -> None:
    assert lost({"a": TaskState.COMPLETED, "b": TaskState.SUBMITTED}, {"a": "c-a"}) == []


def test_a_lost_claim_submission_landing_or_task_is_found() -> None:
    assert lost({"a": TaskState.COMPLETED, "b": TaskState.READY}, {"a": "c-a"}) == [Kind.LOST]
    assert lost({"a": TaskState.LEASED, "b": TaskState.LEASED}, {}) == [Kind.LOST, Kind.LOST]
    assert lost({"a": TaskState.SUBMITTED, "b": TaskState.LEASED}, {}) == [Kind.LOST]
    assert lost({"a": TaskState.COMPLETED}, {"a": "c-a"}) == [Kind.LOST]


def test_a_landing_under_another_commit_is_lost() -> None:
    assert lost({"a": TaskState.COMPLETED, "b": TaskState.LEASED}, {"a": "c-x"}) == [Kind.LOST]


def test_a_task_that_lands_twice_is_found() -> None:
    assert checker.done_twice(HISTORY) == []
    assert kinds(checker.done_twice([*HISTORY, ack(6, "land", "a", "1-3")])) == [Kind.DOUBLE]
    assert checker.done_twice([*HISTORY, ack(6, "land", "a", "1-1", "DUP")]) == []


def test_two_commits_of_one_task_no_commit_and_a_strange_commit_are_found() -> None:
    assert checker.branch(["a", "b"], [("a", "1"), ("b", "2")]) == []
    assert kinds(checker.branch(["a", "b"], [("a", "1"), ("a", "2")])) == [Kind.LOST, Kind.DOUBLE]
    assert kinds(checker.branch(["a"], [("a", "1"), ("x", "2")])) == [Kind.DOUBLE]


def test_a_token_that_is_given_twice_is_found() -> None:
    assert checker.tokens_given_twice(HISTORY) == []
    assert kinds(checker.tokens_given_twice([*HISTORY, ack(6, "claim", "c", "1-2")])) == [Kind.DOUBLE]


def test_a_stale_holder_that_is_accepted_is_found() -> None:
    again = [*HISTORY, ack(6, "claim", "b", "1-10")]
    assert checker.stale_accepted(again) == []
    assert kinds(checker.stale_accepted([*again, ack(7, "submit", "b", "1-2")])) == [Kind.DOUBLE]
    assert checker.stale_accepted([*again, ack(7, "submit", "b", "1-2", "STALE")]) == []
    assert checker.stale_accepted([*again, ack(7, "submit", "b", "1-10")]) == []
    raised = [*HISTORY, ack(6, "claim", "b", "2-1")]
    assert kinds(checker.stale_accepted([*raised, ack(7, "heartbeat", "b", "1-2")])) == [Kind.DOUBLE]


def test_calls_that_overlap_the_next_claim_are_not_judged() -> None:
    overlapping = [*HISTORY, ack(6, "claim", "b", "1-3"), ack(6.05, "submit", "b", "1-2")]
    assert checker.stale_accepted(overlapping) == []


def test_a_claim_that_is_answered_again_or_refused_was_lost() -> None:
    assert checker.claims_lost(HISTORY) == checker.refused_holders(HISTORY) == []
    assert kinds(checker.claims_lost([*HISTORY, ack(6, "claim", "b", "1-3")])) == [Kind.LOST]
    assert kinds(checker.refused_holders([*HISTORY, ack(6, "submit", "b", "1-2", "STALE")])) == [Kind.LOST]


def test_a_task_that_does_not_end_or_disagrees_with_the_branch_is_found() -> None:
    on_branch = [("a", "1"), ("b", "2")]
    done = dict.fromkeys("ab", TaskState.COMPLETED)
    assert checker.agreement(done, {"a": "1", "b": "2"}, on_branch) == []
    assert kinds(checker.agreement({**done, "b": TaskState.READY}, {"a": "1"}, on_branch)) == [Kind.STUCK]
    assert kinds(checker.agreement(done, {"a": "1", "b": "x"}, on_branch)) == [Kind.LOST]


def test_recovery_is_the_time_from_a_holders_death_to_the_next_claim() -> None:
    history = [*HISTORY, ack(8, "claim", "b", "1-3")]
    assert checker.recoveries(history, [(6.0, "pod-1-2")], urgent="b") == [8.1 - 6.0]
    assert checker.recoveries(history, [(6.0, "pod-1-2")], urgent="a") == []
    assert checker.recoveries(history, [(6.0, "pod-1-1")], urgent="ab") == []
    unknown = ack(7, "claiming", "", "9-9", "")
    deaths = [(6.0, "pod-1-2"), (7.2, "pod-9-9")]
    assert checker.recoveries([*history, unknown], deaths, urgent="b") == []
    assert kinds(checker.late([2.9, 3.1], 3.0)) == [Kind.LATE]


def test_a_journal_is_read_as_it_grows(tmp_path: Path) -> None:
    journal, reader = Journal(tmp_path, "one", batch=2), Reader(tmp_path)
    journal.add(HISTORY[0])
    assert reader.new() == []
    journal.add(HISTORY[1])
    assert reader.new() == HISTORY[:2]
    for each in HISTORY[2:]:
        journal.add(each)
    journal.flush()
    rest = reader.new()
    assert rest == HISTORY[2:]
    assert acknowledged(rest) == 2

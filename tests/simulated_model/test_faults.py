from __future__ import annotations

import pytest

from simulated_model.faults import CONTENT, TRANSPORT, Faults, parse_rates, spoil

TASKS = [f"api.things.task-{n}" for n in range(2000)]


@pytest.mark.parametrize("kind", CONTENT)
def test_content_faults_come_about_as_often_as_asked(kind: str) -> None:
    faults = Faults({kind: 0.1}, seed=7)

    share = sum(faults.content(t, 1, 0) == kind for t in TASKS) / len(TASKS)

    assert 0.07 < share < 0.13


def test_the_same_seed_gives_the_same_faults_in_any_order() -> None:
    rates = dict.fromkeys(CONTENT, 0.2)
    forward = {t: Faults(rates, seed=3).content(t, 1, 0) for t in TASKS}
    backward = {t: Faults(rates, seed=3).content(t, 1, 0) for t in reversed(TASKS)}

    assert forward == backward
    assert forward != {t: Faults(rates, seed=4).content(t, 1, 0) for t in TASKS}


@pytest.mark.parametrize("kind", TRANSPORT)
def test_a_retry_meets_no_fault_of_the_transport(kind: str) -> None:
    faults = Faults({kind: 1.0})

    assert faults.transport("t", 1, 0, 0) == kind
    assert faults.transport("t", 1, 0, 1) == ""


def test_wrong_code_is_drawn_in_the_first_round_only() -> None:
    faults = Faults({"wrong-code": 1.0})

    assert [faults.content("t", 1, n) for n in range(3)] == ["wrong-code", "", ""]


def test_late_attempts_are_answered_well() -> None:
    faults = Faults(dict.fromkeys(CONTENT, 1.0))

    assert faults.content("t", 2, 0) == "malformed"
    assert faults.content("t", 3, 0) == ""


def test_an_answer_that_must_be_shorter_is_not_cut_again() -> None:
    assert Faults({"truncate": 1.0}).content("t", 1, 0, shortened=True) == ""


def test_a_stubborn_task_and_its_repair_stay_wrong_until_a_hint_comes() -> None:
    faults = Faults(stubborn=("api.users.*",))

    assert faults.content("api.users.read", 9, 2) == "wrong-code"
    assert faults.content("fix.api.users.read", 1, 0) == "wrong-code"
    assert faults.content("api.users.read", 9, 2, hint=True) == ""
    assert faults.content("api.tasks.read", 1, 0) == ""


def test_rates_are_read_from_the_command_line() -> None:
    assert parse_rates("wrong-code=0.1, slow=1") == {"wrong-code": 0.1, "slow": 1.0}
    assert parse_rates("") == {}


@pytest.mark.parametrize("text", ["wrong=0.1", "slow=2", "slow=x", "slow"])
def test_wrong_rates_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--faults"):
        parse_rates(text)


def test_documents_and_models_are_never_spoiled() -> None:
    assert spoil("docs/api/users.md", "status: 201") == "status: 201"
    assert spoil("src/models/users.ts", "status: 201") == "status: 201"

"""Overspending and false refusals are found, in histories whose calls overlap."""

from __future__ import annotations

import math

import pytest

from swarmchaos import ledger_checker
from swarmchaos.ledger_checker import Call, End
from swarmchaos.values import Kind, Violation
from swarmrun.queue.port import Totals


def kinds(violations: list[Violation]) -> list[Kind]:
    return [violation.kind for violation in violations]


def held(worst: int, asked: float, closed: float = math.inf, cost: int = 0) -> Call:
    end = End.NEVER if closed == math.inf else End.SETTLED
    return Call(worst, (asked, asked + 1), end, (closed, closed + 1), cost)


def refused(worst: int, asked: float) -> Call:
    return Call(worst, (asked, asked + 1), End.REFUSED)


def test_holds_up_to_the_limit_are_no_overspending() -> None:
    calls = [held(60, 1, 5, 20), held(40, 3), held(40, 7)]
    assert ledger_checker.overspent(calls, before=0, limit=100) == []


def test_a_planted_overspend_is_found() -> None:
    calls = [held(60, 1, 5, 20), held(41, 3)]
    assert kinds(ledger_checker.overspent(calls, before=0, limit=100)) == [Kind.OVERSPEND]
    assert kinds(ledger_checker.overspent([held(60, 1)], before=41, limit=100)) == [Kind.OVERSPEND]


def test_a_hold_that_may_have_ended_is_not_counted() -> None:
    calls = [held(60, 1, 5, 0), held(60, 5)]
    assert ledger_checker.overspent(calls, before=0, limit=100) == []


def test_costs_stay_when_holds_end() -> None:
    calls = [held(60, 1, 5, 60), held(60, 8)]
    assert kinds(ledger_checker.overspent(calls, before=0, limit=100)) == [Kind.OVERSPEND]


@pytest.mark.parametrize(("worst", "found"), [(41, []), (40, [Kind.REFUSAL])])
def test_a_refusal_is_false_when_the_amount_fitted_all_the_time(worst: int, found: list[Kind]) -> None:
    calls = [held(60, 1), refused(worst, 5)]
    assert kinds(ledger_checker.false_refusals(calls, before=0, limit=100)) == found


def test_a_refusal_may_be_due_to_a_hold_of_which_nobody_has_heard_yet() -> None:
    calls = [held(60, 5.5), refused(50, 5)]
    assert ledger_checker.false_refusals(calls, before=0, limit=100) == []


def test_a_refusal_after_a_hold_was_given_back_is_false() -> None:
    calls = [held(60, 1, 3, 10), refused(50, 5)]
    assert kinds(ledger_checker.false_refusals(calls, before=0, limit=100)) == [Kind.REFUSAL]


def test_long_histories_find_their_highest_value_in_every_interval() -> None:
    calls = [held(10, at, at + 5, 0) for at in range(0, 4_000, 10)]
    calls += [held(90, 2_000, 2_007, 0), refused(20, 2_003), refused(20, 3_003)]
    assert kinds(ledger_checker.false_refusals(calls, before=0, limit=100)) == [Kind.REFUSAL]


def test_the_ledger_at_rest_must_equal_the_answers() -> None:
    calls = [held(60, 1, 5, 20), held(40, 3), refused(10, 4)]
    calls += [Call(7, (1, 2), End.UNKNOWN, (3, 4)), Call(9, (1, 2), End.CANCELLED, (3, 4))]
    expected = ledger_checker.spent(calls)
    assert expected == 20 + 40 + 7
    assert ledger_checker.sums(Totals(spent_micro_usd=67), expected=expected) == []
    assert kinds(ledger_checker.sums(Totals(spent_micro_usd=66), expected=expected)) == [Kind.LOST]
    assert kinds(ledger_checker.sums(Totals(spent_micro_usd=68), expected=expected)) == [Kind.DOUBLE]


def test_one_reading_over_the_limit_is_found() -> None:
    good = Totals(limit_micro_usd=10, spent_micro_usd=4, reserved_micro_usd=6)
    assert ledger_checker.sample(good) == []
    assert kinds(ledger_checker.sample(good.model_copy(update={"spent_micro_usd": 5}))) == [Kind.OVERSPEND]


def test_the_last_micro_dollars_must_all_be_given_and_no_more() -> None:
    assert ledger_checker.drained(5, 5) == []
    assert kinds(ledger_checker.drained(4, 5) + ledger_checker.drained(6, 5)) == [
        Kind.REFUSAL,
        Kind.OVERSPEND,
    ]

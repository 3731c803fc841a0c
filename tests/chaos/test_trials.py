"""A broken call is judged by its answers and its effect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from swarmchaos.faulty_network import Trial, judge
from swarmchaos.proxy import Fault

GOOD = Trial(
    operation="submit",
    fault=Fault.DROP,
    first="OK",
    settled=frozenset({"DUP", "STALE"}),
    replies=("lost", "OK", "DUP"),
    expected=("one",),
    actual=("one",),
)
EXECUTED = replace(GOOD, fault=Fault.LOSE_REPLY, replies=("lost", "DUP", "DUP"))
DELAYED = replace(GOOD, fault=Fault.DELAY, replies=("OK", "DUP", "STALE"))


@pytest.mark.parametrize("trial", [GOOD, EXECUTED, DELAYED])
def test_once_ok_and_then_dup_or_stale_passes(trial: Trial) -> None:
    assert judge(trial) == []


@pytest.mark.parametrize(
    "trial",
    [
        replace(GOOD, replies=("lost", "OK", "OK")),
        replace(GOOD, replies=("lost", "DUP", "DUP")),
        replace(GOOD, replies=("OK", "DUP", "DUP")),
        replace(EXECUTED, replies=("lost", "OK", "DUP")),
        replace(DELAYED, replies=("OK", "OK", "DUP")),
        replace(GOOD, actual=("two",)),
    ],
)
def test_a_second_ok_a_missing_one_or_a_second_effect_is_found(trial: Trial) -> None:
    assert judge(trial) != []

"""Which model an attempt gets."""

import pytest
from pydantic import ValidationError

from swarmrun.core import api
from swarmrun.core.task import TaskType
from swarmrun.queue.port import Totals
from swarmrun.runconfig import ModelPolicy, SoftThreshold

POLICY = ModelPolicy(
    default="plain",
    by_task_type={TaskType.SCAFFOLD: "big"},
    escalation=("strong",),
    soft_thresholds=(SoftThreshold(percent=50, model="cheap"), SoftThreshold(percent=80, model="cheapest")),
)


@pytest.mark.parametrize(
    ("spent", "reserved", "model"),
    [(0, 0, "big"), (499, 0, "big"), (400, 100, "cheap"), (799, 0, "cheap"), (0, 800, "cheapest")],
)
def test_what_is_spent_and_reserved_chooses_the_cheaper_model(spent: int, reserved: int, model: str) -> None:
    totals = Totals(limit_micro_usd=1000, spent_micro_usd=spent, reserved_micro_usd=reserved)
    assert POLICY.model_for(TaskType.SCAFFOLD, 1, totals) == model
    assert POLICY.model_for(TaskType.SCAFFOLD, 2, totals) == model


def test_a_stronger_model_of_the_ladder_stays_however_little_is_left() -> None:
    spent = Totals(limit_micro_usd=1000, spent_micro_usd=990)
    assert POLICY.model_for(TaskType.SCAFFOLD, 3, spent) == "strong"


def test_without_figures_or_without_a_limit_no_threshold_is_reached() -> None:
    assert POLICY.model_for(TaskType.SCAFFOLD, 1) == "big"
    assert POLICY.threshold(Totals(spent_micro_usd=5)) is None


def test_every_model_of_the_policy_is_listed_once() -> None:
    assert POLICY.models() == ("plain", "big", "strong", "cheap", "cheapest")


@pytest.mark.parametrize("percents", [(80, 50), (50, 50)])
def test_thresholds_that_do_not_increase_are_refused(percents: tuple[int, ...]) -> None:
    entries = [{"percent": p, "model": "m"} for p in percents]
    with pytest.raises(ValidationError, match="must have percents that increase"):
        api.ModelPolicy.model_validate({"softThresholds": entries})

"""Efficiency compares a run with the shortest time that its plan allows."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from swarmbench.efficiency import efficiency
from swarmbench.wholerun import dependencies, first_claim
from swarmdemo.settings import Settings

DIAMOND = {
    "scaffold": frozenset[str](),
    "left": frozenset({"scaffold"}),
    "right": frozenset({"scaffold"}),
    "end": frozenset({"left", "right"}),
}


def line(id_: str, claimed: float | None, submitted: float | None, finished: float | None) -> dict[str, Any]:
    return {"id": id_, "claimedAfter": claimed, "submittedAfter": submitted, "finishedAfter": finished}


def test_a_run_without_any_gap_on_its_longest_chain_is_fully_efficient() -> None:
    tasks = [
        line("scaffold", 1.0, 3.0, 3.0),
        line("left", 3.0, 8.0, 8.0),
        line("right", 3.0, 5.0, 5.0),
        line("end", 8.0, 9.0, 9.0),
    ]
    found = efficiency(tasks, DIAMOND, agents=2)
    assert (found.makespan, found.chain, found.work) == (8.0, 8.0, 10.0)
    assert found.share == found.share_landed == 1.0


def test_one_agent_is_bound_by_the_sum_of_all_work() -> None:
    tasks = [
        line("scaffold", 0.0, 2.0, 2.0),
        line("left", 2.0, 4.0, 4.0),
        line("right", 4.0, 6.0, 6.0),
        line("end", 8.0, 10.0, 10.0),
    ]
    assert efficiency(tasks, DIAMOND, agents=1).share == pytest.approx(0.8)


def test_gates_count_only_for_the_share_with_landing() -> None:
    tasks = [
        line("scaffold", 0.0, 1.0, 2.0),
        line("left", 2.0, 3.0, 4.0),
        line("right", 2.0, 3.0, 4.0),
        line("end", 4.0, 5.0, 6.0),
    ]
    found = efficiency(tasks, DIAMOND, agents=2)
    assert (found.share, found.share_landed) == (0.5, 1.0)


def test_a_repair_is_work_and_prolongs_its_task() -> None:
    tasks = [
        line("scaffold", 0.0, 1.0, 5.0),
        line("fix.scaffold", 2.0, 4.0, 5.0),
    ]
    found = efficiency(tasks, {"scaffold": frozenset()}, agents=1)
    assert (found.work, found.chain, found.makespan) == (3.0, 3.0, 5.0)


def test_tasks_that_never_ran_count_nothing() -> None:
    tasks = [line("scaffold", 0.0, 1.0, 1.0), line("left", None, None, None), line("right", 1.0, None, None)]
    assert efficiency(tasks, DIAMOND, agents=1).work == 1.0


def test_a_run_in_which_nothing_finished_has_no_efficiency() -> None:
    with pytest.raises(ValueError, match="no task that was claimed and finished"):
        efficiency([line("scaffold", 1.0, None, None)], DIAMOND, agents=1)


def test_the_plan_is_made_again_from_the_example() -> None:
    project = yaml.safe_load(Settings(example="notes-api").manifest.read_text())["spec"]["project"]
    needs = dependencies(project)
    assert needs["scaffold"] == frozenset()
    assert needs["api.notes.create"] == {"db.notes"}


def test_the_first_claim_is_told_from_the_apply_not_from_the_runs_start() -> None:
    report = {"tasks": [line("a", 3.5, None, None), line("b", 2.5, None, None), line("c", None, None, None)]}
    assert first_claim(report, "1970-01-01T00:01:00Z", applied=59.0) == pytest.approx(3.5)

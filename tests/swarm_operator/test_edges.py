"""Small rules at the edges: errors of the API, what is written when, what is remembered, what is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from pydantic import ValidationError

from operator_support import SPEC, condition, look, queue_of, run_body, snapshot, started_run, status_of, task
from swarm_operator.apply import STATUS_EVERY, status_wait
from swarm_operator.builder import PlanBuilder, coverage_wanted
from swarm_operator.conditions import find
from swarm_operator.fairqueue import Key
from swarm_operator.guard import missing_fields
from swarm_operator.kube import (
    ConflictError,
    ForbiddenError,
    InvalidObjectError,
    KubeError,
    NotFoundError,
    UnavailableError,
    error_of,
    object_path,
)
from swarm_operator.memory import Memory
from swarm_operator.mirror import MAX_LINES, mirror, seconds_left, short_duration
from swarm_operator.observed import PodView, read_status
from swarm_operator.settings import Settings
from swarm_operator.transitions import notices
from swarmrun.core.api import SwarmRunSpec
from swarmrun.core.crd import swarmrun_crd
from swarmrun.core.errors import Stalled
from swarmrun.core.status import ConditionType, Phase, SwarmRunStatus
from swarmrun.core.task import Failure, FailureKind, TaskState
from swarmrun.queue.port import Activity, Signal, Totals


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, NotFoundError),
        (409, ConflictError),
        (403, ForbiddenError),
        (422, InvalidObjectError),
        (429, UnavailableError),
        (503, UnavailableError),
        (418, KubeError),
    ],
)
def test_answers_of_the_api_become_errors_that_say_what_is_next(status: int, kind: type) -> None:
    error = error_of(status, json.dumps({"reason": "Why", "message": "because"}), "7")
    assert type(error) is kind
    assert (error.reason, error.message) == ("Why", "because")
    assert error.after == (7.0 if status in {429, 503} else 0.0)


def test_an_answer_that_is_no_json_is_still_told() -> None:
    assert error_of(502, "<html>bad gateway").message == "<html>bad gateway"


def test_paths_of_core_and_named_groups_differ() -> None:
    assert object_path("v1", "Pod", "team", "x") == "/api/v1/namespaces/team/pods/x"
    assert object_path("apps/v1", "Deployment", None) == "/apis/apps/v1/deployments"


def test_a_status_is_written_on_change_only_and_figures_at_most_every_five_seconds() -> None:
    before: dict[str, Any] = {"phase": "Running", "progress": "1/9"}
    assert status_wait(before, dict(before), since_last=99) is None
    assert status_wait(before, {**before, "progress": "2/9"}, since_last=1) == STATUS_EVERY - 1
    assert status_wait(before, {**before, "progress": "2/9"}, since_last=9) == 0.0
    assert status_wait(before, {**before, "phase": "Finishing"}, since_last=0) == 0.0


def test_only_newer_versions_are_remembered_and_a_successor_of_the_name_is_another_run() -> None:
    memory, body = Memory(), run_body()
    assert memory.put_run(body)
    old = copy.deepcopy(body)
    old["metadata"]["resourceVersion"] = "6"
    assert not memory.put_run(old)
    old["metadata"]["uid"] = "uid-2"
    assert memory.put_run(old)
    found = memory.run(Key("team", "todo"))
    assert found is not None
    assert found.uid == "uid-2"
    assert memory.drop_run(Key("team", "todo")) == "uid-2"
    assert memory.run(Key("team", "todo")) is None


def pod(name: str, version: str) -> dict[str, Any]:
    meta = {
        "name": name,
        "namespace": "team",
        "resourceVersion": version,
        "labels": {"swarmrun.dev/run": "todo"},
    }
    return {"metadata": meta, "status": {}}


def test_a_pod_that_vanished_without_an_event_is_dropped_by_the_sweep() -> None:
    memory, key = Memory(), Key("team", "todo")
    assert memory.pods.put(pod("a", "1"))
    assert memory.pods.put(pod("b", "2"))
    assert not memory.pods.put(pod("a", "1"))
    assert memory.pods.keep_only([pod("a", "1")]) == {key}
    assert [p.name for p in memory.children(key).pods] == ["a"]


def test_a_pod_that_cannot_be_scheduled_says_why() -> None:
    body = pod("a", "1")
    reason = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
    body["status"]["conditions"] = [reason]
    view = PodView.of(body)
    assert view is not None
    assert (view.waiting_reason, view.waiting_message) == ("Unschedulable", "no node")


def test_a_status_of_another_release_keeps_its_epoch() -> None:
    read = read_status({"queueEpoch": 7, "phase": "Dancing", "novelty": 1})
    assert (read.queue_epoch, read.phase) == (7, Phase.PENDING)


def test_the_operator_names_the_fields_that_a_served_crd_lacks() -> None:
    wanted, served = swarmrun_crd(), copy.deepcopy(swarmrun_crd())
    schema = served["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["status"]["properties"]["queueEpoch"]
    assert missing_fields(wanted, served) == ["status.queueEpoch"]
    assert missing_fields(wanted, wanted) == []


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ("At least 80% test coverage", 80.0),
        ("Test coverage must be above 92.5 %", 92.5),
        ("99.9% uptime", None),
        ("Response time under 200ms", None),
    ],
)
def test_the_wanted_coverage_is_read_from_the_specification(text: str, percent: float | None) -> None:
    assert coverage_wanted([text, "All endpoints documented"]) == percent


PROJECT = {
    "project_name": "Todo",
    "architecture": {"style": "REST", "database": "PostgreSQL", "framework": "Express.js"},
    "resources": {"users": {"fields": ["email: string"], "endpoints": ["GET /api/users"]}},
    "quality_requirements": ["At least 85% test coverage"],
}


def test_a_real_plan_has_an_estimate_and_the_wanted_coverage() -> None:
    spec = SwarmRunSpec.model_validate({**SPEC, "project": PROJECT})
    facts, tasks = PlanBuilder(lambda: 1_800_000_000.0).build(spec, PROJECT)
    assert facts.tasks == len(tasks) > 2
    assert 0 < facts.low_micro_usd < facts.high_micro_usd
    assert facts.coverage_percent == 85.0


@pytest.mark.parametrize("amount", ["1e3", "+5", " 5", "5.", "1_000", "0x10", "NaN", "00.5", -1, "5\n"])
def test_money_is_written_as_the_crd_takes_it_and_in_no_other_way(amount: str | int) -> None:
    with pytest.raises(ValidationError, match="decimal number of US dollars"):
        SwarmRunSpec.model_validate({**SPEC, "budget": {"maxCostUSD": amount}})


def test_a_model_without_price_is_refused_by_name() -> None:
    spec = SwarmRunSpec.model_validate({**SPEC, "model": "nobody-knows-1", "project": PROJECT})
    with pytest.raises(Stalled, match="nobody-knows-1"):
        PlanBuilder(lambda: 1_800_000_000.0).build(spec, PROJECT)


def test_a_change_of_phase_and_a_new_stall_are_told_once_each() -> None:
    running = status_of(look(started_run(), queue=queue_of(snapshot())))
    spent = snapshot(totals=Totals(limit_micro_usd=5_000_000, exhausted=True))
    stalled = status_of(look(started_run(), queue=queue_of(spent)))
    told = notices(running, stalled)
    assert [n.reason for n in told] == ["BudgetExhausted"]
    assert told[0].type == "Warning"
    assert notices(stalled, stalled) == []
    assert "Resumed" in [n.reason for n in notices(stalled, running)]


def test_a_change_of_phase_does_not_tell_a_stall_as_good_news() -> None:
    starting = status_of(look(started_run(), queue=queue_of(snapshot())))
    broken = {"repository": Signal(ok=False, reason="BranchNotFound", message="branch 'x' must exist")}
    begun = snapshot(task("scaffold", TaskState.LEASED, attempt=1), signals=broken)
    stalled = status_of(look(started_run(), queue=queue_of(begun)))
    told = {n.reason: n for n in notices(starting, stalled)}
    assert told["BranchNotFound"].note == "branch 'x' must exist"
    assert (told["Running"].type, told["Running"].note) == ("Normal", "0/1 tasks are completed")


def test_the_pace_of_the_last_half_hour_tells_the_time_left() -> None:
    done = [task(f"d{i}", TaskState.COMPLETED, finished_at=1_800_000_000.0 - 60 * i) for i in range(10)]
    left = [task(f"l{i}", TaskState.READY) for i in range(20)]
    seen = snapshot(*done, *left, server_time=1_800_000_000.0)
    assert seconds_left(seen, started=1_800_000_000.0 - 600) == 1200.0
    assert seconds_left(snapshot(*left), started=0) is None
    assert [short_duration(s) for s in (40, 720, 8100)] == ["40s", "12m", "2h15m"]


def test_the_status_of_the_largest_run_stays_small() -> None:
    failure = Failure(kind=FailureKind.GATE, message="m" * 1000, output="o" * 16_000)
    tasks = [
        task(f"t{i}", TaskState.READY).model_copy(update={"failures": (failure,) * 5}) for i in range(2000)
    ]
    lines = [Activity(at=1.0, agent="agent-1", verb="claimed", task_id="t" * 120, title="x" * 200)] * 20
    seen = snapshot(*tasks, activity=tuple(lines))
    status = SwarmRunStatus().model_copy(update=mirror(seen, started=0, desired=500, ready=500))
    assert len(status.recent_failures) == MAX_LINES
    assert len(status.model_dump_json(by_alias=True)) < 64 * 1024


def test_settings_come_from_the_environment_and_a_short_key_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "key").write_text("short")
    for name, value in {
        "REDIS_URL": "redis://r:6379",
        "SWARM_INSTALL_KEY_FILE": str(tmp_path / "key"),
        "SWARM_AGENT_IMAGE": "a",
        "SWARM_HUB_IMAGE": "h",
        "SWARM_WATCH_NAMESPACES": "one, two,",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.watch_namespaces == ("one", "two")
    with pytest.raises(ValueError, match="at least 32 bytes"):
        settings.install_key()


def test_conditions_keep_their_transition_time_while_their_state_holds() -> None:
    first = look(started_run(), queue=queue_of(snapshot()), now=1_800_000_000.0)
    stored = status_of(first).model_dump(mode="json", by_alias=True, exclude_none=True)
    later = look(started_run(status=stored, generation=2), queue=queue_of(snapshot()), now=1_800_000_500.0)
    old, new = condition(first, ConditionType.READY), condition(later, ConditionType.READY)
    assert old.last_transition_time == new.last_transition_time
    assert new.observed_generation == 2
    assert find(status_of(later).conditions, ConditionType.READY) is not None

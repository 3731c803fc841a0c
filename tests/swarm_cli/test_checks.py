"""The checks of a run: what each finds, what it says, and that whatever the operator writes passes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from rich.text import Text

from operator_support import look, observe, queue_of, run_body, snapshot, started_run, status_of, task
from operator_support import working_children as children
from swarm_cli.checks import Check, Result, checks, next_step, table, value
from swarm_operator.decision import Decision
from swarm_operator.observed import QueueView
from swarmrun.core.status import ConditionType
from swarmrun.core.task import TaskState
from swarmrun.queue.port import Totals

_GOOD = {"Ready": "True", "PlanReady": "True", "QueueReady": "True", "BudgetAvailable": "True"}


def condition(kind: str, status: str, generation: int = 2, reason: str = "Because") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "All agree" if kind == "QueueReady" else "",
        "observedGeneration": generation,
    }


def a_run(*changed: Mapping[str, Any], **status: Any) -> dict[str, Any]:
    """A sound run at work; `changed` replaces conditions by type."""
    conditions = {t.value: condition(t.value, _GOOD.get(t, "False")) for t in ConditionType}
    conditions |= {str(c["type"]): dict(c) for c in changed}
    return {
        "metadata": {"name": "demo", "namespace": "team", "generation": 2},
        "spec": {"numAgents": 3, "budget": {"maxCostUSD": "5.00"}},
        "status": {
            "observedGeneration": 2,
            "phase": "Running",
            "conditions": list(conditions.values()),
            "tasks": {"total": 9, "completed": 4, "pending": 3, "inProgress": 1, "blocked": 1},
            "progress": "4/9",
            "cost": {"spentUSD": "4.999999", "reservedUSD": "0.000001", "limitUSD": "5.00"},
            "agents": {"desired": 3, "ready": 2, "working": 1, "idle": 1},
            **status,
        },
    }


def failed(run: Mapping[str, Any]) -> dict[str, str]:
    return {check.name: check.detail for check in checks(run) if check.failed}


def test_a_sound_run_passes_every_check() -> None:
    assert {check.result for check in checks(a_run())} == {Result.OK}


@pytest.mark.parametrize(
    ("run", "name", "detail"),
    [
        (a_run(observedGeneration=1), "conditions", "the status is about generation 1, the spec is at 2"),
        (a_run(condition("Stalled", "False", 1)), "conditions", "not about generation 2: Stalled"),
        (a_run(conditions=[]), "conditions", "there are none: the operator has not looked at this run"),
        (a_run(condition("QueueReady", "False", reason="QueueLost")), "queue", "QueueLost: All agree"),
        (a_run(condition("QueueReady", "False", reason="InvariantBroken")), "audit", "All agree"),
        (a_run(tasks={"total": 9, "completed": 4}), "tasks", "the states sum to 4, and total is 9"),
        (a_run(progress="5/9"), "progress", "it says '5/9', the counts 4/9"),
        (
            a_run(cost={"spentUSD": "5.00", "reservedUSD": "0.000001", "limitUSD": "5.00"}),
            "cost",
            "$5.00 spent + $0.000001 reserved, limit $5.00",
        ),
        (
            a_run(agents={"desired": 2, "ready": 3, "idle": 3}),
            "agents",
            "3 ready, 2 desired: do pods still stop?",
        ),
        (a_run(agents={"desired": 3, "ready": 3, "idle": 2}), "agents", "0 working + 2 idle, 3 ready"),
        (
            a_run(phase="Succeeded"),
            "phase",
            "Succeeded, and Finished is False; Succeeded, and Succeeded is False",
        ),
        (a_run(condition("PlanReady", "False")), "phase", "Running, and PlanReady is False"),
        (a_run(phase="Dancing"), "phase", "Dancing is no phase that this version knows"),
    ],
)
def test_each_fault_fails_one_check_which_names_the_figures(
    run: dict[str, Any], name: str, detail: str
) -> None:
    assert failed(run) == {name: detail}


def test_a_missing_condition_is_named() -> None:
    run = a_run()
    run["status"]["conditions"] = [c for c in run["status"]["conditions"] if c["type"] != "Stalled"]
    assert failed(run) == {"conditions": "missing: Stalled"}


def test_what_nobody_can_tell_yet_is_neither_right_nor_wrong() -> None:
    new = a_run(
        condition("QueueReady", "Unknown"), phase="AwaitingApproval", tasks=None, cost=None, agents=None
    )
    new["status"]["conditions"][0]["status"] = "False"
    unknown = [check.name for check in checks(new) if check.result is Result.UNKNOWN]
    assert (failed(new), unknown) == ({}, ["queue", "audit", "tasks", "progress", "cost", "agents"])


def test_a_run_that_nobody_has_looked_at_fails() -> None:
    bare = {"metadata": {"name": "demo", "namespace": "default", "generation": 1}, "spec": {}}
    assert list(failed(bare)) == ["conditions"]
    assert next_step(bare, checks(bare)).startswith("is the operator running?")


def _written(body: dict[str, Any], decision: Decision) -> dict[str, Any]:
    status = status_of(decision).model_dump(mode="json", by_alias=True, exclude_none=True)
    return {**body, "status": status}


DONE = (task("scaffold", TaskState.COMPLETED), task("users.db", TaskState.COMPLETED))
STARTED, EDITED = started_run(), started_run(generation=2, spec={"suspend": True})
SPENT = Totals(limit_micro_usd=5_000_000, spent_micro_usd=5_000_000, exhausted=True, exhausted_for_fixes=True)


@pytest.mark.parametrize(
    ("body", "decision"),
    [
        (run_body(), look(run_body())),
        (run_body(spec={"numAgents": 0}), look(run_body(spec={"numAgents": 0}))),
        (run_body(spec={"approval": "Plan"}), look(run_body(spec={"approval": "Plan"}))),
        (run_body(spec={"suspend": True}), look(run_body(spec={"suspend": True}))),
        (run_body(spec={"cancel": True}), look(run_body(spec={"cancel": True}))),
        (STARTED, look(STARTED, queue=queue_of(snapshot()))),
        (STARTED, look(STARTED, queue=queue_of(snapshot()), children=children())),
        (STARTED, look(STARTED, queue=queue_of(snapshot(totals=SPENT)), children=children())),
        (EDITED, look(EDITED, queue=queue_of(snapshot()), children=children(agents=0))),
        (STARTED, look(STARTED, queue=queue_of(snapshot(*DONE, documents={}, server_time=5.0)))),
        (STARTED, look(STARTED, queue=queue_of(snapshot(*DONE)))),
        (STARTED, look(STARTED, now=4e9, queue=queue_of(snapshot(*DONE, tests={"coverage_percent": 1.0})))),
    ],
)
def test_whatever_the_operator_writes_agrees_with_itself(body: dict[str, Any], decision: Decision) -> None:
    run = _written(body, decision)
    assert failed(run) == {}, run["status"]["phase"]


def test_the_audit_of_the_operator_is_what_fails_the_check() -> None:
    broken = look(STARTED, queue=queue_of(snapshot(), ("task t is not in leases",)), children=children())
    found = failed(_written(STARTED, broken))
    assert found == {"audit": "The store disagrees with itself: task t is not in leases"}
    away = look(STARTED, queue=QueueView(error="ConnectionError"), children=children())
    assert "queue" in failed(_written(STARTED, away))
    assert observe(STARTED).violations is None


def screen(run: dict[str, Any]) -> list[str]:
    return [Text.from_markup(line).plain for line in table(run, checks(run))]


def test_the_table_fits_a_terminal_and_ends_with_what_to_do() -> None:
    long = condition("QueueReady", "False", reason="InvariantBroken") | {"message": "[red]task \x1b[2J " * 40}
    shown = screen(a_run(long))
    assert shown[0].split() == ["CHECK", "RESULT", "DETAIL"]
    assert max(map(len, shown)) <= 80
    assert "\x1b" not in "".join(shown)
    assert "[red]task" in "".join(shown)
    assert [line.split()[:2] for line in shown if line and line[0] != " "][1:-1] == [
        ["conditions", "ok"],
        ["queue", "ok"],
        ["audit", "FAIL"],
        ["tasks", "ok"],
        ["progress", "ok"],
        ["cost", "ok"],
        ["agents", "ok"],
        ["phase", "ok"],
    ]
    assert shown[-1].endswith("report a fault with: kubectl get swr demo -n team -o yaml")
    assert screen(a_run())[-1] == "Next: kubectl swarmrun status demo -n team --watch"


def test_programs_get_the_same() -> None:
    run = a_run(progress="5/9")
    told = json.loads(json.dumps(value(run, checks(run))))
    assert (told["namespace"], told["name"], told["ok"]) == ("team", "demo", False)
    assert {"check": "progress", "result": "FAIL", "detail": "it says '5/9', the counts 4/9"} in told[
        "checks"
    ]
    assert told["next"].startswith("check again in 10 s")
    assert next_step(run, [Check("cost", Result.OK, "")]) == "kubectl swarmrun status demo -n team --watch"

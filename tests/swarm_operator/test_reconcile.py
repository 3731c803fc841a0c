"""The decision, as sentences: what is seen, and what follows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operator_support import (
    NOW,
    PLAN_HASH,
    STARTED,
    StubBuilder,
    actions,
    condition,
    context,
    escalation_of,
    look,
    observe,
    queue_of,
    run_body,
    signal,
    snapshot,
    started_run,
    status_of,
    task,
    working_children,
)
from swarm_operator.decision import (
    Apply,
    ApplyStatus,
    Delete,
    DeleteRun,
    Enqueue,
    EnsureUsers,
    Open,
    Purge,
    Reap,
    Resolve,
    SetFinalizers,
    SetLimit,
    SetState,
)
from swarm_operator.mirror import cost
from swarm_operator.names import APPROVED_PLAN, FINALIZER
from swarm_operator.observed import Children, PodView, ProjectSource, QueueView
from swarm_operator.reconcile import decide
from swarm_operator.transitions import notices
from swarmrun.core.errors import Invalid, Problem, Stalled
from swarmrun.core.status import ConditionType, Phase
from swarmrun.core.task import TaskState, TaskType
from swarmrun.queue.port import RunState, Snapshot, TestTotals, Totals

DONE = snapshot(task("scaffold", TaskState.COMPLETED), task("users.db", TaskState.COMPLETED))


WAITING = {
    "waiting_reason": "CreateContainerConfigError",
    "waiting_message": 'secret "openai" not found',
}


def names(decision: Any) -> list[str]:
    found = []
    for action in actions(decision, Apply):
        manifests = [*action.manifests, *([action.last] if action.last else [])]
        found += [f"{m['kind']}/{m['metadata']['name']}" for m in manifests]
    return found


def agents_of(decision: Any) -> Any:
    manifests = [m for a in actions(decision, Apply) for m in a.manifests]
    return next(m for m in manifests if (m["kind"], m["metadata"]["name"]) == ("Deployment", "todo-agents"))


def test_the_first_look_plans_and_raises_the_epoch_in_the_status_before_anything_is_opened() -> None:
    decision = look(run_body())
    assert decision.actions == (SetFinalizers((FINALIZER,)),)
    assert status_of(decision).queue_epoch == 1
    assert status_of(decision).phase is Phase.PROVISIONING
    assert {c.type for c in status_of(decision).conditions} == {t.value for t in ConditionType}
    assert decision.again


def test_the_queue_is_opened_only_for_an_epoch_that_this_process_wrote() -> None:
    body = started_run()
    strange = look(body, queue=QueueView())
    assert status_of(strange).queue_epoch == 2
    assert not actions(strange, Open)
    ours = look(body, queue=QueueView(), raised=1)
    kinds = [type(a) for a in ours.actions]
    assert kinds == [Apply, EnsureUsers, SetLimit, Open, Enqueue, SetState]
    assert actions(ours, Open) == [Open(1)]
    assert actions(ours, SetLimit) == [SetLimit(5_000_000, None, 500_000)]
    assert [t.id for t in actions(ours, Enqueue)[0].tasks] == ["scaffold", "users.db"]


def test_a_queue_that_was_lost_is_opened_with_what_the_run_spent_before() -> None:
    totals = Totals(
        spent_micro_usd=1_250_000,
        reserved_micro_usd=30_001,
        tokens_in=70,
        tokens_cached=30,
        tokens_out=9,
        tokens_unknown=4,
        calls=12,
    )
    shown = cost(totals).model_dump(mode="json", by_alias=True)
    decision = look(started_run(status={"cost": shown}), queue=QueueView(), raised=1)
    [opening] = actions(decision, Open)
    before = totals.model_copy(update={"tokens_in": 100, "tokens_cached": 0})
    assert opening == Open(1, before)


@pytest.mark.parametrize(
    ("budget", "totals", "wanted"),
    [
        ({"maxTokens": 900}, {}, SetLimit(5_000_000, 900, 500_000)),
        ({"fixReservePercent": 0}, {}, SetLimit(5_000_000, None, 0)),
        ({}, {"max_tokens": 900}, SetLimit(5_000_000, None, 500_000)),
        # What the ledger cannot go below is not asked for again and again.
        ({}, {"limit_micro_usd": 5_000_007, "spent_micro_usd": 5_000_007}, None),
        (
            {},
            {"limit_micro_usd": 5_000_007, "spent_micro_usd": 4_000_000},
            SetLimit(5_000_000, None, 500_000),
        ),
    ],
)
def test_the_ledger_follows_every_limit_of_the_spec(
    budget: dict[str, Any], totals: dict[str, Any], wanted: SetLimit | None
) -> None:
    has = Totals(**{"limit_micro_usd": 5_000_000, "fix_reserve_micro_usd": 500_000, **totals})
    body = started_run(spec={"budget": {"maxCostUSD": "5.00", **budget}})
    decision = look(body, queue=queue_of(snapshot(totals=has)), children=working_children())
    assert actions(decision, SetLimit) == ([] if wanted is None else [wanted])


def test_what_is_kept_for_repairs_stops_a_run_only_when_there_is_no_repair_to_do() -> None:
    parked = Totals(
        limit_micro_usd=5_000_000,
        fix_reserve_micro_usd=500_000,
        spent_micro_usd=4_400_000,
        exhausted=True,
    )
    repair = task("fix.users.db", TaskState.READY, type=TaskType.FIX_BUG, fix_of="users.db")
    seen = snapshot(task("users.db", TaskState.FIXING), repair, totals=parked)
    moving = look(started_run(), queue=queue_of(seen), children=working_children())
    assert status_of(moving).phase is Phase.RUNNING
    assert condition(moving, ConditionType.BUDGET_AVAILABLE).status == "True"
    stopped = look(started_run(), queue=queue_of(snapshot(totals=parked)), children=working_children())
    assert status_of(stopped).phase is Phase.BUDGET_EXHAUSTED
    assert "0.50 are kept for repairs" in condition(stopped, ConditionType.STALLED).message


def test_a_reached_limit_of_tokens_names_its_field() -> None:
    spent = Totals(
        limit_micro_usd=5_000_000,
        fix_reserve_micro_usd=500_000,
        max_tokens=1_000,
        tokens_in=700,
        tokens_cached=200,
        exhausted=True,
        exhausted_for_fixes=True,
    )
    body = started_run(spec={"budget": {"maxCostUSD": "5.00", "maxTokens": 1_000}})
    decision = look(body, queue=queue_of(snapshot(totals=spent)), children=working_children())
    message = condition(decision, ConditionType.STALLED).message
    assert "0.00 of 5.00 US dollars and 900 of 1000 tokens are spent; raise" in message
    assert "spec.budget.maxTokens" in message


def test_all_children_are_applied_with_the_queue_and_the_hub_last() -> None:
    decision = look(started_run(), queue=QueueView(), raised=1)
    assert names(decision)[-1] == "Deployment/todo-hub"
    assert len(names(decision)) == 13
    assert "Secret/todo-tokens" in names(decision)


def test_a_lost_store_raises_the_epoch_again_and_says_so() -> None:
    decision = look(started_run(status={"queueEpoch": 4}), queue=QueueView(epoch=None))
    assert status_of(decision).queue_epoch == 5
    assert condition(decision, ConditionType.QUEUE_READY).reason == "QueueLost"


@pytest.mark.parametrize("planted", [None, 3])
def test_a_lost_or_older_queue_is_never_opened_under_an_epoch_that_was_used(planted: int | None) -> None:
    older = snapshot(epoch=3)
    queue = QueueView() if planted is None else queue_of(older)
    body = started_run(status={"queueEpoch": 4})
    first = look(body, queue=queue, children=working_children())
    assert first.actions == ()
    assert status_of(first).queue_epoch == 5
    assert first.again
    written = started_run(status={"queueEpoch": 5})
    for claimed in (None, 4):
        strange = look(written, queue=queue, children=working_children(), raised=claimed)
        assert status_of(strange).queue_epoch == 6
        assert strange.actions == ()
    ours = [type(a) for a in look(written, queue=queue, children=working_children(), raised=5).actions]
    assert ours.index(Open) < ours.index(Enqueue) < ours.index(SetState)


def test_an_epoch_that_only_the_store_knows_is_written_down() -> None:
    seen = queue_of(snapshot(epoch=6))
    decision = look(started_run(status={"queueEpoch": 4}), queue=seen, children=working_children())
    assert status_of(decision).queue_epoch == 6
    assert not actions(decision, Open)


def test_a_broken_invariant_is_told_and_stops_nothing() -> None:
    found = tuple(f"task t{i} is not in leases, where its state puts it{'!' * 300}" for i in range(7))
    broken = look(started_run(), queue=queue_of(snapshot(), found), children=working_children())
    queue = condition(broken, ConditionType.QUEUE_READY)
    assert (queue.status, queue.reason) == ("False", "InvariantBroken")
    assert queue.message.startswith("The store disagrees with itself: task t0 is not in leases")
    assert queue.message.endswith("and 2 more")
    assert len(queue.message) <= 1000
    assert condition(broken, ConditionType.READY).status == "True"
    assert status_of(broken).phase is Phase.RUNNING
    # Between two audits the last one counts.
    later = queue_of(snapshot(), None)
    kept = look(started_run(), queue=later, violations=found, children=working_children())
    assert condition(kept, ConditionType.QUEUE_READY) == queue
    healed = look(started_run(), queue=queue_of(snapshot()), children=working_children())
    assert condition(healed, ConditionType.QUEUE_READY).status == "True"
    assert [n.reason for n in notices(status_of(healed), status_of(broken))] == ["InvariantBroken"]
    assert [n.reason for n in notices(status_of(broken), status_of(healed))] == ["InvariantsHold"]
    assert notices(status_of(broken), status_of(kept)) == []


def test_a_rebuilt_queue_that_is_broken_is_told_though_it_was_lost_before() -> None:
    lost = look(started_run(status={"queueEpoch": 4}), queue=QueueView())
    broken = look(started_run(), queue=queue_of(snapshot(), ("x",)), children=working_children())
    assert "InvariantBroken" in [n.reason for n in notices(status_of(lost), status_of(broken))]


@pytest.mark.parametrize("cancel", [False, True])
def test_a_run_is_over_only_after_an_audit_of_the_queue_that_nobody_claims_from(cancel: bool) -> None:
    body = started_run(spec={"cancel": True} if cancel else {})
    first = look(body, queue=queue_of(DONE, None), violations=())
    assert first.actions == (SetState(RunState.CANCELLED if cancel else RunState.FINISHED),)
    assert (first.status, first.audit, first.again) == (None, True, True)
    last = look(body, queue=queue_of(DONE, ("the counter open says 1, and there are 0",)))
    assert status_of(last).phase is (Phase.CANCELLED if cancel else Phase.SUCCEEDED)
    assert condition(last, ConditionType.QUEUE_READY).reason == "InvariantBroken"


def test_a_store_that_is_away_changes_nothing_but_the_conditions() -> None:
    decision = look(started_run(), queue=QueueView(error="ConnectionError"), children=working_children())
    assert decision.actions == ()
    assert condition(decision, ConditionType.QUEUE_READY).reason == "QueueUnavailable"
    assert status_of(decision).phase is Phase.RUNNING


@pytest.mark.parametrize(
    ("spec", "reason", "text"),
    [
        ({"numAgents": 0}, "InvalidSpec", "spec.numAgents"),
        ({"budget": {"maxCostUSD": "0"}}, "InvalidSpec", "must be greater than 0"),
        ({"project": {"project_name": "x" * 140_000}}, "SpecTooLarge", "projectFrom"),
    ],
)
def test_a_wrong_spec_is_explained_and_nothing_is_created(
    spec: dict[str, Any], reason: str, text: str
) -> None:
    decision = look(run_body(spec=spec))
    assert decision.actions == ()
    plan = condition(decision, ConditionType.PLAN_READY)
    assert (plan.status, plan.reason) == ("False", reason)
    assert text in plan.message
    assert condition(decision, ConditionType.STALLED).status == "True"
    assert status_of(decision).queue_epoch == 0


def _problems(count: int, path: str = "spec.project.resources") -> Invalid:
    return Invalid([Problem(path=f"{path}.{i}", value="x" * 700, rule="no", fix="y") for i in range(count)])


def test_every_fault_of_the_project_is_listed_within_bounds() -> None:
    decision = look(run_body(), builder=StubBuilder(_problems(40)))
    plan = condition(decision, ConditionType.PLAN_READY)
    assert plan.reason == "InvalidProject"
    assert "spec.project.resources.0" in plan.message
    assert plan.message.endswith("more")
    assert len(plan.message.encode()) <= 8192


def test_an_unknown_stack_and_an_unknown_price_have_reasons_of_their_own() -> None:
    stack = look(run_body(), builder=StubBuilder(_problems(1, "spec.project.architecture.framework")))
    assert condition(stack, ConditionType.PLAN_READY).reason == "UnsupportedStack"
    price = look(run_body(), builder=StubBuilder(Stalled("PriceUnknown", "no price for gpt-9")))
    assert condition(price, ConditionType.PLAN_READY).reason == "PriceUnknown"


def test_a_missing_config_map_is_waited_for() -> None:
    spec = {"project": None, "projectFrom": {"configMapKeyRef": {"name": "p", "key": "project.yaml"}}}
    decision = look(run_body(spec=spec), project=ProjectSource(missing="ConfigMap 'p' is not there"))
    assert condition(decision, ConditionType.PLAN_READY).reason == "ConfigMapNotFound"
    assert condition(decision, ConditionType.STALLED).status == "False"
    assert decision.requeue_after == 10.0
    found = look(run_body(spec=spec), project=ProjectSource(text="project_name: Todo"))
    assert status_of(found).queue_epoch == 1


def test_an_invalid_edit_pauses_a_running_run_and_loses_nothing() -> None:
    body = started_run(spec={"numAgents": 0})
    decision = look(body, queue=queue_of(snapshot()), children=working_children())
    assert decision.actions == (SetState(RunState.PAUSED),)


def test_a_plan_that_needs_approval_waits_for_its_hash() -> None:
    waiting = look(run_body(spec={"approval": "Plan"}))
    assert waiting.actions == ()
    assert status_of(waiting).phase is Phase.AWAITING_APPROVAL
    assert PLAN_HASH in condition(waiting, ConditionType.READY).message
    other = look(run_body(spec={"approval": "Plan"}, annotations={APPROVED_PLAN: "b" * 64}))
    assert status_of(other).phase is Phase.AWAITING_APPROVAL
    approved = look(run_body(spec={"approval": "Plan"}, annotations={APPROVED_PLAN: PLAN_HASH}))
    assert status_of(approved).phase is Phase.PROVISIONING


def test_a_run_that_is_suspended_from_its_beginning_is_planned_and_nothing_more() -> None:
    decision = look(run_body(spec={"suspend": True}))
    assert decision.actions == ()
    assert status_of(decision).phase is Phase.SUSPENDED
    assert status_of(decision).plan is not None


def test_suspending_a_running_run_pauses_claims_and_scales_to_zero() -> None:
    decision = look(
        started_run(spec={"suspend": True}), queue=queue_of(snapshot()), children=working_children()
    )
    assert SetState(RunState.PAUSED) in decision.actions
    assert agents_of(decision)["spec"]["replicas"] == 0
    assert status_of(decision).phase is Phase.SUSPENDED
    assert condition(decision, ConditionType.SUSPENDED).status == "True"


def test_resuming_lets_work_be_claimed_again() -> None:
    paused = snapshot(state=RunState.PAUSED)
    decision = look(started_run(), queue=queue_of(paused), children=working_children())
    assert SetState(RunState.ACTIVE) in decision.actions


def test_working_agents_make_the_run_ready() -> None:
    seen = snapshot(task("scaffold", TaskState.LEASED, agent="agent-0", attempt=1))
    decision = look(started_run(), queue=queue_of(seen), children=working_children())
    assert condition(decision, ConditionType.READY).status == "True"
    assert condition(decision, ConditionType.RECONCILING).status == "False"
    assert status_of(decision).phase is Phase.RUNNING
    agents = status_of(decision).agents
    assert agents is not None
    assert (agents.desired, agents.ready, agents.working, agents.idle) == (3, 3, 1, 2)
    assert Reap() in decision.actions


def test_a_missing_provider_secret_is_named_and_the_run_goes_on_when_it_appears() -> None:
    pod = PodView("todo-hub-x", "hub", ready=False, **WAITING)
    stuck = look(started_run(), queue=queue_of(snapshot()), children=working_children(pods=[pod]))
    agents = condition(stuck, ConditionType.AGENTS_AVAILABLE)
    assert (agents.status, agents.reason) == ("False", "SecretNotFound")
    assert "'openai'" in agents.message
    assert condition(stuck, ConditionType.STALLED).reason == "SecretNotFound"
    healed = look(started_run(), queue=queue_of(snapshot()), children=working_children())
    assert condition(healed, ConditionType.READY).status == "True"


def test_refused_pods_show_the_refusal() -> None:
    children = working_children(agents=0)
    view = children.deployments["todo-agents"]
    refused = type(view)(**{**vars(view), "failure": "exceeded quota: cpu"})
    children = Children({**children.deployments, "todo-agents": refused})
    decision = look(started_run(), queue=queue_of(snapshot()), children=children)
    assert condition(decision, ConditionType.AGENTS_AVAILABLE).reason == "PodsRefused"
    assert "exceeded quota" in condition(decision, ConditionType.READY).message


def test_a_reached_budget_pauses_the_run_keeps_its_agents_and_ends_with_a_higher_limit() -> None:
    spent = Totals(limit_micro_usd=5_000_000, spent_micro_usd=4_990_000, exhausted=True)
    decision = look(started_run(), queue=queue_of(snapshot(totals=spent)), children=working_children())
    assert status_of(decision).phase is Phase.BUDGET_EXHAUSTED
    assert condition(decision, ConditionType.BUDGET_AVAILABLE).status == "False"
    assert condition(decision, ConditionType.STALLED).reason == "BudgetExhausted"
    assert agents_of(decision)["spec"]["replicas"] == 3
    raised = look(
        started_run(spec={"budget": {"maxCostUSD": 9}}),
        queue=queue_of(snapshot(totals=spent)),
        children=working_children(),
    )
    assert SetLimit(9_000_000, None, 900_000) in raised.actions


@pytest.mark.parametrize("component", ["provider", "repository"])
def test_bad_credentials_stall_the_run_with_the_reason_that_was_reported(component: str) -> None:
    seen = snapshot(signals={component: signal("Unauthorized", "401 from upstream, key sk-abcdefghijkl")})
    decision = look(started_run(), queue=queue_of(seen), children=working_children())
    stalled = condition(decision, ConditionType.STALLED)
    assert (stalled.status, stalled.reason) == ("True", "Unauthorized")
    assert "sk-abc" not in json.dumps(status_of(decision).model_dump(mode="json"))


def test_a_blocked_task_becomes_one_escalation_with_its_evidence() -> None:
    seen = snapshot(task("users.db", TaskState.BLOCKED, failures=3))
    decision = look(started_run(), queue=queue_of(seen), children=working_children())
    manifest = next(
        m for a in actions(decision, Apply) for m in a.manifests if m["kind"] == "SwarmEscalation"
    )
    assert manifest["spec"]["taskId"] == "users.db"
    assert len(manifest["spec"]["evidence"]) == 3
    assert "resolution" not in manifest["spec"]
    assert condition(decision, ConditionType.STALLED).reason == "TasksBlocked"
    assert status_of(decision).escalations == 1
    children = working_children(escalations=(escalation_of("users.db"),))
    again = look(started_run(), queue=queue_of(seen), children=children)
    assert not any("SwarmEscalation" in name for name in names(again))


def test_the_rest_of_the_plan_goes_on_while_a_task_is_blocked() -> None:
    seen = snapshot(task("users.db", TaskState.BLOCKED, failures=3), task("other", TaskState.READY))
    decision = look(started_run(), queue=queue_of(seen), children=working_children())
    assert condition(decision, ConditionType.STALLED).status == "False"
    assert condition(decision, ConditionType.READY).status == "True"


@pytest.mark.parametrize(("answer", "move"), [("Retry", "retry"), ("Skip", "skip")])
def test_an_answer_is_carried_out_and_then_marked_resolved(answer: str, move: str) -> None:
    seen = snapshot(task("users.db", TaskState.BLOCKED, failures=3))
    children = working_children(escalations=(escalation_of("users.db", resolution=answer),))
    decision = look(started_run(), queue=queue_of(seen), children=children)
    hint = "use a join" if answer == "Retry" else ""
    assert actions(decision, Resolve) == [Resolve("users.db", move, hint)]
    kinds = [type(a) for a in decision.actions]
    assert kinds.index(Resolve) < kinds.index(ApplyStatus)
    assert actions(decision, ApplyStatus)[0].manifest["status"]["state"] == "Resolved"


def test_a_task_that_is_blocked_again_gets_a_second_escalation() -> None:
    seen = snapshot(task("users.db", TaskState.BLOCKED, failures=3))
    children = working_children(escalations=(escalation_of("users.db", resolution="Retry", resolved=True),))
    decision = look(started_run(), queue=queue_of(seen), children=children)
    assert any(name.endswith("-2") for name in names(decision) if name.startswith("SwarmEscalation"))


def test_a_skip_is_remembered_after_the_queue_was_built_again() -> None:
    seen = snapshot(task("users.db", TaskState.READY))
    children = working_children(escalations=(escalation_of("users.db", resolution="Skip", resolved=True),))
    decision = look(started_run(), queue=queue_of(seen), children=children)
    assert actions(decision, Resolve) == [Resolve("users.db", "skip")]


def test_fail_ends_the_run() -> None:
    seen = snapshot(task("users.db", TaskState.BLOCKED, failures=3))
    children = working_children(escalations=(escalation_of("users.db", resolution="Fail"),))
    decision = look(started_run(), queue=queue_of(seen), children=children)
    assert status_of(decision).phase is Phase.FAILED
    assert condition(decision, ConditionType.SUCCEEDED).status == "False"


def test_a_finished_plan_gets_its_report_before_the_run_says_succeeded() -> None:
    decision = look(started_run(), queue=queue_of(DONE), children=working_children())
    assert decision.actions[0] == SetState(RunState.FINISHED)
    assert names(decision) == ["ConfigMap/todo-report"]
    data = actions(decision, Apply)[0].manifests[0]["data"]
    assert json.loads(data["report.json"])["verdict"] == "Succeeded"
    assert "Tasks Completed: 2/2 (100%)" in data["report.md"]
    assert status_of(decision).phase is Phase.SUCCEEDED
    assert status_of(decision).completion_time is not None
    assert condition(decision, ConditionType.FINISHED).status == "True"
    assert decision.again


def test_the_merger_has_a_moment_to_leave_the_figures_of_the_code() -> None:
    fresh = DONE.model_copy(update={"documents": {}, "server_time": 5.0})
    decision = look(started_run(), queue=queue_of(fresh), children=working_children())
    assert status_of(decision).phase is Phase.FINISHING
    assert decision.actions == ()
    late = DONE.model_copy(update={"documents": {}, "server_time": NOW})
    assert status_of(look(started_run(), queue=queue_of(late))).phase is Phase.SUCCEEDED


def test_skipped_tasks_are_told_apart_from_completed_ones() -> None:
    seen = snapshot(task("scaffold", TaskState.COMPLETED), task("users.db", TaskState.SKIPPED))
    decision = look(started_run(), queue=queue_of(seen))
    assert condition(decision, ConditionType.SUCCEEDED).reason == "CompletedWithSkippedTasks"


def covered(percent: float, commit: str = "tip", *, at: float = NOW, **more: Any) -> Snapshot:
    """A plan that is done, its last task landed with commit "tip" at `NOW`, and figures of a commit."""
    first = task("scaffold", TaskState.COMPLETED, finished_at=NOW - 60, commit="base")
    last = task("users.db", TaskState.COMPLETED, finished_at=NOW, commit="tip")
    tests = TestTotals(passing=3, total=3, coverage_percent=percent, commit=commit)
    documents = {"code": {"commit": commit}}
    return snapshot(first, last, tests=tests, server_time=at, documents=documents, **more)


def test_too_little_coverage_fails_the_run_and_names_both_figures() -> None:
    decision = look(started_run(), queue=queue_of(covered(79.96)), children=working_children())
    assert status_of(decision).phase is Phase.FAILED
    for type_ in (ConditionType.STALLED, ConditionType.SUCCEEDED, ConditionType.FINISHED):
        assert condition(decision, type_).reason == "CoverageTooLow"
    message = condition(decision, ConditionType.SUCCEEDED).message
    assert message == "The tests cover 79.96 % of the lines; 80 % are asked for"
    data = actions(decision, Apply)[0].manifests[0]["data"]
    assert json.loads(data["report.json"])["verdict"] == "Failed"


@pytest.mark.parametrize(
    ("gates", "percent", "phase"),
    [
        (None, 80.0, Phase.SUCCEEDED),
        ({"coveragePercent": 95}, 91.0, Phase.FAILED),
        ({"coveragePercent": 60}, 61.0, Phase.SUCCEEDED),
        ({"coveragePercent": 0}, 0.0, Phase.SUCCEEDED),
    ],
)
def test_the_run_s_own_wish_for_coverage_wins_over_the_specification(
    gates: dict[str, Any] | None, percent: float, phase: Phase
) -> None:
    body = started_run(spec={"gates": gates} if gates else {})
    assert status_of(look(body, queue=queue_of(covered(percent)))).phase is phase


@pytest.mark.parametrize(
    ("seen", "phase"),
    [
        # Figures of the commit before the last landing say nothing, good or bad.
        (covered(10.0, "base", at=NOW + 1), Phase.FINISHING),
        (covered(90.0, "base", at=NOW + 1), Phase.FINISHING),
        (covered(10.0, "base", at=NOW + 21), Phase.FAILED),
        (covered(90.0, "pushed-by-others", at=NOW + 21), Phase.SUCCEEDED),
        # A store that was lost knows no figures until the gates have run again.
        (covered(0.0, "", at=NOW + 600), Phase.FINISHING),
        (covered(0.0, "", at=NOW + 901), Phase.FAILED),
    ],
)
def test_coverage_is_judged_on_the_figures_of_the_finished_code(seen: Snapshot, phase: Phase) -> None:
    assert status_of(look(started_run(), queue=queue_of(seen))).phase is phase


def test_coverage_that_nobody_measured_is_not_called_zero() -> None:
    decision = look(started_run(), queue=queue_of(covered(0.0, "", at=NOW + 901)))
    message = condition(decision, ConditionType.SUCCEEDED).message
    assert message == "No coverage is known; 80 % are asked for"


def test_a_run_that_is_over_is_cleaned_up_and_keeps_its_report() -> None:
    over = started_run(status={"phase": "Succeeded", "completionTime": STARTED})
    decision = look(over, children=working_children())
    objects = actions(decision, Delete)[0].objects
    assert ("v1", "ConfigMap", "todo-report") not in objects
    assert objects[-1][1] == "Deployment"
    assert look(over).actions == ()
    assert look(over).requeue_after is None


def test_the_time_to_live_of_a_finished_run_deletes_it() -> None:
    over = started_run(
        spec={"ttlSecondsAfterFinished": 60}, status={"phase": "Failed", "completionTime": STARTED}
    )
    assert look(over, now=NOW * 2).actions == (DeleteRun(),)


def test_the_deadline_fails_the_run() -> None:
    body = started_run(spec={"activeDeadlineSeconds": 60})
    decision = look(body, now=NOW * 2, queue=queue_of(snapshot()), children=working_children())
    assert status_of(decision).phase is Phase.FAILED
    assert condition(decision, ConditionType.SUCCEEDED).reason == "DeadlineExceeded"


def test_cancelling_stops_claims_writes_a_report_and_ends() -> None:
    body = started_run(spec={"cancel": True})
    decision = look(body, queue=queue_of(snapshot()), children=working_children())
    assert decision.actions[0] == SetState(RunState.CANCELLED)
    assert names(decision) == ["ConfigMap/todo-report"]
    assert status_of(decision).phase is Phase.CANCELLED


@pytest.mark.parametrize("spec", [{"cancel": True}, {"cancel": True, "numAgents": 0}])
def test_cancelling_before_the_start_needs_no_store(spec: dict[str, Any]) -> None:
    decision = look(run_body(spec=spec))
    assert status_of(decision).phase is Phase.CANCELLED
    assert decision.actions == ()


def test_cancelling_without_a_store_stops_the_agents_at_once() -> None:
    body = started_run(spec={"cancel": True})
    decision = look(body, queue=QueueView(error="away"), children=working_children())
    assert {o[2] for o in actions(decision, Delete)[0].objects} == {
        "todo-hub",
        "todo-merger",
        "todo-gates",
        "todo-agents",
    }
    assert status_of(decision).phase is Phase.RUNNING


def test_deletion_removes_logins_and_keys_before_the_finalizer() -> None:
    body = started_run(deleting=True, finalizers=("other/keeper", FINALIZER))
    decision = look(body, children=working_children())
    assert [type(a) for a in decision.actions] == [Delete, Purge, SetFinalizers]
    assert decision.actions[-1] == SetFinalizers(("other/keeper",))
    assert look(run_body(deleting=True)).actions == ()


def test_an_edit_of_the_project_queues_the_difference_and_skips_what_left_the_plan() -> None:
    seen = snapshot(
        task("scaffold", TaskState.COMPLETED),
        task("gone", TaskState.READY),
        task("gone.done", TaskState.COMPLETED),
        task("fix.gone", TaskState.READY, fix_of="gone"),
        plan_hash="b" * 64,
    )
    decision = look(started_run(generation=2), queue=queue_of(seen), children=working_children())
    assert actions(decision, Enqueue)[0].plan_hash == PLAN_HASH
    assert actions(decision, Resolve) == [Resolve("gone", "skip")]
    assert decision.again


def test_the_same_facts_lead_to_the_same_status() -> None:
    seen = queue_of(snapshot(task("scaffold", TaskState.LEASED, agent="agent-0", attempt=1)))
    first = look(started_run(), queue=seen, children=working_children())
    stored = status_of(first).model_dump(mode="json", by_alias=True, exclude_none=True)
    later = look(started_run(status=stored), now=NOW + 3, queue=seen, children=working_children())
    assert status_of(later) == status_of(first)


def test_an_unchanged_run_is_planned_once() -> None:
    builder = StubBuilder()
    shared = context(builder)
    for _ in range(3):
        decide(observe(started_run(), queue=queue_of(snapshot())), NOW, shared)
    assert builder.built == 1


def test_a_soft_threshold_is_told_once_and_is_no_lack_of_budget() -> None:
    policy = {"softThresholds": [{"percent": 50, "model": "cheap"}, {"percent": 80, "model": "cheapest"}]}
    body, told = started_run(spec={"modelPolicy": policy}), []
    for spent in (2_400_000, 2_500_000, 2_600_000, 4_000_000, 1_000_000):
        totals = Totals(limit_micro_usd=5_000_000, fix_reserve_micro_usd=500_000, spent_micro_usd=spent)
        before = observe(body).run.status
        decision = look(body, queue=queue_of(snapshot(totals=totals)), children=working_children())
        after = status_of(decision)
        told += [n.note for n in notices(before, after) if n.reason == "SoftThreshold"]
        assert condition(decision, ConditionType.BUDGET_AVAILABLE).status == "True"
        assert after.phase is Phase.RUNNING
        body["status"] = after.model_dump(mode="json", by_alias=True)
    assert told == [
        "50 % of the limit is spent or reserved; tasks claimed now use cheap",
        "80 % of the limit is spent or reserved; tasks claimed now use cheapest",
    ]
    assert condition(decision, ConditionType.BUDGET_AVAILABLE).reason == "WithinBudget"


def test_a_run_that_works_with_its_fallback_is_ready_and_says_so_once() -> None:
    body, told = started_run(), []
    for reason in ("Available", "ProviderFallback", "ProviderFallback", "Available"):
        seen = snapshot(signals={"provider": signal(reason, "no credit; see the fallback", ok=True)})
        decision = look(body, queue=queue_of(seen), children=working_children())
        after = status_of(decision)
        told += [
            n.reason for n in notices(observe(body).run.status, after) if n.reason.startswith("Provider")
        ]
        ready = condition(decision, ConditionType.READY)
        shown = "ProviderFallback" if reason == "ProviderFallback" else "Running"
        assert (ready.status, ready.reason) == ("True", shown)
        assert ready.message == ("no credit; see the fallback" if shown != "Running" else "")
        assert after.phase is Phase.RUNNING
        body["status"] = after.model_dump(mode="json", by_alias=True)
    assert told == ["ProviderFallback", "ProviderRestored"]

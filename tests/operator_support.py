"""Builders of what the operator sees, in the words of its domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swarm_operator.conditions import find
from swarm_operator.decision import Decision
from swarm_operator.manifests.build import Platform, RunTokens
from swarm_operator.names import FINALIZER
from swarm_operator.observed import (
    Children,
    DeploymentView,
    EscalationView,
    Observed,
    PodView,
    ProjectSource,
    QueueView,
    Run,
)
from swarm_operator.planning import PlanFacts, Planner
from swarm_operator.reconcile import decide
from swarm_operator.view import Context
from swarmrun.core.api import SwarmRunSpec
from swarmrun.core.status import Condition, ConditionType, SwarmRunStatus
from swarmrun.core.task import Failure, FailureKind, Task, TaskState, TaskType
from swarmrun.queue.port import RunState, Signal, Snapshot, TaskView, TestTotals, Totals

NOW = 1_800_000_000.0
STARTED = "2027-01-15T07:00:00Z"
PLAN_HASH = "a" * 64
PLATFORM = Platform("registry/operator:1", "registry/agent:1", "redis://store:6379")
TOKENS = RunTokens(agent="t1", hub_redis="t2", merger_redis="t3")
SPEC: dict[str, Any] = {
    "numAgents": 3,
    "model": "gpt-4o",
    "provider": {"type": "OpenAI", "credentialsSecretRef": {"name": "openai", "key": "api-key"}},
    "repository": {
        "url": "git@git.example.com:team/todo.git",
        "branch": "main",
        "credentialsSecretRef": {"name": "deploy-key"},
    },
    "budget": {"maxCostUSD": "5.00"},
    "project": {"project_name": "Todo"},
}


class StubBuilder:
    """A plan of two tasks for any project; counts how often it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.built = error, 0
        self.tasks = (
            Task(id="scaffold", type=TaskType.SCAFFOLD, title="Scaffold"),
            Task(id="users.db", type=TaskType.IMPLEMENT_DATABASE, title="Users", depends_on=("scaffold",)),
        )

    def build(self, spec: SwarmRunSpec, project: Mapping[str, Any]) -> tuple[PlanFacts, Sequence[Task]]:
        del spec, project
        self.built += 1
        if self.error is not None:
            raise self.error
        facts = PlanFacts(PLAN_HASH, 2, 2, 1_000_000, 2_000_000, "express-typescript", "Todo", 80.0)
        return facts, self.tasks


def context(builder: StubBuilder | None = None) -> Context:
    return Context(PLATFORM, Planner(builder or StubBuilder()), lambda _: TOKENS)


def run_body(
    *,
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    generation: int = 1,
    deleting: bool = False,
    finalizers: Sequence[str] = (),
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": "todo",
        "namespace": "team",
        "uid": "uid-1",
        "generation": generation,
        "resourceVersion": "7",
        "creationTimestamp": STARTED,
        "finalizers": list(finalizers),
        "annotations": dict(annotations or {}),
    }
    if deleting:
        meta["deletionTimestamp"] = STARTED
    return {"metadata": meta, "spec": {**SPEC, **(spec or {})}, "status": dict(status or {})}


def started_run(**changes: Any) -> dict[str, Any]:
    """A run whose queue was opened."""
    status = {"queueEpoch": 1, "startTime": STARTED, "observedGeneration": 1, "phase": "Running"}
    status |= changes.pop("status", {})
    return run_body(status=status, finalizers=changes.pop("finalizers", (FINALIZER,)), **changes)


def task(id_: str, state: TaskState, *, failures: int = 0, **more: Any) -> TaskView:
    evidence = tuple(
        Failure(kind=FailureKind.GATE, step="test", message=f"failure {i}", output="not ok")
        for i in range(failures)
    )
    defaults: dict[str, Any] = {"type": TaskType.IMPLEMENT_ENDPOINT, "title": id_.title()}
    return TaskView(id=id_, state=state, failures=evidence, **{**defaults, **more})


def snapshot(*tasks: TaskView, **changes: Any) -> Snapshot:
    values: dict[str, Any] = {
        "epoch": 1,
        "plan_hash": PLAN_HASH,
        "state": RunState.ACTIVE,
        "server_time": NOW,
        "tasks": tasks or (task("scaffold", TaskState.READY), task("users.db", TaskState.PENDING)),
        "agents": (),
        "activity": (),
        "totals": Totals(limit_micro_usd=5_000_000, fix_reserve_micro_usd=500_000),
        "tests": TestTotals(passing=3, total=3, coverage_percent=91.0, commit="c" * 40),
        "signals": {},
        "documents": {"code": {}},
    }
    return Snapshot(**{**values, **changes})


def queue_of(seen: Snapshot, audit: tuple[str, ...] | None = ()) -> QueueView:
    """An open queue; just audited, and sound, unless told otherwise."""
    return QueueView(epoch=seen.epoch, snapshot=seen, audit=audit)


def observe(
    body: Mapping[str, Any],
    *,
    queue: QueueView | None = None,
    children: Children | None = None,
    project: ProjectSource | None = None,
    raised: int | None = None,
    refresh: bool = False,
    violations: tuple[str, ...] | None = None,
) -> Observed:
    return Observed(
        run=Run.of(body),
        children=children or Children(),
        queue=queue or QueueView(),
        project=project,
        raised_epoch=raised,
        refresh=refresh,
        violations=queue.audit if queue and queue.audit is not None else violations,
    )


def look(
    body: Mapping[str, Any], *, now: float = NOW, builder: StubBuilder | None = None, **seen: Any
) -> Decision:
    """Decide about a run."""
    return decide(observe(body, **seen), now, context(builder))


def actions(decision: Decision, kind: type) -> list[Any]:
    return [a for a in decision.actions if isinstance(a, kind)]


def status_of(decision: Decision) -> SwarmRunStatus:
    assert decision.status is not None
    return decision.status


def condition(decision: Decision, type_: ConditionType) -> Condition:
    found = find(status_of(decision).conditions, type_)
    assert found is not None
    return found


def signal(reason: str, message: str = "", *, ok: bool = False) -> Signal:
    return Signal(ok=ok, reason=reason, message=message)


def deployment(name: str, *, ready: int = 1, replicas: int = 1, failure: str = "") -> DeploymentView:
    return DeploymentView(name, f"uid-{name}", replicas, ready, "", "", failure)


def working_children(*, agents: int = 3, pods: Sequence[PodView] = (), **more: Any) -> Children:
    views = [deployment(f"todo-{c}") for c in ("hub", "merger", "gates")]
    views.append(deployment("todo-agents", ready=agents, replicas=3))
    return Children({v.name: v for v in views}, tuple(pods), **more)


def escalation_of(task_id: str, *, resolution: str = "", resolved: bool = False) -> EscalationView:
    return EscalationView(
        name=f"todo-{task_id}",
        uid="uid-e",
        task_id=task_id,
        resolution=resolution,
        hint="use a join" if resolution == "Retry" else "",
        resolved=resolved,
        generation=2,
        resolved_time="",
    )

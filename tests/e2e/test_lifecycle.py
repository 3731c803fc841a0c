"""What a person does with a run on a real node: suspend, scale, cancel, delete, and more money."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from e2e.runs import Run, Runs, completed, is_, said
from swarmdemo import objects, watch
from swarmdemo.settings import SYSTEM_NAMESPACE, Settings
from swarmdemo.target import Target

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]


def _larger(runs: Runs, name: str) -> Run:
    """Describe a run that is not over before the test is."""
    project = objects.example_run(runs.settings)["spec"]["project"]
    return runs.manifest(name, project)


@pytest.fixture(scope="module")
def runs(where: Target, settings: Settings) -> Iterator[Runs]:
    """Apply all runs at once: their work overlaps."""
    own = replace(settings, namespace="swarmrun-lifecycle", latency_ms=500)
    with Runs.beside_servers(where, own) as runs:
        runs.repository("steered", "poor", "doomed")
        runs.tools.apply(
            _larger(runs, "steered"),
            _larger(runs, "doomed"),
            runs.manifest("poor", budget={"maxCostUSD": "0.01"}),
            runs.manifest("waiting", projectFrom={"configMapKeyRef": {"name": "never"}}),
        )
        yield runs


def test_a_run_that_waits_is_deleted_without_a_trace(runs: Runs) -> None:
    run = runs.until("waiting", is_("PlanReady", "False", "ConfigMapNotFound"))
    runs.delete("waiting")
    assert runs.owned("waiting") == []
    assert run["metadata"]["uid"] not in runs.stored()


def test_a_budget_that_is_too_small_stops_the_run_before_it_spends(runs: Runs) -> None:
    run = runs.until("poor", is_("BudgetAvailable", "False", "BudgetExhausted"))
    assert run["status"]["phase"] == "BudgetExhausted"
    assert is_("Stalled", "True", "BudgetExhausted")(run), said(run)
    assert "spec.budget.maxCostUSD" in watch.condition(run, "Stalled")["message"]
    assert float(run["status"]["cost"]["spentUSD"]) == 0
    runs.patch("poor", {"budget": {"maxCostUSD": "50.00"}})


def test_deleting_a_run_at_work_leaves_nothing(runs: Runs) -> None:
    run = runs.until("doomed", lambda run: run.get("status", {}).get("tasks", {}).get("inProgress", 0) >= 1)
    uid = run["metadata"]["uid"]
    assert uid in runs.stored()
    runs.delete("doomed")
    assert runs.owned("doomed") == []
    assert uid not in runs.stored()


def test_the_manifest_of_a_run_at_work_shows_no_difference(runs: Runs) -> None:
    runs.until("steered", lambda run: completed(run) >= 1, seconds=90)
    manifest = yaml.safe_dump(_larger(runs, "steered"))
    runs.kubectl("diff", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)


def test_a_suspended_run_keeps_its_state_and_goes_on(runs: Runs) -> None:
    runs.patch("steered", {"suspend": True})
    runs.until("steered", is_("Suspended", "True"))
    runs.kubectl(
        "wait", "--for=delete", "pods", "-l",
        "swarmrun.dev/run=steered,app.kubernetes.io/component=agent", "--timeout=60s",
    )  # fmt: skip
    still = runs.until("steered", lambda run: run["status"]["agents"].get("ready", 0) == 0)
    assert still["status"]["phase"] == "Suspended"
    assert watch.condition(still, "Stalled")["status"] == "False"
    assert _replicas(runs) == 0
    runs.patch("steered", {"suspend": False})
    resumed = runs.until("steered", is_("Ready", "True"))
    assert completed(resumed) >= completed(still) >= 1


def test_kubectl_scale_changes_the_number_of_agents(runs: Runs) -> None:
    runs.kubectl("scale", "swarmrun/steered", "--replicas=2")
    runs.until("steered", lambda run: run["status"]["agents"].get("ready", 0) == 2)
    assert _replicas(runs) == 2


def test_a_cancelled_run_keeps_its_report_and_loses_its_agents(runs: Runs) -> None:
    runs.patch("steered", {"cancel": True})
    run = runs.until("steered", is_("Finished", "True"))
    assert run["status"]["phase"] == "Cancelled", said(run)
    assert is_("Succeeded", "False", "Cancelled")(run), said(run)
    runs.kubectl("wait", "--for=delete", "pods", "-l", "swarmrun.dev/run=steered", "--timeout=60s")
    kept = runs.owned("steered")
    assert [name for name in kept if name.startswith(("deployment", "pod", "secret", "service"))] == []
    report = json.loads(runs.kubectl("get", "configmap", "steered-report", "-o", "json"))["data"]
    assert json.loads(report["report.json"])["verdict"] == "Cancelled"


def test_more_money_lets_the_run_succeed(runs: Runs) -> None:
    run = runs.until("poor", is_("Finished", "True"), seconds=180)
    assert is_("Succeeded", "True")(run), said(run)
    assert is_("BudgetAvailable", "True")(run), said(run)
    assert 0 < float(run["status"]["cost"]["spentUSD"]) <= 50


def test_the_operator_lacked_no_permission(runs: Runs) -> None:
    log = runs.tools.kubectl("-n", SYSTEM_NAMESPACE, "logs", "deploy/swarmrun-operator", "--tail=-1")
    assert log
    assert [line for line in log.splitlines() if "is forbidden: User" in line] == []


@pytest.mark.parametrize(
    "wish", ["get secrets", "list secrets", "create pods", "get pods/log", "create rolebindings"]
)
def test_the_operator_has_no_permission_it_does_not_need(runs: Runs, wish: str) -> None:
    account = f"system:serviceaccount:{SYSTEM_NAMESPACE}:swarmrun-operator"
    assert runs.kubectl("auth", "can-i", *wish.split(), f"--as={account}", check=False).strip() == "no"


def _replicas(runs: Runs) -> int:
    return int(runs.kubectl("get", "deployment", "steered-agents", "-o", "jsonpath={.spec.replicas}"))

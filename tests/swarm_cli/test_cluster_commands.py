"""The commands that speak to an API server, through the real kubectl."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from swarm_cli.app import app
from swarmcluster import build
from swarmrun.core.status import ConditionType

#: Not for the API server, which a small one stands in for here, but for the kubectl that comes with it.
pytestmark = pytest.mark.controlplane
RUNS = "/apis/swarmrun.dev/v1alpha1/namespaces/team/swarmruns"


@pytest.fixture(autouse=True)
def _kubectl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{build.ensure('kubernetes')}:{os.environ['PATH']}")


@pytest.fixture
def demo(api: Any) -> dict[str, Any]:
    run = {
        "apiVersion": "swarmrun.dev/v1alpha1",
        "kind": "SwarmRun",
        "metadata": {"name": "demo", "namespace": "team", "generation": 1},
        "spec": {"numAgents": 2, "budget": {"maxCostUSD": "15.00"}},
        "status": {"observedGeneration": 1, "phase": "Running", "progress": "3/13"},
    }
    api.objects[f"{RUNS}/demo"] = run
    return run


def run(kubeconfig: str, *args: str) -> Result:
    return CliRunner().invoke(app, [*args, "--kubeconfig", kubeconfig, "-n", "team"])


def test_status_shows_one_run(kubeconfig: str, demo: dict[str, Any]) -> None:
    result = run(kubeconfig, "status", "demo")
    assert result.exit_code == 0, result.stderr
    assert "team/demo  Running" in result.stdout
    assert json.loads(run(kubeconfig, "status", "demo", "-o", "json").stdout) == demo["status"]


def test_status_without_a_name_lists_runs(kubeconfig: str, demo: dict[str, Any]) -> None:
    result = run(kubeconfig, "status", "-A")
    assert result.stdout.splitlines()[0].split() == [
        "NAMESPACE",
        "NAME",
        "PHASE",
        "PROGRESS",
        "COST",
        "AGENTS",
        "NEXT",
    ]
    assert result.stdout.splitlines()[1].split()[:4] == ["team", "demo", "Running", "3/13"]


def test_a_missing_run_is_an_error_in_words(kubeconfig: str) -> None:
    result = run(kubeconfig, "status", "none")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error:" in result.stderr
    assert "NotFound" in result.stderr


@pytest.mark.parametrize(
    ("args", "verb", "patch"),
    [
        (["suspend", "demo"], "suspended", {"spec": {"suspend": True}}),
        (["resume", "demo"], "resumed", {"spec": {"suspend": False}}),
        (["cancel", "demo", "--yes"], "cancelled", {"spec": {"cancel": True}}),
    ],
)
def test_a_switch_patches_the_run_and_says_so(
    api: Any, kubeconfig: str, demo: dict[str, Any], *, args: list[str], verb: str, patch: Any
) -> None:
    assert run(kubeconfig, *args).stdout == f"swarmrun/demo {verb}\n"
    assert api.patches == [("demo", patch)]


def test_a_dry_run_changes_nothing(api: Any, kubeconfig: str, demo: dict[str, Any]) -> None:
    assert run(kubeconfig, "suspend", "demo", "--dry-run").stdout == "swarmrun/demo suspended (dry run)\n"
    assert (api.patches, api.dry_runs) == ([], 1)


def test_topup_adds_to_the_budget_it_has_read(api: Any, kubeconfig: str, demo: dict[str, Any]) -> None:
    result = run(kubeconfig, "topup", "demo", "--usd", "2.5")
    assert result.stdout == "swarmrun/demo topped up from $15.00 to $17.50\n"
    path = "/spec/budget/maxCostUSD"
    assert api.patches == [
        (
            "demo",
            [
                {"op": "test", "path": path, "value": "15.00"},
                {"op": "replace", "path": path, "value": "17.50"},
            ],
        )
    ]


@pytest.mark.parametrize("usd", ["0", "-1", "x", "NaN", "1e-9"])
def test_topup_refuses_what_is_no_money(api: Any, kubeconfig: str, demo: dict[str, Any], usd: str) -> None:
    result = run(kubeconfig, "topup", "demo", f"--usd={usd}")
    assert result.exit_code == 1
    assert "--usd must" in result.stderr
    assert api.patches == []


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 1), ("Cancelled", 1)])
def test_wait_ends_with_the_runs_outcome(
    kubeconfig: str, demo: dict[str, Any], phase: str, code: int
) -> None:
    demo["status"]["phase"] = phase
    result = run(kubeconfig, "wait", "demo")
    assert (result.exit_code, result.stdout) == (code, f"swarmrun/demo {phase.lower()}\n")


def test_check_fails_for_what_a_run_does_not_say(kubeconfig: str, demo: dict[str, Any]) -> None:
    result = run(kubeconfig, "check", "demo")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].split()[:2] == ["conditions", "FAIL"]
    assert result.stdout.splitlines()[-1].startswith("Next: is the operator running?")
    told = json.loads(run(kubeconfig, "check", "demo", "-o", "json").stdout)
    assert (told["ok"], told["checks"][0]["result"]) == (False, "FAIL")
    demo["status"]["conditions"] = [
        {
            "type": kind.value,
            "status": "True" if kind in {ConditionType.PLAN_READY, ConditionType.QUEUE_READY} else "False",
            "observedGeneration": 1,
        }
        for kind in ConditionType
    ]
    assert run(kubeconfig, "check", "demo").exit_code == 0
    assert run(kubeconfig, "check", "demo", "-o", "pdf").exit_code == 2


def test_report_prints_what_the_operator_wrote(api: Any, kubeconfig: str, demo: dict[str, Any]) -> None:
    api.objects["/api/v1/namespaces/team/configmaps/demo-report"] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "demo-report", "namespace": "team"},
        "data": {"report.md": "# Report\n", "report.json": "{}"},
    }
    assert run(kubeconfig, "report", "demo").stdout == "# Report\n"
    assert run(kubeconfig, "report", "demo", "-o", "json").stdout == "{}\n"
    assert run(kubeconfig, "report", "demo", "-o", "pdf").exit_code == 1


def test_a_watch_ends_with_the_run(kubeconfig: str, demo: dict[str, Any]) -> None:
    demo["status"]["phase"] = "Succeeded"
    result = run(kubeconfig, "status", "demo", "--watch")
    assert result.exit_code == 0
    assert result.stdout.count("team/demo") == 1


def test_a_watch_on_a_terminal_draws_one_screen_and_ends(
    kubeconfig: str, demo: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    demo["status"]["phase"] = "Failed"
    result = run(kubeconfig, "status", "demo", "--watch")
    assert result.exit_code == 1
    assert "kubectl swarmrun report demo -n team" in result.stdout


def test_without_kubectl_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    result = CliRunner().invoke(app, ["status", "demo"])
    assert result.exit_code == 1
    assert "kubectl must be on PATH" in result.stderr

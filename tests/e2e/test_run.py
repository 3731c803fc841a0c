"""One whole run on a real node: faults in the model's answers, and every process killed once."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from e2e.faults import kill_pod
from swarmdemo import install, objects, target, verify, watch
from swarmdemo.settings import SYSTEM_NAMESPACE, Settings

pytestmark = [pytest.mark.node, pytest.mark.timeout(2400)]

FAULTS = "wrong-code=0.15,malformed=0.1,truncate=0.1,rate-limit=0.1,server-error=0.1,slow=0.1"
NAMESPACE = "swarmrun-e2e"
#: The plugin of this very environment.
PLUGIN = Path(sys.executable).with_name("kubectl-swarmrun")


@dataclass
class Kills:
    """Kills one process after the other: at each new landing, or six looks after the last kill."""

    actions: list[Callable[[], str]]
    killed: list[str] = field(default_factory=list)
    seen: int = 0
    looks: int = 0

    def at(self, run: dict[str, Any]) -> None:
        """Kill the next process if it is time."""
        completed = run.get("status", {}).get("tasks", {}).get("completed", 0)
        self.looks += 1
        if self.actions and completed and (completed > self.seen or self.looks > 6):
            self.seen, self.looks = completed, 0
            self.killed.append(self.actions.pop(0)())


@dataclass(frozen=True)
class Checked:
    code: int
    #: Check → (result, detail).
    results: dict[str, tuple[str, str]]

    @classmethod
    def of(cls, where: target.Target, name: str) -> Checked:
        """Ask the command line, as a person would."""
        done = subprocess.run(
            [PLUGIN, "check", name, "-n", NAMESPACE, "-o", "json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=where.tools.environment,
        )
        assert done.stdout, done.stderr
        checks = json.loads(done.stdout)["checks"]
        return cls(done.returncode, {c["check"]: (c["result"], c["detail"]) for c in checks})


@dataclass(frozen=True)
class Outcome:
    run: dict[str, Any]
    killed: list[str]
    project: Path
    #: What `kubectl swarmrun check` said, at every third look.
    checked: list[Checked]


@pytest.fixture(scope="module")
def outcome(where: target.Target, settings: Settings) -> Outcome:
    settings = replace(settings, namespace=NAMESPACE, faults=FAULTS)
    install.remove_previous(where, settings)
    install.install_servers(where, settings)
    manifest = objects.swarm_run(settings, settings.agents or 3)
    where.tools.apply(manifest)
    name = str(manifest["metadata"]["name"])

    def kill(namespace: str, component: str) -> Callable[[], str]:
        return lambda: kill_pod(where.tools, namespace, f"app.kubernetes.io/component={component}")

    kills = Kills(
        [
            kill(NAMESPACE, "agent"),
            kill(NAMESPACE, "merger"),
            kill(SYSTEM_NAMESPACE, "operator"),
            kill(SYSTEM_NAMESPACE, "redis"),
            kill(NAMESPACE, "hub"),
        ]
    )
    checked: list[Checked] = []

    looks = itertools.count()

    def each(seen: dict[str, Any]) -> None:
        if next(looks) % 3 == 0:
            checked.append(Checked.of(where, name))
        kills.at(seen)

    run = watch.follow(where.tools, settings, name, each=each)
    return Outcome(run, kills.killed, verify.clone(where.tools, settings), checked)


def test_the_run_succeeds_though_every_process_was_killed_once(outcome: Outcome) -> None:
    assert len(outcome.killed) == 5
    assert watch.condition(outcome.run, "Succeeded")["status"] == "True"
    tasks = outcome.run["status"]["tasks"]
    assert tasks["completed"] == tasks["total"]


def test_the_queue_was_found_sound_at_work_and_is_at_the_end(where: target.Target, outcome: Outcome) -> None:
    # While a killed process comes back, other checks may fail; the queue's own books never do.
    assert [c for c in outcome.checked if c.results["audit"][0] == "FAIL"] == []
    assert [c for c in outcome.checked if c.results["cost"][0] == "FAIL"] == []
    assert any(c.code == 0 and c.results["audit"][0] == "ok" for c in outcome.checked)
    last = Checked.of(where, str(outcome.run["metadata"]["name"]))
    assert last.code == 0, last.results
    assert last.results["audit"][0] == "ok"


def test_each_task_is_on_the_branch_exactly_once(outcome: Outcome) -> None:
    log = subprocess.run(
        [
            "git",
            "-C",
            str(outcome.project),
            "log",
            "--format=%(trailers:key=Swarm-Task,valueonly,separator=%x2C)",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    counts = Counter(line for line in log.stdout.splitlines() if line)
    assert counts
    assert set(counts.values()) == {1}
    assert len(counts) == outcome.run["status"]["tasks"]["total"]


def test_the_report_is_kept_and_agrees_with_the_status(where: target.Target, outcome: Outcome) -> None:
    name = outcome.run["status"]["reportRef"]["name"]
    data = json.loads(where.tools.kubectl("-n", NAMESPACE, "get", "configmap", name, "-o", "json"))["data"]
    report = json.loads(data["report.json"])
    assert report["verdict"] == "Succeeded"
    assert "Swarm execution report" in data["report.md"]
    assert outcome.run["status"]["cost"]["spentUSD"] in data["report.md"]


def test_status_metrics_command_line_and_report_say_the_same_cost(
    where: target.Target, outcome: Outcome
) -> None:
    name, kubectl = str(outcome.run["metadata"]["name"]), where.tools.kubectl
    spent = outcome.run["status"]["cost"]["spentUSD"]
    shown = subprocess.run(
        [PLUGIN, "status", name, "-n", NAMESPACE, "-o", "json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=where.tools.environment,
    )
    reference = outcome.run["status"]["reportRef"]["name"]
    report = kubectl("-n", NAMESPACE, "get", "configmap", reference, "-o", "json")
    chosen = ("-l", "app.kubernetes.io/component=operator", "-o", "jsonpath={.items[0].metadata.name}")
    pod = kubectl("-n", SYSTEM_NAMESPACE, "get", "pods", *chosen)
    metrics = kubectl("get", "--raw", f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/pods/{pod}:9090/proxy/metrics")
    [series] = [
        sample
        for family in text_string_to_metric_families(metrics)
        if family.name == "swarmrun_budget_usd"
        for sample in family.samples
        if (sample.labels["run"], sample.labels["kind"]) == (name, "spent")
    ]

    assert Decimal(spent) > 0
    assert json.loads(shown.stdout)["cost"]["spentUSD"] == spent
    assert json.loads(json.loads(report)["data"]["report.json"])["cost"]["spentUSD"] == spent
    assert round(Decimal(series.value), 6) == Decimal(spent)


def test_the_built_project_passes_its_own_tests_outside_the_cluster(outcome: Outcome) -> None:
    verify.run_its_tests(outcome.project)


def test_no_secret_reached_the_branch_a_log_or_the_status(where: target.Target, outcome: Outcome) -> None:
    key, password = (
        where.tools.kubectl(
            "-n",
            NAMESPACE,
            "get",
            "secret",
            name,
            "-o",
            f'go-template={{{{index .data "{field_name}" | base64decode}}}}',
        )
        for name, field_name in (("model-key", "api-key"), ("git-credentials", "password"))
    )
    tree = subprocess.run(
        ["git", "-C", str(outcome.project), "log", "-p", "--all"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    logs = where.tools.kubectl("-n", SYSTEM_NAMESPACE, "logs", "deploy/swarmrun-operator", "--tail=-1")
    events = where.tools.kubectl("-n", NAMESPACE, "get", "events,configmaps", "-o", "json")
    for secret in (key, password):
        assert secret
        for text in (tree.stdout, logs, events, json.dumps(outcome.run)):
            assert secret not in text


def test_deleting_the_run_removes_all_it_created(where: target.Target, outcome: Outcome) -> None:
    name = str(outcome.run["metadata"]["name"])
    where.tools.kubectl("-n", NAMESPACE, "delete", "swarmrun", name, "--timeout=60s")
    where.tools.kubectl(
        "-n", NAMESPACE, "wait", "--for=delete", "deployments,services,configmaps,secrets",
        "-l", f"swarmrun.dev/run={name}", "--timeout=60s", check=False,
    )  # fmt: skip
    left = where.tools.kubectl(
        "-n", NAMESPACE, "get", "all,configmaps,secrets,networkpolicies,swarmescalations",
        "-l", f"swarmrun.dev/run={name}", "-o", "name",
    )  # fmt: skip
    assert left == ""
    keys = where.tools.kubectl(
        "-n", SYSTEM_NAMESPACE, "exec", "swarmrun-redis-0", "--",
        "sh", "-c", 'export REDISCLI_AUTH="$REDIS_PASSWORD"; redis-cli --scan; redis-cli acl list',
    )  # fmt: skip
    assert outcome.run["metadata"]["uid"] not in keys

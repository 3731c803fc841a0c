"""plan and lint: what they print, and every fault at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from swarm_cli.app import app

EXAMPLES = Path(__file__).parents[2] / "examples"
EXAMPLE = EXAMPLES / "task-management-api" / "swarmrun.yaml"


def run(*args: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, list(args), input=text)


def example() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    return data


def lint(data: Any) -> list[str]:
    result = run("lint", "-f", "-", text=yaml.safe_dump(data))
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr.splitlines()


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/swarmrun.yaml")), ids=lambda f: f.parent.name)
def test_every_example_is_valid(file: Path) -> None:
    result = run("lint", "-f", str(file))
    assert result.exit_code == 0, result.stderr
    assert f"{file.parent.name}: valid" in result.stdout


def test_plan_shows_tasks_path_cost_and_hash() -> None:
    result = run("plan", "-f", str(EXAMPLE))
    assert result.exit_code == 0, result.stderr
    assert re.search(
        r"^api\.users\.create +implement_endpoint +Implement POST /api/users ", result.stdout, re.MULTILINE
    )
    assert (
        "Critical path: 7 tasks: scaffold > db.users > db.projects > db.tasks > db.comments" in result.stdout
    )
    assert re.search(
        r"^Estimate: +\$[0-9.]+ to \$[0-9.]+ with gpt-4-turbo, budget \$150.00$", result.stdout, re.MULTILINE
    )
    assert re.search(r"^Plan hash: +[0-9a-f]{64}$", result.stdout, re.MULTILINE)


def test_plan_speaks_json_yaml_and_names() -> None:
    as_json = json.loads(run("plan", "-f", str(EXAMPLE), "-o", "json").stdout)
    assert as_json["name"] == "task-management-api"
    assert yaml.safe_load(run("plan", "-f", str(EXAMPLE), "-o", "yaml").stdout) == as_json
    names = run("plan", "-f", str(EXAMPLE), "-o", "name").stdout.split()
    assert names == [f"task/{t['id']}" for t in as_json["tasks"]]


def test_a_bare_project_specification_is_planned() -> None:
    result = run("plan", "-f", "-", text=yaml.safe_dump(example()["spec"]["project"]))
    assert result.exit_code == 0, result.stderr
    assert "Project:       Task Management API (Task Management API)" in result.stdout
    assert "Estimate" not in result.stdout


def test_paths_of_a_bare_specification_start_at_its_root() -> None:
    assert lint({"project_name": "X", "resources": {}})[0].startswith("architecture.framework: ")


def test_other_documents_are_passed_over_and_a_config_map_may_hold_the_project() -> None:
    run_object = example()
    project = run_object["spec"].pop("project")
    run_object["spec"]["projectFrom"] = {"configMapKeyRef": {"name": "the-project"}}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "the-project"}}
    good = {**config, "data": {"project.yaml": yaml.safe_dump(project)}}
    result = run("lint", "-f", "-", text=yaml.safe_dump_all([{"kind": "Secret"}, good, run_object]))
    assert result.exit_code == 0, result.stderr
    bad = {**config, "data": {"project.yaml": "project_name: X\n"}}
    result = run("lint", "-f", "-", text=yaml.safe_dump_all([bad, run_object]))
    assert "ConfigMap/the-project[project.yaml].resources: must have at least one resource" in result.stderr


def test_all_faults_of_all_runs_come_at_once() -> None:
    first, second = example(), example()
    first["spec"]["budget"]["maxCostUSD"] = "0"
    first["spec"]["project"]["resources"]["users"]["endpoints"][0] = "TRACE /api/users"
    second["metadata"]["name"] = "other"
    second["spec"]["numAgents"] = 0
    result = run("lint", "-f", "-", text=yaml.safe_dump_all([first, second]))
    lines = result.stderr.splitlines()
    assert result.exit_code == 1
    assert [line.split(": ")[:2] for line in lines[:3]] == [
        ["task-management-api", "spec.budget.maxCostUSD"],
        ["task-management-api", "spec.project.resources.users.endpoints[0]"],
        ["other", "spec.numAgents"],
    ]
    assert lines[3] == "3 problems"


def _with(path: str, value: Any) -> dict[str, Any]:
    data = example()
    node = data
    *parents, last = path.split(".")
    for key in parents:
        node = node[key]
    node[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("apiVersion", "swarmrun.dev/v1", r"apiVersion: must be swarmrun.dev/v1alpha1"),
        ("metadata.name", "a.b", r"metadata.name: must be 1 to 40 lower-case"),
        ("metadata.name", "x" * 41, r"metadata.name: must be 1 to 40"),
        ("spec.numAgent", 3, r"spec.numAgent: must be a known field .*did you mean 'numAgents'\?"),
        ("spec.model", "no such model!", r"spec.model: must be a model name of letters"),
        (
            "spec.model",
            "gpt-nonesuch",
            r"spec.model: must be a model with a known price .*spec.provider.prices",
        ),
        ("spec.budget.maxCostUSD", "1e3", r"spec.budget.maxCostUSD: must be"),
        ("spec.budget", {}, r"spec.budget.maxCostUSD: must be set \(found nothing\); add it"),
        (
            "spec.repository.url",
            "https://u:p@github.com/x/y",
            r"spec.repository.url: must be https://host/path",
        ),
        ("spec.repository.url", "ext::sh -c id", r"spec.repository.url: must be https://host/path"),
        ("spec.repository.branch", "a..b", r"spec.repository.branch: must be a valid branch name"),
        ("spec.provider.type", "Azure", r"spec.provider.type: .*'OpenAI'"),
        ("spec.provider", {"type": "OpenAICompatible"}, r"spec.provider.baseURL: must be set for type"),
        (
            "spec.provider.fallback",
            {"type": "Anthropic"},
            r"spec.provider.fallback.type: must be the type of spec.provider",
        ),
        (
            "spec.provider.fallback",
            {"type": "OpenAI", "models": {"gpt-4-turbo": "gpt-nonesuch"}},
            r"spec.provider.fallback.models: must be a model with a known price",
        ),
        (
            "spec.modelPolicy",
            {"softThresholds": [{"percent": 50, "model": "gpt-nonesuch"}]},
            r"spec.modelPolicy: must be a model with a known price",
        ),
        (
            "spec.modelPolicy",
            {"softThresholds": [{"percent": 50, "model": "gpt-5"}, {"percent": 40, "model": "gpt-5"}]},
            r"spec.modelPolicy.softThresholds: must have percents that increase",
        ),
        (
            "spec.projectFrom",
            {"configMapKeyRef": {"name": "x"}},
            r"spec: must have exactly one of project and",
        ),
        ("spec.suspend", "maybe", r"spec.suspend: must be true or false"),
    ],
)
def test_a_fault_of_the_manifest_is_named_in_words(path: str, value: Any, problem: str) -> None:
    lines = lint(_with(path, value))
    assert any(re.match(problem, line) for line in lines), "\n".join(lines)
    assert "Traceback" not in "".join(lines)
    assert "pydantic" not in "".join(lines).lower()


@pytest.mark.parametrize("text", ["", "[]", "a: 1", "kind: Pod", "x"])
def test_a_file_without_a_run_is_refused(text: str) -> None:
    result = run("lint", "-f", "-", text=text)
    assert result.exit_code == 1
    assert "must hold a SwarmRun or a project specification" in result.stderr


@pytest.mark.parametrize("spec", [None, [], "x", {}])
def test_an_odd_spec_is_refused_in_words(spec: Any) -> None:
    lines = lint(
        {"apiVersion": "swarmrun.dev/v1alpha1", "kind": "SwarmRun", "metadata": {"name": "x"}, "spec": spec}
    )
    assert any(line.startswith("spec.model: must be set") for line in lines)


def test_the_help_is_that_of_a_kubectl_plugin() -> None:
    result = CliRunner().invoke(app, ["--help"], prog_name="kubectl swarmrun")
    assert "Usage: kubectl swarmrun" in result.stdout

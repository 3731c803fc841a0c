"""The API server refuses bad input with a message that names the path, the rule and the fix."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from conftest import ControlPlane

pytestmark = [pytest.mark.controlplane, pytest.mark.xdist_group("controlplane")]

Json = dict[str, Any]

GOOD: Json = {
    "apiVersion": "swarmrun.dev/v1alpha1",
    "kind": "SwarmRun",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {
        "numAgents": 4,
        "model": "gpt-4-turbo",
        "provider": {"type": "OpenAI", "credentialsSecretRef": {"name": "openai"}},
        "repository": {"url": "https://git.example.com/shop.git"},
        "budget": {"maxCostUSD": "150.00"},
        "project": {"project_name": "Shop"},
    },
}


def changed(**edits: Any) -> Json:
    """Copy the good manifest; `a__b=value` sets spec.a.b, a value of None removes it."""
    run = copy.deepcopy(GOOD)
    for path, value in edits.items():
        node, *rest = run["spec"], *path.split("__")
        for key in rest[:-1]:
            node = node.setdefault(key, {})
        if value is None:
            node.pop(rest[-1], None)
        else:
            node[rest[-1]] = value
    return run


def named(name: str) -> Json:
    run = copy.deepcopy(GOOD)
    run["metadata"]["name"] = name
    return run


BAD: dict[str, tuple[Json, str, str]] = {
    "both project and projectFrom": (
        changed(projectFrom={"configMapKeyRef": {"name": "p"}}),
        "spec",
        "must have exactly one of project and projectFrom",
    ),
    "neither project nor projectFrom": (changed(project=None), "spec", "must have exactly one of"),
    "an external transport as URL": (
        changed(repository__url="ext::sh -c id"),
        "spec.repository.url",
        "must be https://",
    ),
    "a local file as URL": (
        changed(repository__url="file:///etc"),
        "spec.repository.url",
        "must be https://",
    ),
    "a password inside the URL": (
        changed(repository__url="https://u:p@git.example.com/x.git"),
        "spec.repository.url",
        "credentials belong into credentialsSecretRef",
    ),
    "an option as URL": (
        changed(repository__url="--upload-pack=x"),
        "spec.repository.url",
        "must be https://",
    ),
    "plain http outside the cluster": (
        changed(repository__url="http://git.example.com/x"),
        "spec.repository.url",
        ".svc",
    ),
    "an option as branch": (
        changed(repository__branch="-x"),
        "spec.repository.branch",
        "must be a branch name",
    ),
    "a range as branch": (changed(repository__branch="a..b"), "spec.repository.branch", "no '..'"),
    "a budget of zero": (changed(budget__maxCostUSD=0), "spec.budget.maxCostUSD", "must be greater than 0"),
    "a budget of 0.00": (
        changed(budget__maxCostUSD="0.00"),
        "spec.budget.maxCostUSD",
        "must be greater than 0",
    ),
    "a negative budget": (
        changed(budget__maxCostUSD=-5),
        "spec.budget.maxCostUSD",
        "must be a decimal number",
    ),
    "a word as budget": (
        changed(budget__maxCostUSD="abc"),
        "spec.budget.maxCostUSD",
        "must be a decimal number",
    ),
    "no budget": (changed(budget=None), "spec.budget", "Required"),
    "no agents": (changed(numAgents=0), "spec.numAgents", "greater than or equal to 1"),
    "a hundred thousand agents": (changed(numAgents=100_000), "spec.numAgents", "less than or equal to 500"),
    "a model with a space": (changed(model="gpt 4"), "spec.model", "must be a model name"),
    "soft thresholds out of order": (
        changed(modelPolicy__softThresholds=[{"percent": 80, "model": "a"}, {"percent": 50, "model": "b"}]),
        "spec.modelPolicy.softThresholds",
        "must have percents that increase",
    ),
    "a soft threshold twice": (
        changed(modelPolicy__softThresholds=[{"percent": 50, "model": "a"}, {"percent": 50, "model": "b"}]),
        "spec.modelPolicy.softThresholds",
        "must have percents that increase",
    ),
    "a soft threshold at the limit": (
        changed(modelPolicy__softThresholds=[{"percent": 100, "model": "a"}]),
        "spec.modelPolicy.softThresholds[0].percent",
        "less than or equal to 99",
    ),
    "a provider that is not known": (
        changed(provider__type="Acme"),
        "spec.provider.type",
        "supported values",
    ),
    "a compatible provider without URL": (
        changed(provider={"type": "OpenAICompatible"}),
        "spec.provider.baseURL",
        "must be set for type OpenAICompatible",
    ),
    "a fallback of another type": (
        changed(provider__fallback={"type": "Anthropic", "credentialsSecretRef": {"name": "x"}}),
        "spec.provider.fallback.type",
        "must be the type of spec.provider",
    ),
    "a compatible fallback without URL": (
        changed(
            provider={
                "type": "OpenAICompatible",
                "baseURL": "http://a/v1",
                "fallback": {"type": "OpenAICompatible"},
            }
        ),
        "spec.provider.fallback.baseURL",
        "must be set for type OpenAICompatible",
    ),
    "a Secret of another namespace": (
        changed(provider__credentialsSecretRef={"name": "x", "namespace": "other"}),
        "namespace",
        "unknown field",
    ),
    "a name of 41 characters": (named("a" * 41), "", "at most 40 characters"),
    "a name with a dot": (named("a.b"), "", "without dots"),
    "a misspelt field": (changed(numAgent=3), "numAgent", "unknown field"),
    "a project that is a list": (changed(project=["users"]), "spec.project", "must be of type object"),
}


def create(plane: ControlPlane, run: Json) -> tuple[int, str]:
    done = plane.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(run))
    return done.returncode, done.stderr


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_path_and_rule(control_plane: ControlPlane, case: str) -> None:
    run, path, words = BAD[case]
    code, message = create(control_plane, run)
    assert code != 0
    assert path in message
    assert words in message


GOOD_EDITS: dict[str, Json] = {
    "the plain example": GOOD,
    "an scp-like URL": changed(repository__url="git@github.com:yourcompany/task-management-api.git"),
    "an ssh URL": changed(repository__url="ssh://git@git.example.com:2222/a/b.git"),
    "a Service inside the cluster": changed(repository__url="http://git.demo.svc:8080/a.git"),
    "a whole number as budget": changed(budget__maxCostUSD=25),
    "a specification of 120 KiB": changed(project={"project_name": "Big", "text": "x" * 120_000}),
}


@pytest.mark.parametrize("case", GOOD_EDITS)
def test_good_input_is_accepted(control_plane: ControlPlane, case: str) -> None:
    code, message = create(control_plane, GOOD_EDITS[case])
    assert (code, message) == (0, "")


@pytest.fixture
def stored(control_plane: ControlPlane) -> Json:
    done = control_plane.kubectl("apply", "-f", "-", stdin=json.dumps(GOOD))
    assert done.returncode == 0, done.stderr
    return GOOD


UPDATES: dict[str, tuple[Json, str]] = {
    "a lower budget": ({"budget": {"maxCostUSD": 149}}, "must not be lowered"),
    "another repository": (
        {"repository": {"url": "https://git.example.com/y.git"}},
        "must not change once set",
    ),
    "another branch": ({"repository": {"branch": "next"}}, "must not change once set"),
}


@pytest.mark.parametrize("case", UPDATES)
def test_updates_that_would_break_promises_are_refused(
    control_plane: ControlPlane, stored: Json, case: str
) -> None:
    patch, words = UPDATES[case]
    done = control_plane.kubectl(
        "patch", "swr", "shop", "--type=merge", "--dry-run=server", "-p", json.dumps({"spec": patch})
    )
    assert done.returncode != 0
    assert words in done.stderr


def test_scale_changes_the_number_of_agents(control_plane: ControlPlane, stored: Json) -> None:
    assert control_plane.kubectl("scale", "swr/shop", "--replicas=3").returncode == 0
    assert control_plane.kubectl("get", "swr", "shop", "-o", "jsonpath={.spec.numAgents}").stdout == "3"
    assert control_plane.kubectl("scale", "swr/shop", "--replicas=0").returncode != 0


def test_a_new_run_is_marked_as_not_yet_observed(control_plane: ControlPlane, stored: Json) -> None:
    found = control_plane.kubectl("get", "swr", "shop", "-o", "jsonpath={.status.observedGeneration}").stdout
    assert found == "-1"


def test_explain_reads_well(control_plane: ControlPlane) -> None:
    text = control_plane.kubectl("explain", "swarmrun.spec").stdout
    assert "Number of agent pods, 1 to 500" in text
    assert "-required-" in text

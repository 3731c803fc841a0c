"""What a person can get wrong, on a real node: each fault is named, costs nothing, and can be mended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from e2e.runs import Run, Runs, completed, is_, messages, said, small_project
from swarmdemo import objects, watch
from swarmdemo.settings import GIT_USER, Settings
from swarmdemo.target import Target
from swarmrun.core.api_base import MAX_SPEC_BYTES

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

WRONG_KEY = "sk-demo-this-key-is-wrong"


def faulty_project() -> dict[str, Any]:
    """Make four mistakes in four places."""
    project = small_project()
    del project["project_name"]
    project["resources"]["notes"] = {
        "endpoints": ["FETCH /api/notes (create)"],
        "fields": [
            {"id": "UUID (primary key)"},
            {"title": "strin"},
            {"book_id": "UUID (foreign key to books)"},
        ],
    }
    return project


def django_project() -> dict[str, Any]:
    project = small_project()
    project["architecture"]["framework"] = "Django"
    return project


def large_project(padding: int) -> dict[str, Any]:
    """Make a valid project of about 128 KiB, longer by `padding` characters."""
    project = small_project()
    for number in range(41):
        project["resources"][f"things{number:02}"] = {
            "endpoints": [f"GET /api/things{number:02} (list)"],
            "fields": [{"id": "UUID (primary key)"}],
            "validations": [f"id must be {rule:02} {'x' * 200}" for rule in range(14)],
        }
    project["description"] = "x" * padding
    return project


def _sized(runs: Runs, name: str, size: int) -> Run:
    """Describe a suspended run whose spec has `size` bytes once the API server has set its defaults."""

    def described(padding: int) -> Run:
        return runs.manifest(name, large_project(padding), suspend=True)

    dry = ("apply", "--server-side", "--dry-run=server", "-o", "json", "-f", "-")
    stored = json.loads(runs.kubectl(*dry, stdin=yaml.safe_dump(described(1))))["spec"]
    return described(1 + size - len(json.dumps(stored, separators=(",", ":"))))


def _unpriced(runs: Runs) -> Run:
    run = runs.manifest("no-price", model="house-model-9b")
    run["spec"]["provider"].pop("prices")
    return run


def _with_key(runs: Runs, name: str, secret: str) -> Run:
    run = runs.manifest(name)
    run["spec"]["provider"]["credentialsSecretRef"]["name"] = secret
    return run


def _with_repository(runs: Runs, name: str, **changes: Any) -> Run:
    run = runs.manifest(name)
    run["spec"]["repository"].update(changes)
    return run


def _without_secrets(runs: Runs) -> Run:
    run = _with_key(runs, "no-secrets", "late-key")
    run["spec"]["repository"]["credentialsSecretRef"] = {"name": "late-git"}
    return run


#: Runs that are refused before anything is made: the reason, and words that name the fault.
REFUSED = {
    "no-price": ("PriceUnknown", ["house-model-9b", "spec.provider.prices"]),
    "bad-stack": ("UnsupportedStack", ["spec.project.architecture.framework", "Django", "express"]),
    "bad-project": (
        "InvalidProject",
        ["spec.project.project_name", "'FETCH'", "did you mean 'PATCH'", "'strin'", "'books'"],
    ),
    "too-large": ("SpecTooLarge", [f"{MAX_SPEC_BYTES + 1} bytes", str(MAX_SPEC_BYTES), "spec.projectFrom"]),
}
#: Runs that stand until somebody acts: the reason, and words that name what to mend.
STALLED = {
    "no-secrets": ("SecretNotFound", ["late-key", "late-git"]),
    "wrong-key": ("ProviderUnauthorized", ["Incorrect API key provided"]),
    "no-repository": ("RepositoryUnreachable", ["nowhere"]),
    "no-branch": ("BranchNotFound", ["release"]),
    "wrong-password": ("AuthenticationFailed", []),
}

#: Runs of the table above that no later test goes on with.
HOPELESS = {"no-repository", "wrong-password"}


@pytest.fixture(scope="module")
def runs(where: Target, settings: Settings) -> Iterator[Runs]:
    """Apply every bad run at once: their waits overlap."""
    with Runs.beside_servers(where, replace(settings, namespace="swarmrun-bad-input")) as runs:
        runs.repository("wrong-key", "no-secrets", "wrong-password", "no-map")
        runs.repository("no-branch", commit=True)
        wrong = {"username": GIT_USER, "password": "not-the-password"}
        runs.tools.apply(
            objects.secret(runs.settings, "wrong-key", {"api-key": WRONG_KEY}),
            objects.secret(runs.settings, "wrong-git", wrong),
            _with_key(runs, "wrong-key", "wrong-key"),
            _without_secrets(runs),
            _with_repository(
                runs, "no-repository", url=runs.url("no").replace("http://git.", "http://nowhere.")
            ),
            _with_repository(runs, "no-branch", branch="release"),
            _with_repository(runs, "wrong-password", credentialsSecretRef={"name": "wrong-git"}),
            runs.manifest("no-map", suspend=True, projectFrom=_reference("late-map")),
            _unpriced(runs),
            runs.manifest("bad-stack", django_project()),
            runs.manifest("bad-project", faulty_project()),
            _sized(runs, "too-large", MAX_SPEC_BYTES + 1),
            _sized(runs, "large", MAX_SPEC_BYTES),
        )
        yield runs


def _reference(name: str) -> dict[str, Any]:
    return {"configMapKeyRef": {"name": name, "key": "project.yaml"}}


@pytest.mark.parametrize("name", sorted(STALLED))
def test_a_run_stalls_and_names_what_to_mend(runs: Runs, name: str) -> None:
    reason, words = STALLED[name]
    stalled = is_("Stalled", "True", reason)

    def told(run: Run) -> bool:
        text = messages(run, ["Stalled", "AgentsAvailable", "RepositoryReady"])
        return stalled(run) and all(word in text for word in words)

    # All of them start at once, so the first waits longest.
    run = runs.until(name, told, seconds=120)
    assert WRONG_KEY not in json.dumps(run["status"])
    if name in HOPELESS:
        runs.dismiss(name)


def test_a_wrong_key_costs_one_call_however_long_the_run_stands(runs: Runs) -> None:
    run = runs.until("wrong-key", is_("Stalled", "True", "ProviderUnauthorized"))
    refused = [e for e in runs.model_calls() if e["status"] == 401]
    assert len(refused) == 1
    assert float(run["status"]["cost"]["spentUSD"]) == 0
    # Mended here, so that the hub meets the right key at its restart: the last test sees the run go on.
    key = json.loads(runs.kubectl("get", "secret", "model-key", "-o", "json"))["data"]["api-key"]
    patch = json.dumps({"data": {"api-key": key}})
    runs.kubectl("patch", "secret", "wrong-key", "--type=merge", "-p", patch)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refused_run_lists_every_fault_and_makes_nothing(runs: Runs, name: str) -> None:
    reason, words = REFUSED[name]
    run = runs.until(name, is_("PlanReady", "False", reason))
    assert is_("Stalled", "True", reason)(run), said(run)
    text = watch.condition(run, "PlanReady")["message"]
    assert [w for w in words if w not in text] == []
    assert run["status"]["phase"] == "Pending"
    assert run["metadata"].get("finalizers", []) == []
    assert runs.owned(name) == []
    assert run["metadata"]["uid"] not in runs.stored()


def test_a_spec_of_just_the_allowed_size_is_planned(runs: Runs) -> None:
    run = runs.until("large", is_("PlanReady", "True"))
    assert run["status"]["plan"]["tasks"] > 100
    assert run["status"]["phase"] == "Suspended"


def test_a_run_waits_for_its_config_map_and_goes_on_when_it_appears(runs: Runs) -> None:
    run = runs.until("no-map", is_("PlanReady", "False", "ConfigMapNotFound"))
    assert is_("Stalled", "False")(run), said(run)
    assert "'late-map'" in watch.condition(run, "PlanReady")["message"]
    assert run["status"]["phase"] == "Planning"
    assert runs.owned("no-map") == []
    text = yaml.safe_dump(small_project())
    runs.kubectl("create", "configmap", "late-map", f"--from-literal=project.yaml={text}")
    runs.until("no-map", is_("PlanReady", "True"))


def test_a_run_goes_on_when_its_secrets_appear(runs: Runs) -> None:
    key, git = (
        json.loads(runs.kubectl("get", "secret", name, "-o", "json"))["data"]
        for name in ("model-key", "git-credentials")
    )
    late_key, late_git = (objects.secret(runs.settings, name, {}) for name in ("late-key", "late-git"))
    runs.tools.apply({**late_key, "data": {"apikey": key["api-key"]}}, {**late_git, "data": git})
    run = runs.until("no-secrets", is_("Stalled", "True", "SecretKeyNotFound"))
    assert "'late-key' has no key 'api-key'" in watch.condition(run, "Stalled")["message"]
    runs.tools.apply({**late_key, "data": key})
    runs.until("no-secrets", lambda run: completed(run) >= 1, seconds=120)
    runs.dismiss("no-secrets")


def test_a_run_goes_on_when_its_branch_appears(runs: Runs) -> None:
    path = "/data/git/no-branch.git"
    runs.kubectl("exec", "deploy/git", "--", "git", "-C", path, "branch", "release", "main")
    run = runs.until("no-branch", is_("RepositoryReady", "True"), seconds=60)
    assert is_("Stalled", "False")(run), said(run)
    runs.dismiss("no-branch")


def test_a_run_goes_on_when_the_key_is_mended(runs: Runs) -> None:
    runs.until("wrong-key", lambda run: completed(run) >= 1, seconds=120)
    assert len([e for e in runs.model_calls() if e["status"] == 401]) <= 2


def test_nothing_is_left_of_a_refused_run_that_is_deleted(runs: Runs) -> None:
    uid = runs.read("bad-project")["metadata"]["uid"]
    runs.delete("bad-project")
    assert runs.owned("bad-project") == []
    assert uid not in runs.stored()

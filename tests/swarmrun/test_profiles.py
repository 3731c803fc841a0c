from __future__ import annotations

import json
import re

import pytest

from swarmrun import profiles
from swarmrun.core.errors import Invalid, Problem
from swarmrun.core.ownership import matches, path_problem
from swarmrun.core.profile import Profile
from swarmrun.core.task import TaskType

ALL = [profiles.load(name) for name in profiles.names()]
every_profile = pytest.mark.parametrize("profile", ALL, ids=[p.name for p in ALL])
WORK = [t for t in TaskType if t not in {TaskType.FIX_BUG, TaskType.REFACTOR}]


def test_the_express_profile_is_known() -> None:
    assert "express-typescript" in profiles.names()


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Invalid, match="express-typescript"):
        profiles.load("cobol")


@pytest.mark.parametrize(
    "architecture",
    [
        {"framework": "Express.js (Node.js)", "database": "PostgreSQL"},
        {"framework": "express 5", "database": "Postgres 16"},
    ],
)
def test_the_words_of_the_architecture_select_a_profile(architecture: dict[str, str]) -> None:
    chosen = profiles.select(architecture)

    assert isinstance(chosen, Profile)
    assert chosen.name == "express-typescript"


@pytest.mark.parametrize(
    ("architecture", "path"),
    [
        ({}, "architecture.framework"),
        ({"framework": "Rails", "database": "PostgreSQL"}, "architecture.framework"),
        ({"framework": "Express.js", "database": "MongoDB"}, "architecture.database"),
    ],
)
def test_an_unsupported_architecture_names_what_is_supported(architecture: dict[str, str], path: str) -> None:
    problem = profiles.select(architecture)

    assert isinstance(problem, Problem)
    assert problem.path == path
    assert "express" in problem.fix or "postgres" in problem.fix


@every_profile
def test_a_profile_has_a_layout_for_every_kind_of_planned_work(profile: Profile) -> None:
    assert set(profile.layout) == set(WORK)
    assert all(layout.owned for layout in profile.layout.values())


@every_profile
def test_template_paths_are_safe_and_protected(profile: Profile) -> None:
    for path in profile.template:
        assert path_problem(path) is None
        assert matches(path, profile.protected), path


@every_profile
def test_no_task_owns_a_protected_path(profile: Profile) -> None:
    for layout in profile.layout.values():
        for glob in layout.owned:
            sample = re.sub(r"\{\w+\}", "sample", glob).replace("*", "sample")
            assert not matches(sample, profile.protected), glob


@every_profile
def test_expected_tests_lie_among_the_owned_or_the_template_paths(profile: Profile) -> None:
    for layout in profile.layout.values():
        assert all(test in layout.owned or test in profile.template for test in layout.tests)


@every_profile
def test_the_lock_file_names_no_registry(profile: Profile) -> None:
    lock = json.loads(profile.template["package-lock.json"])

    assert all("resolved" not in package for package in lock["packages"].values())
    assert all("integrity" in package for name, package in lock["packages"].items() if name)


@every_profile
def test_check_and_gate_name_the_same_tools_and_the_results_are_artifacts(profile: Profile) -> None:
    assert {step.name for step in profile.gate} <= {step.name for step in profile.check}
    assert {profile.junit, profile.lcov} <= set(profile.artifacts)
    assert any("{tests}" in step.argv for step in profile.check)


@every_profile
def test_conventions_are_for_a_prompt_short_but_complete(profile: Profile) -> None:
    assert 2_000 < len(profile.conventions) < 20_000
    assert not re.search(
        r"^## (Project|Task|Resource|Paths you may write)$", profile.conventions, re.MULTILINE
    )


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("Test coverage: 80%+", True),
        ("All endpoints have integration tests", True),
        ("Input validation on all endpoints", True),
        ("Error handling with proper HTTP status codes", True),
        ("Rate limiting: 100 requests/minute per IP", False),
        ("JWT tokens expire after 24 hours", False),
        ("All passwords bcrypt-hashed", False),
    ],
)
def test_requirements_that_the_gates_prove_need_no_task(text: str, covered: bool) -> None:
    patterns = profiles.load("express-typescript").covered_requirements

    assert any(re.search(pattern, text.lower()) for pattern in patterns) is covered

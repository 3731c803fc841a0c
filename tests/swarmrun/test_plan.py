"""The plan's promises: deterministic, acyclic, complete, and no path for two tasks."""

from __future__ import annotations

import copy
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmrun.core import graph
from swarmrun.core.errors import Invalid
from swarmrun.core.estimate import TokenPrice, estimate
from swarmrun.core.overlap import overlap
from swarmrun.core.ownership import matches
from swarmrun.core.plan import Plan, build_plan, compare
from swarmrun.core.profile import TaskLayout
from swarmrun.core.project import parse_project
from swarmrun.core.task import TASK_ID_PATTERN, TaskType
from swarmrun.profiles import load

EXAMPLES = Path(__file__).parents[2] / "examples"
PROFILE = load("express-typescript")
GPT_4_TURBO = TokenPrice(Decimal(10), Decimal(30))


def example(name: str = "task-management-api") -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((EXAMPLES / name / "swarmrun.yaml").read_text())["spec"]["project"]
    return data


def plan(data: dict[str, Any]) -> Plan:
    return build_plan(parse_project(data, profiles=[PROFILE]), PROFILE)


# ── the example, in figures ──


def test_the_example_yields_its_tasks() -> None:
    built = plan(example())
    assert built.totals == {
        TaskType.SCAFFOLD: 1,
        TaskType.IMPLEMENT_DATABASE: 5,
        TaskType.IMPLEMENT_ENDPOINT: 25,
        TaskType.WRITE_TESTS: 25,
        TaskType.IMPLEMENT_REQUIREMENT: built.totals[TaskType.IMPLEMENT_REQUIREMENT],
        TaskType.WRITE_DOCS: 5,
    }
    assert built.critical_path[:5] == ("scaffold", "db.users", "db.projects", "db.tasks", "db.comments")
    assert len(built.critical_path) == 7


def test_the_example_orders_schemas_by_foreign_keys() -> None:
    built = plan(example())
    assert built.task("db.users").depends_on == ("scaffold",)
    assert built.task("db.projects").depends_on == ("scaffold", "db.users")
    assert built.task("db.tasks").depends_on == ("scaffold", "db.labels", "db.projects", "db.users")
    assert [j["table"] for j in built.task("db.tasks").spec["join_tables"]] == ["task_labels"]
    assert "join_tables" not in built.task("db.labels").spec


def test_an_endpoint_needs_its_schema_and_tests_need_their_endpoint() -> None:
    built = plan(example())
    task = built.task("api.users.create")
    assert (task.title, task.depends_on) == ("Implement POST /api/users", ("db.users",))
    assert task.spec["endpoint"]["operation"] == "create"
    test = built.task("test.users.create")
    assert (test.subject, test.depends_on) == ("api.users.create", ("api.users.create",))
    assert test.tests == ("tests/api/users/create.test.ts",)
    assert set(test.tests) <= set(test.owned)


def test_a_label_route_waits_for_the_join_table() -> None:
    assert plan(example()).task("api.labels.create").depends_on == ("db.labels", "db.tasks")


def test_a_nested_route_waits_for_the_schema_it_names() -> None:
    data = example()
    data["resources"]["labels"]["endpoints"].append("GET /api/projects/:id/labels (list)")
    assert "db.projects" in plan(data).task("api.labels.list-projects").depends_on


def test_requirements_that_a_gate_covers_need_no_task() -> None:
    ids = {t.id for t in plan(example()).tasks}
    assert "req.quality.test-coverage" not in ids
    assert "req.security.rate-limiting" in ids


def test_every_task_carries_the_same_words_about_the_project() -> None:
    assert len({str(t.spec["project"]) for t in plan(example()).tasks}) == 1


def test_the_second_example_is_small() -> None:
    assert 10 <= len(plan(example("notes-api")).tasks) <= 14


def test_the_longest_remaining_path_goes_first() -> None:
    built = plan(example())
    priority = {t.id: t.priority for t in built.tasks}
    assert priority["scaffold"] == max(priority.values())
    assert (
        priority["db.users"]
        > priority["db.labels"]
        > priority["api.users.create"]
        > priority["test.users.create"]
    )
    for task in built.tasks:
        assert all(priority[dep] > priority[task.id] for dep in task.depends_on)


def test_a_foreign_key_ring_gives_the_constraint_to_the_later_schema() -> None:
    data = example() | {
        "resources": {
            "teams": {"endpoints": ["GET /teams"], "fields": ["lead_id: uuid (foreign key to users)"]},
            "users": {"fields": ["team_id: uuid (required, foreign key to teams)"]},
        }
    }
    built = plan(data)
    assert built.task("db.teams").depends_on == ("scaffold",)
    assert built.task("db.users").depends_on == ("scaffold", "db.teams")
    for task_id in ("db.teams", "db.users"):
        (entry,) = built.task(task_id).spec["deferred_references"]
        assert (entry["table"], entry["field"], entry["added_by"]) == ("teams", "lead_id", "users")


# ── edits of the specification ──


def test_a_new_endpoint_leaves_every_other_task_as_it_is() -> None:
    data = example()
    data["resources"]["users"]["endpoints"].append("GET /api/users/me (read)")
    change = compare(plan(example()), plan(data))
    assert change.added == ("api.users.read-me", "test.users.read-me")
    assert (change.removed, change.changed) == ((), ("docs.users",))


def test_a_new_resource_leaves_the_migrations_of_others_alone() -> None:
    data = example()
    data["resources"]["attachments"] = {
        "endpoints": ["GET /api/attachments"],
        "relationships": ["belongs_to: task"],
    }
    change = compare(plan(example()), plan(data))
    assert "db.attachments" in change.added
    assert not [t for t in change.changed if t.startswith("db.")]


def test_a_changed_field_changes_its_resource_only() -> None:
    data = example()
    data["resources"]["labels"]["fields"][2] = {"color": "string (required, max 7)"}
    change = compare(plan(example()), plan(data))
    assert change.changed
    assert all(".labels" in task_id or task_id.startswith("req.") for task_id in change.changed)


# ── properties over generated projects ──

NAMES = ("users", "teams", "order_items", "boxes", "stories")
ROUTES = st.lists(
    st.sampled_from(
        [
            "POST /{n} (create)",
            "GET /{n}",
            "GET /{n}/:id",
            "PUT /{n}/:id",
            "PATCH /{n}/:id",
            "GET /{n}/search (find)",
        ]
    ),
    unique=True,
    max_size=5,
)


@st.composite
def projects(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    resources: dict[str, Any] = {}
    for name in names:
        targets = draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
        fields = [f"{target}_ref_id: uuid (foreign key to {target})" for target in targets]
        relations = [
            f"many_to_many: {t}" for t in draw(st.lists(st.sampled_from(names), unique=True, max_size=2))
        ]
        routes = [r.format(n=name) for r in draw(ROUTES)]
        resources[name] = {"endpoints": routes, "fields": fields, "relationships": relations}
    resources[names[0]]["endpoints"].append(f"DELETE /{names[0]}/:id")
    return {
        "project_name": "Generated",
        "architecture": {"framework": "express", "database": "postgres"},
        "resources": resources,
        "security_requirements": draw(
            st.lists(st.text(min_size=1, max_size=80).filter(_visible), max_size=4)
        ),
        "quality_requirements": draw(st.lists(st.text(min_size=1, max_size=80).filter(_visible), max_size=4)),
    }


def _visible(text: str) -> bool:
    return bool(re.search(r"\w", text)) and text.isprintable()


def _reordered(value: Any, rnd: Any) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        rnd.shuffle(keys)
        return {key: _reordered(value[key], rnd) for key in keys}
    return value


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(projects(), st.randoms(use_true_random=False))
def test_any_project_gives_one_acyclic_disjoint_plan(data: dict[str, Any], rnd: Any) -> None:
    built = plan(data)
    assert built == plan(_reordered(copy.deepcopy(data), rnd))
    ids = [t.id for t in built.tasks]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(TASK_ID_PATTERN, i) for i in ids)
    seen: set[str] = set()
    for task in built.tasks:  # dependencies first, so there is no cycle and nothing points outside
        assert set(task.depends_on) <= seen
        seen.add(task.id)
    plain = [path for t in built.tasks for path in t.owned if "*" not in path]
    assert len({p.lower() for p in plain}) == len(plain)
    assert all(sum(matches(path, t.owned) for t in built.tasks) == 1 for path in plain)
    total = sum(len(r["endpoints"]) for r in data["resources"].values())
    assert built.totals[TaskType.IMPLEMENT_ENDPOINT] == built.totals[TaskType.WRITE_TESTS] == total
    assert built.critical_path[0] == "scaffold"
    weights = {t.id: t.weight for t in built.tasks}
    left = graph.remaining({t.id: set(t.depends_on) for t in built.tasks}, weights)
    assert sum(weights[i] for i in built.critical_path) == max(left.values())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(projects())
def test_every_schema_comes_after_the_tables_that_it_refers_to(data: dict[str, Any]) -> None:
    built = plan(data)
    files = sorted(
        (t.owned[0], t) for t in built.tasks if t.type is TaskType.IMPLEMENT_DATABASE
    )  # as a migration runner sorts them
    done: set[str] = set()
    for _, task in files:
        done.add(task.resource or "")
        deferred = {
            d["field"] for d in task.spec.get("deferred_references", []) if d["table"] == task.resource
        }
        wanted = {
            f["references"]["resource"]
            for f in task.spec["resource"]["fields"]
            if f["references"] and f["name"] not in deferred
        }
        wanted |= {c["resource"] for j in task.spec.get("join_tables", []) for c in j["columns"]}
        wanted |= {
            d["resource"] for d in task.spec.get("deferred_references", []) if d["added_by"] == task.resource
        }
        assert wanted <= done


# ── the profile's layout ──


def test_a_layout_that_gives_a_path_to_two_tasks_is_refused() -> None:
    layout = PROFILE.layout | {TaskType.WRITE_DOCS: TaskLayout(owned=("docs/**",))}
    with pytest.raises(Invalid, match="must give each path to one task at most"):
        build_plan(parse_project(example()), PROFILE.model_copy(update={"layout": layout}))


def test_an_unknown_placeholder_is_refused() -> None:
    layout = PROFILE.layout | {TaskType.WRITE_DOCS: TaskLayout(owned=("docs/{slug}.md",))}
    with pytest.raises(Invalid, match=r"must use placeholders that this task type has: \{resource\}"):
        build_plan(parse_project(example()), PROFILE.model_copy(update={"layout": layout}))


def test_a_profile_without_a_layout_for_a_type_has_no_such_tasks() -> None:
    layout = {k: v for k, v in PROFILE.layout.items() if k is not TaskType.WRITE_DOCS}
    built = build_plan(parse_project(example()), PROFILE.model_copy(update={"layout": layout}))
    assert TaskType.WRITE_DOCS not in built.totals


GLOBS = st.lists(st.sampled_from(["a", "b", "/", "*", "?", "**", "**/"]), min_size=1, max_size=5).map("".join)


@settings(max_examples=300, deadline=None)
@given(GLOBS, GLOBS, st.text("ab/", min_size=1, max_size=6))
def test_globs_that_share_a_path_overlap(left: str, right: str, path: str) -> None:
    if matches(path, [left]) and matches(path, [right]):
        assert overlap(left, right)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("src/*.ts", "src/app.ts", True),
        ("src/*.ts", "src/x/app.ts", False),
        ("src/**", "src/x/app.ts", True),
        ("src/**/app.ts", "src/app.ts", True),
        ("src/*/a.ts", "src/*/b.ts", False),
        ("README.md", "readme.md", True),
        ("tests/*/x.test.ts", "tests/users/*.test.ts", True),
    ],
)
def test_overlap_reads_globs_as_ownership_does(left: str, right: str, expected: bool) -> None:
    assert overlap(left, right) is overlap(right, left) is expected


# ── cost ──


def test_an_estimate_is_a_range_that_follows_the_price() -> None:
    built = plan(example())
    one = estimate(built, GPT_4_TURBO)
    assert 0 < one.low_micro_usd < one.high_micro_usd < 150_000_000
    assert one.high_micro_usd == sum(high for _, high in one.by_type.values())
    double = estimate(built, TokenPrice(Decimal(20), Decimal(60)))
    assert abs(double.low_micro_usd - 2 * one.low_micro_usd) <= 2 * len(built.tasks)
    free = TokenPrice(Decimal(0), Decimal(0))
    assert estimate(built, free).high_micro_usd == 0
    cheaper = estimate(built, GPT_4_TURBO, {TaskType.WRITE_TESTS: free})
    assert cheaper.by_type[TaskType.WRITE_TESTS] == (0, 0)

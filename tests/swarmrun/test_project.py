"""The notations that people write, and what they mean."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example as given_example
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmrun.core.errors import Invalid, Problem
from swarmrun.core.project import FieldType, Project, Reference, ResourceField, parse_project
from swarmrun.profiles import load

EXAMPLE = Path(__file__).parents[2] / "examples" / "task-management-api" / "swarmrun.yaml"


def example() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())["spec"]["project"]
    return data


def project(resources: Any, **more: Any) -> Project:
    return parse_project({"project_name": "X", "resources": resources, **more})


def one_field(notation: Any) -> ResourceField:
    fields = [notation] if isinstance(notation, str) and ":" in notation else [{"f": notation}]
    parsed = project({"users": {"endpoints": ["GET /users"], "fields": fields}}).resource("users")
    return next(f for f in parsed.fields if f.name == "f")


def endpoints(*entries: Any, resource: str = "users") -> list[tuple[str, str, str, str]]:
    parsed = project({resource: {"endpoints": list(entries)}}).resource(resource)
    return [(e.method, e.path, e.operation, e.slug) for e in parsed.endpoints]


@pytest.mark.parametrize(
    ("notation", "expected"),
    [
        ("string (unique, required)", {"type": "string", "unique": True, "required": True}),
        ("text (optional)", {"type": "text", "required": False}),
        ("string, required", {"type": "string", "required": True}),
        ("string required", {"type": "string", "required": True}),
        ("string (max 200)", {"type": "string", "max_length": 200}),
        ("varchar(255) (not null)", {"type": "string", "max_length": 255, "required": True}),
        ("string (2-50 characters)", {"type": "string", "max_length": 50}),
        ("integer (default 0)", {"type": "integer", "default": 0}),
        ("boolean (default false)", {"type": "boolean", "default": False}),
        ("decimal(10,2)", {"type": "number"}),
        ("timestamp (default now())", {"type": "timestamp", "default": "now()"}),
        ("datetime", {"type": "timestamp"}),
        ("string[]", {"type": "json"}),
        ("enum (todo, in_progress, done)", {"type": "enum", "enum": ("todo", "in_progress", "done")}),
        ("enum (a, b) (default a)", {"type": "enum", "enum": ("a", "b"), "default": "a"}),
        ("enum [a, b, default b]", {"type": "enum", "enum": ("a", "b"), "default": "b"}),
        ({"enum": ["a", 2]}, {"type": "enum", "enum": ("a", "2")}),
        ({"type": "enum", "values": "a, b"}, {"type": "enum", "enum": ("a", "b")}),
        ({"type": "string", "maxLength": 20, "nullable": False}, {"max_length": 20, "required": True}),
        ({"type": "uuid", "references": "users.id"}, {"references": Reference(resource="users", field="id")}),
        ("UUID (foreign key to users)", {"references": Reference(resource="users", field="id")}),
        ("uuid (fk user)", {"references": Reference(resource="users", field="id")}),
        ("UUID (references users(id), optional)", {"references": Reference(resource="users", field="id")}),
        ("f: string (ISO 3166, required)", {"type": "string", "required": True}),
    ],
)
def test_a_field_notation_is_understood(notation: Any, expected: dict[str, Any]) -> None:
    parsed = one_field(notation)
    assert {key: getattr(parsed, key) for key in expected} == expected


def test_lists_and_maps_of_fields_mean_the_same() -> None:
    forms: list[Any] = [
        [{"id": "UUID (primary key)"}, {"name": "string (required)"}],
        ["id: UUID (primary key)", "name: string (required)"],
        {"name": "string (required)", "id": "UUID (primary key)"},
        [{"id": {"type": "uuid", "primaryKey": True}}, {"name": "name", "type": "string", "required": True}],
        [{"id": "uuid (pk)", "name": "string (required)"}],
    ]
    parsed = [project({"users": {"endpoints": ["GET /users"], "fields": form}}) for form in forms]
    assert {tuple(f.model_copy(update={"raw": ""}) for f in p.resource("users").fields) for p in parsed} == {
        tuple(f.model_copy(update={"raw": ""}) for f in parsed[0].resource("users").fields)
    }


def test_lists_and_maps_of_resources_mean_the_same() -> None:
    body = {"endpoints": ["GET /users"]}
    assert project({"users": body}) == project([{"users": body}]) == project([{"name": "users", **body}])


def test_endpoint_notations_mean_the_same() -> None:
    expected = [("PUT", "/api/users/:id", "update", "update")]
    for entry in (
        "PUT /api/users/:id (update)",
        "put /api/users/{id}/",
        {"method": "PUT", "path": "/api/users/:id", "operation": "update"},
        {"PUT /api/users/:id": "update"},
        {"update": "PUT /api/users/:id"},
        {"PUT": "/api/users/:id"},
    ):
        assert endpoints(entry) == expected


def test_the_operation_follows_from_method_and_path() -> None:
    found = endpoints("POST /users", "GET /users", "GET /users/:id", "PATCH /users/:id", "DELETE /users/:id")
    assert [operation for _, _, operation, _ in found] == ["create", "list", "read", "update", "delete"]


def test_slugs_are_unique_and_do_not_depend_on_the_order_of_routes() -> None:
    routes = (
        "GET /api/users/me (read)",
        "GET /api/users/:id (read)",
        "PUT /api/users/:id",
        "PATCH /api/users/:id",
        "POST /api/users/login (login)",
        "GET /api/projects/:id/users (list)",
        "GET /api/users (list)",
        "POST /api/users/:id/avatar",
    )
    slugs = {path + method: slug for method, path, _, slug in endpoints(*routes)}
    assert slugs == {path + method: slug for method, path, _, slug in endpoints(*reversed(routes))}
    assert sorted(slugs.values()) == [
        "create-avatar",
        "list",
        "list-projects",
        "login",
        "read",
        "read-me",
        "update",
        "update-patch",
    ]


def test_a_resource_without_primary_key_gets_one() -> None:
    bare = project({"users": {"endpoints": ["GET /users"], "fields": [{"email": "string"}]}}).resource(
        "users"
    )
    assert (bare.primary_key.name, bare.primary_key.type) == ("id", FieldType.UUID)
    marked = project({"users": {"endpoints": ["GET /users"], "fields": [{"id": "integer"}]}}).resource(
        "users"
    )
    assert (marked.primary_key.name, marked.primary_key.type, marked.primary_key.required) == (
        "id",
        "integer",
        True,
    )


def test_belongs_to_without_a_field_adds_the_foreign_key() -> None:
    parsed = project(
        {
            "users": {"endpoints": ["GET /users"], "fields": {"id": "integer (pk)"}},
            "projects": {"relationships": [{"belongs_to": "user (owner)"}]},
        }
    )
    owner = next(f for f in parsed.resource("projects").fields if f.name == "owner_id")
    assert (owner.type, owner.required) == (FieldType.INTEGER, True)
    assert owner.references == Reference(resource="users", field="id")


def test_has_many_adds_the_foreign_key_to_the_other_side_once() -> None:
    parsed = project(
        {
            "projects": {"endpoints": ["GET /projects"], "relationships": ["has_many: tasks"]},
            "tasks": {"relationships": ["belongs_to: project"]},
        }
    )
    assert [f.name for f in parsed.resource("tasks").fields] == ["id", "project_id"]


def test_a_many_to_many_has_one_join_table_that_the_later_schema_owns() -> None:
    parsed = parse_project(example())
    (join,) = parsed.join_tables
    assert (join.table, join.owner) == ("task_labels", "tasks")
    assert [(c.resource, c.column) for c in join.columns] == [("labels", "label_id"), ("tasks", "task_id")]


def test_one_side_may_name_the_join_table() -> None:
    parsed = project(
        {
            "posts": {"endpoints": ["GET /posts"], "relationships": [{"many_to_many": "tags"}]},
            "tags": {"relationships": [{"many_to_many": "posts (through taggings)"}]},
        }
    )
    assert [j.table for j in parsed.join_tables] == ["taggings"]
    assert {r.through for x in parsed.resources for r in x.relationships} == {"taggings"}


def test_a_declared_resource_may_be_the_join_table() -> None:
    parsed = project(
        {
            "posts": {
                "endpoints": ["GET /posts"],
                "relationships": ["many_to_many: tags (through taggings)"],
            },
            "tags": {},
            "taggings": {"relationships": ["belongs_to: post", "belongs_to: tag"]},
        }
    )
    assert parsed.join_tables == ()


def test_optional_keys_in_a_ring_are_left_to_the_later_schema() -> None:
    parsed = project(
        {
            "teams": {"endpoints": ["GET /teams"], "fields": ["lead_id: uuid (foreign key to users)"]},
            "users": {"fields": ["team_id: uuid (required, foreign key to teams)"]},
        }
    )
    assert [(r.name, r.sequence) for r in parsed.resources] == [("teams", 1), ("users", 2)]
    (deferred,) = parsed.deferred_references
    assert (deferred.resource, deferred.field, deferred.added_by) == ("teams", "lead_id", "users")


def test_the_example_reads_as_it_is_meant() -> None:
    parsed = parse_project(example(), profiles=[load("express-typescript")])
    assert (parsed.name, parsed.profile, parsed.coverage_percent) == (
        "Task Management API",
        "express-typescript",
        80,
    )
    assert [(r.name, r.sequence) for r in parsed.resources] == [
        ("labels", 1),
        ("users", 1),
        ("projects", 2),
        ("tasks", 3),
        ("comments", 4),
    ]
    assert {r.name: r.singular for r in parsed.resources}["tasks"] == "task"
    assert [e.slug for e in parsed.resource("users").endpoints] == [
        "create",
        "read",
        "update",
        "delete",
        "list",
    ]
    assert parsed.resource("projects").slice()["relationships"] == [
        {"kind": "belongs_to", "resource": "users", "as": "owner", "through": None},
        {"kind": "has_many", "resource": "tasks", "as": None, "through": None},
    ]
    assert parsed.slice()["requirements"]["quality"][0] == "Test coverage: 80%+"
    assert [r.key for r in parsed.requirements if r.category == "security"] == [
        "all-passwords-bcrypt-hashed",
        "jwt-tokens-expire-after-24-hours",
        "rate-limiting",
        "sql-injection-prevention",
        "xss-prevention",
    ]


def test_control_characters_and_bidi_marks_never_leave_the_parser() -> None:
    data = example() | {"project_name": "A\x1b[31mB\u202eC\u200bD", "security_requirements": ["a\nb\x07c"]}
    parsed = parse_project(data)
    assert parsed.name == "A[31mBCD"
    assert [r.text for r in parsed.requirements if r.category == "security"] == ["a bc"]


def _shuffled(value: Any, rnd: Any) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        rnd.shuffle(keys)
        return {key: _shuffled(value[key], rnd) for key in keys}
    return [_shuffled(v, rnd) for v in value] if isinstance(value, list) else value


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_map_keys_has_no_meaning(rnd: Any) -> None:
    assert parse_project(_shuffled(example(), rnd)) == parse_project(example())


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=12)
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.integers() | st.none(), inner, max_size=4)
    ),
    max_leaves=12,
)
PLACES: list[tuple[str, ...]] = [
    ("resources",),
    ("architecture",),
    ("project_name",),
    ("security_requirements",),
    ("resources", "users"),
    ("resources", "users", "fields"),
    ("resources", "users", "endpoints"),
    ("resources", "users", "validations"),
    ("resources", "projects", "relationships"),
]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PLACES), JUNK, st.booleans())
@given_example(("resources", "users", "fields"), {"\x80": None}, False)  # noqa: FBT003 — positions follow `given`
def test_junk_anywhere_is_read_or_refused_in_words(place: tuple[str, ...], junk: Any, wrapped: bool) -> None:
    data = copy.deepcopy(example())
    node = data
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = [junk] if wrapped else junk
    refused: tuple[Problem, ...] = ()
    try:
        parse_project(data)
    except Invalid as error:
        refused = error.problems
    assert all(str(p).isascii() and "\n" not in str(p) for p in refused)

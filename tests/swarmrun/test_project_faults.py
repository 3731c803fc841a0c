"""Every kind of bad specification gets a sentence with path, rule and fix."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from swarmrun.core.errors import Invalid
from swarmrun.core.parse_report import MAX_PROBLEMS
from swarmrun.core.project import parse_project
from swarmrun.profiles import load

PROFILES = [load("express-typescript")]
USERS: dict[str, Any] = {
    "endpoints": ["GET /api/users (list)"],
    "fields": [{"id": "UUID (primary key)"}, {"email": "string (unique)"}],
}
GOOD: dict[str, Any] = {
    "project_name": "X",
    "architecture": {"framework": "Express.js", "database": "PostgreSQL"},
    "resources": {"users": USERS},
}


def spec(*path: str, value: Any) -> dict[str, Any]:
    """The good specification with one value replaced."""
    out = copy.deepcopy(GOOD)
    node = out
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return out


def endpoint(*entries: Any) -> dict[str, Any]:
    return spec("resources", "users", "endpoints", value=list(entries))


def field(*entries: Any) -> dict[str, Any]:
    return spec("resources", "users", "fields", value=list(entries))


def relation(*entries: Any) -> dict[str, Any]:
    return spec("resources", "users", "relationships", value=list(entries))


def resources(value: Any) -> dict[str, Any]:
    return spec("resources", value=value)


CYCLE = {
    name: {"endpoints": [f"GET /{name}"], "fields": [{"other": f"uuid (required, foreign key to {other})"}]}
    for name, other in (("cats", "dogs"), ("dogs", "cats"))
}

CASES: dict[str, tuple[Any, str, str, str]] = {
    # name: (specification, path below spec.project, words of the rule, words of the fix)
    "empty": ({}, "", "must be a project specification", "write project_name"),
    "null": (None, "", "must be a project specification", "write project_name"),
    "a list": ([1], "", "must be a project specification", "write project_name"),
    "a text": ("x", "", "must be a project specification", "write project_name"),
    "no resources": (resources({}), ".resources", "at least one resource", "write 'users:'"),
    "resources null": (resources(None), ".resources", "at least one resource", "write 'users:'"),
    "resources a text": (resources("users"), ".resources", "must be a list or a map", "one entry a line"),
    "65 resources": (
        resources({f"r{i}": USERS for i in range(65)}),
        ".resources",
        "at most 64 resources",
        "split",
    ),
    "no endpoints": (endpoint(), ".resources", "at least one endpoint in all", "GET /api/users/:id"),
    "resource a text": (resources({"users": "x"}), ".resources.users", "must be a map", "indent them"),
    "resource key": (
        spec("resources", "users", "feilds", value=[]),
        ".resources.users.feilds",
        "must be one of",
        "did you mean 'fields'?",
    ),
    "unknown section": (
        spec("resorces", value={}),
        ".resorces",
        "must be one of",
        "did you mean 'resources'?",
    ),
    # names
    "name climbs": (resources({"../x": USERS}), ".resources.../x", "lower-case ASCII", "write x"),
    "name reserved in TypeScript": (
        resources({"class": USERS}),
        ".resources.class",
        "reserved word",
        "class_items",
    ),
    "name reserved in SQL": (resources({"order": USERS}), ".resources.order", "reserved word", "order_items"),
    "name reserved in Python": (
        resources({"lambda": USERS}),
        ".resources.lambda",
        "reserved word",
        "lambda_items",
    ),
    "name Cyrillic": (
        resources({"юзеры": USERS}),
        r".resources.'\u044e\u0437\u0435\u0440\u044b'",
        "lower-case ASCII",
        "write items",
    ),
    "name too long": (resources({"a" * 41: USERS}), f".resources.{'a' * 41}", "at most 40", "shorter"),
    "name in camel case": (
        resources({"orderItems": USERS}),
        ".resources.orderItems",
        "lower-case",
        "write order_items",
    ),
    "name not text": (
        resources({True: USERS}),
        ".resources",
        "must have text as keys",
        "put the key in quotes",
    ),
    "name twice but for case": (
        resources({"users": USERS, "Users": {}}),
        ".resources.users",
        "must not name the same resource as 'Users'",
        "keep one",
    ),
    # endpoints
    "no slash": (
        endpoint("GET api/users"),
        ".resources.users.endpoints[0]",
        "must start with '/'",
        "write '/api/users'",
    ),
    "double slash": (
        endpoint("GET /api//users"),
        ".resources.users.endpoints[0]",
        "'//'",
        "write '/api/users'",
    ),
    "dots": (endpoint("GET /api/../users"), ".resources.users.endpoints[0]", "'..'", "in full"),
    "blank": (endpoint("GET /my users (list)"), ".resources.users.endpoints[0]", "blanks", "in parentheses"),
    "open brace": (
        endpoint("GET /users/{id"),
        ".resources.users.endpoints[0]",
        "':name' or '{name}'",
        "/:id",
    ),
    "query": (endpoint("GET /users?page=1"), ".resources.users.endpoints[0]", "query", "validations"),
    "odd letters": (endpoint("GET /us$ers"), ".resources.users.endpoints[0]", "letters, digits", "/:id"),
    "TRACE": (
        endpoint("TRACE /users"),
        ".resources.users.endpoints[0]",
        "method must be one of GET",
        "write it as",
    ),
    "method mistyped": (
        endpoint("GTE /users"),
        ".resources.users.endpoints[0]",
        "method",
        "did you mean 'GET'?",
    ),
    "operation mistyped": (
        endpoint("GET /users (lst)"),
        ".resources.users.endpoints[0]",
        "operation must be a known word",
        "did you mean 'list'?",
    ),
    "parameter twice": (endpoint("GET /a/:x/b/:x"), ".resources.users.endpoints[0]", "twice", "its own name"),
    "endpoint a list": (
        endpoint(["GET", "/x"]),
        ".resources.users.endpoints[0]",
        "must be an endpoint",
        "write it as",
    ),
    "endpoint without path": (
        endpoint({"method": "GET"}),
        ".resources.users.endpoints[0]",
        "a method and a path",
        "write it as",
    ),
    "route twice": (
        endpoint("GET /users", "GET /users (list)"),
        ".resources.users.endpoints[1]",
        "must not repeat a route",
        "users.endpoints[0]",
    ),
    "route shape twice": (
        endpoint("GET /users/:id", "GET /users/{uid}"),
        ".resources.users.endpoints[1]",
        "by more than parameter names",
        "remove it",
    ),
    "51 endpoints": (
        endpoint(*(f"GET /u{i}" for i in range(51))),
        ".resources.users.endpoints",
        "at most 50 endpoints",
        "split",
    ),
    # fields
    "type unknown": (
        field({"a": "foo"}),
        ".resources.users.fields[0]",
        "field type must be one of uuid",
        "choose",
    ),
    "type mistyped": (
        field({"a": "strng"}),
        ".resources.users.fields[0]",
        "field type",
        "did you mean 'string'?",
    ),
    "type missing": (
        field({"a": None}),
        ".resources.users.fields[0]",
        "must have a type",
        "write 'a: string'",
    ),
    "annotation mistyped": (
        field({"a": "string (uniqe)"}),
        ".resources.users.fields[0]",
        "annotation must be a known word",
        "did you mean 'unique'?",
    ),
    "parenthesis open": (
        field({"a": "string (x"}),
        ".resources.users.fields[0]",
        "matching parentheses",
        "close",
    ),
    "field a number": (field(3), ".resources.users.fields[0]", "must be a field", "a colon and its type"),
    "fields a number": (
        spec("resources", "users", "fields", value=4),
        ".resources.users.fields",
        "must be a list or a map of fields",
        "one entry a line",
    ),
    "field twice": (field({"a": "date"}, {"a": "text"}), ".resources.users.fields[1]", "twice", "remove one"),
    "field in camel case": (
        field({"createdAt": "date"}),
        ".resources.users.fields[0]",
        "field name must be lower-case",
        "write created_at",
    ),
    "field reserved": (
        field({"order": "integer"}),
        ".resources.users.fields[0]",
        "reserved word",
        "order_value",
    ),
    "enum without values": (
        field({"s": "enum"}),
        ".resources.users.fields[0]",
        "list its values",
        "enum (todo",
    ),
    "enum value a boolean": (
        field({"s": {"enum": [True, "x"]}}),
        ".resources.users.fields[0].values[0]",
        "must be text",
        "put it in quotes",
    ),
    "enum value twice": (
        field({"s": "enum (a, a)"}),
        ".resources.users.fields[0]",
        "repeat a value",
        "remove",
    ),
    "enum default unknown": (
        field({"s": "enum (open, done) (default opn)"}),
        ".resources.users.fields[0]",
        "default must be one of open, done",
        "did you mean 'open'?",
    ),
    "integer default": (
        field({"n": "integer (default x)"}),
        ".resources.users.fields[0]",
        "a whole number",
        "mend",
    ),
    "two primary keys": (
        field({"id": "uuid (primary key)"}, {"k": "uuid (primary key)"}),
        ".resources.users.fields[1]",
        "must have one primary key",
        "mark 'k' unique",
    ),
    "required and optional": (
        field({"a": "string (required, optional)"}),
        ".resources.users.fields[0]",
        "both required and optional",
        "keep one",
    ),
    "flag not boolean": (
        field({"a": {"type": "string", "required": "yes"}}),
        ".resources.users.fields[0].required",
        "must be true or false",
        "write 'required: true'",
    ),
    # foreign keys and relationships
    "key to nothing": (
        field({"a": "UUID (foreign key to accounts)"}),
        ".resources.users.fields[0]",
        "foreign key must name a declared resource",
        "declare that resource",
    ),
    "key mistyped": (
        field({"a": "UUID (foreign key to usres)"}),
        ".resources.users.fields[0]",
        "declared resource",
        "did you mean 'users'?",
    ),
    "key without target": (
        field({"a": "UUID (foreign key)"}),
        ".resources.users.fields[0]",
        "must name its resource",
        "write 'foreign key to users'",
    ),
    "key of another type": (
        field({"a": "integer (foreign key to users)"}),
        ".resources.users.fields[0]",
        "must have the type of users.id",
        "write 'a: uuid'",
    ),
    "key to a field that repeats": (
        field({"n": "string"}, {"a": "string (references users.n)"}),
        ".resources.users.fields[1]",
        "must refer to a unique field",
        "refer to users.id",
    ),
    "key to itself required": (
        field({"p": "uuid (required, foreign key to users)"}),
        ".resources.users.fields[0]",
        "must not form a cycle",
        "mark one of them optional, such as users.p",
    ),
    "required keys in a ring": (
        resources(CYCLE),
        ".resources.cats.fields[0]",
        "must not form a cycle",
        "cats.other",
    ),
    "relationship to nothing": (
        relation({"belongs_to": "company"}),
        ".resources.users.relationships[0]",
        "belongs_to must name a declared resource",
        "declare that resource",
    ),
    "relationship mistyped": (
        relation({"belong_to": "user"}),
        ".resources.users.relationships[0]",
        "must be one of belongs_to, has_many, many_to_many",
        "did you mean 'belongs_to'?",
    ),
    "relationship a number": (
        relation(4),
        ".resources.users.relationships[0]",
        "must be a relationship",
        "write",
    ),
    # the rest
    "framework": (
        spec("architecture", "framework", value="Rails"),
        ".architecture.framework",
        "framework must be supported: express",
        "choose one of them",
    ),
    "no database": (
        spec("architecture", value={"framework": "Express"}),
        ".architecture.database",
        "database must be supported: postgres",
        "choose one of them",
    ),
    "architecture a list": (
        spec("architecture", value=["x"]),
        ".architecture",
        "must be a map",
        "framework: Express",
    ),
    "architecture mistyped": (
        spec("architecture", "databse", value="PostgreSQL"),
        ".architecture.databse",
        "must be one of style",
        "did you mean 'database'?",
    ),
    "no name": (spec("project_name", value=""), ".project_name", "1 to 100 characters", "write it"),
    "name of controls alone": (
        spec("project_name", value="\x1b\u200b"),
        ".project_name",
        "1 to 100",
        "write it",
    ),
    "name a list": (spec("project_name", value=["x"]), ".project_name", "must be text", "in quotes"),
    "name long": (
        spec("project_name", value="x" * 101),
        ".project_name",
        "at most 100 characters, has 101",
        "shorten",
    ),
    "51 requirements": (
        spec("security_requirements", value=["x"] * 51),
        ".security_requirements",
        "at most 50 requirements",
        "leave some out",
    ),
    "requirement long": (
        spec("quality_requirements", value=["x" * 501]),
        ".quality_requirements[0]",
        "at most 500 characters",
        "shorten",
    ),
    "requirement nested": (
        spec("quality_requirements", value=[{"a": {"b": 1}}]),
        ".quality_requirements[0]",
        "must be text",
        "in quotes",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_named_with_path_rule_and_fix(name: str) -> None:
    data, path, rule, fix = CASES[name]
    with pytest.raises(Invalid) as caught:
        parse_project(data, profiles=PROFILES)
    found = [p for p in caught.value.problems if p.path == f"spec.project{path}" and rule in p.rule]
    assert found, f"no problem at {path!r} with {rule!r} in:\n{caught.value}"
    assert fix in found[0].fix
    assert "\n" not in str(found[0])
    assert str(found[0]).isascii()


def test_a_fault_is_reported_alone_not_with_its_echoes() -> None:
    noisy = {
        "name reserved in SQL",
        "framework",
        "no slash",
        "key to nothing",
        "required keys in a ring",
        "TRACE",
    }
    for name in noisy:
        with pytest.raises(Invalid) as caught:
            parse_project(CASES[name][0], profiles=PROFILES)
        assert len(caught.value.problems) == 1, f"{name}: {caught.value}"


def test_all_faults_are_reported_at_once() -> None:
    data = {
        "project_name": "",
        "architecture": {"framework": "Rails", "database": "PostgreSQL"},
        "resources": {
            "users": {"endpoints": ["TRACE /x"], "fields": ["id: foo", "a: UUID (foreign key to b)"]}
        },
    }
    with pytest.raises(Invalid) as caught:
        parse_project(data, profiles=PROFILES)
    assert [p.path.removeprefix("spec.project.") for p in caught.value.problems] == [
        "project_name",
        "architecture.framework",
        "resources.users.endpoints[0]",
        "resources.users.fields[0]",
        "resources.users.fields[1]",
    ]


def test_a_flood_of_faults_is_counted_not_listed() -> None:
    with pytest.raises(Invalid) as caught:
        parse_project(field(*({f"f{i}": "foo"} for i in range(90))), profiles=PROFILES)
    assert len(caught.value.problems) == MAX_PROBLEMS + 1
    assert "40 more problems" in str(caught.value.problems[-1])


def test_a_deep_nest_is_refused_not_overflown() -> None:
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    for data in (deep, resources(deep), field({"a": deep}), spec("quality_requirements", value=[deep])):
        with pytest.raises(Invalid):
            parse_project(data, profiles=PROFILES)


def test_paths_start_where_the_specification_stands() -> None:
    with pytest.raises(Invalid, match=r"^resources: must have at least one resource"):
        parse_project({"project_name": "X"}, root="")

"""Answers of `write_tests`: one integration test file for one endpoint."""

# ruff: noqa: S608 — renders SQL of the built project; names come from a checked specification

from __future__ import annotations

import re

from simulated_model.endpoint import Endpoint, identifier
from simulated_model.model import Column, Link, Model, Role
from simulated_model.schema import filters
from simulated_model.text import camel, fill, quoted, template
from simulated_model.values import bad_values, sample

_UNKNOWN_IDS = {"integer": "2_000_000_000", "uuid": '"00000000-0000-4000-8000-000000000000"'}
_TEMPLATES = {"me": "read", "other": "action"}


def _unknown_id(model: Model) -> str:
    return _UNKNOWN_IDS.get(model.key.type, '"no-such-key"')


class _Writer:
    """Collects the imports and lines of one test file."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.model = endpoint.model
        self.imports: dict[str, str] = {}
        self.lines: list[str] = []

    def factory(self, name: str) -> str:
        """Import another resource's factory, or this one's, and give its name."""
        if name == self.model.name:
            self.imports["insertRow"] = f'import {{ insertRow }} from "../../factories/{name}.ts";'
            return "insertRow"
        model = self.endpoint.related.get(name)
        alias = model.inserter if model else f"insert{camel(name)}"
        self.imports[alias] = f'import {{ insertRow as {alias} }} from "../../factories/{name}.ts";'
        return alias

    def target(self, column: Column) -> Model | None:
        """The resource that a foreign key refers to."""
        return self.endpoint.related.get(column.target or "")

    def account(self) -> Model | None:
        """The account resource behind an ownership column."""
        owner = self.model.owner
        return self.target(owner) if owner else None

    def caller(self) -> list[str]:
        """Lines that make `userId` and `token` of a caller."""
        owner = self.model.owner
        if not self.endpoint.tokens:
            return ["const token = undefined;"]
        if owner and owner.target:
            insert = self.factory(owner.target)
            return [
                f"const userId = (await {insert}(app.db)).{owner.target_field};",
                "const token = tokenFor(userId);",
            ]
        return ['const token = tokenFor("00000000-0000-4000-8000-00000000cafe");']

    def references(self, columns: list[Column], links: tuple[Link, ...]) -> list[str]:
        """Lines that insert a row for each reference that a body needs."""
        lines = [
            f"const {camel(c.name)} = (await {self.factory(str(c.target))}(app.db)).{c.target_field};"
            for c in columns
        ]
        for link in links:
            key = self.endpoint.related[link.target].key.name
            insert = self.factory(link.target)
            lines.append(f"const {camel(link.api_name)} = [(await {insert}(app.db)).{key}];")
        return lines


def _is_reference(column: Column) -> bool:
    return column.target is not None


def _properties(columns: list[Column], links: tuple[Link, ...], variant: int) -> str:
    parts = [
        f"{c.api_name}: {camel(c.name) if _is_reference(c) else sample(c, variant)}" for c in columns
    ] + [f"{link.api_name}: {camel(link.api_name)}" for link in links]
    return f"{{ {', '.join(parts)} }}" if parts else "{}"


def _body_columns(endpoint: Endpoint) -> list[Column]:
    fixed = {p.column.name for p in endpoint.parents}
    key_allowed = endpoint.operation == "create"
    return [
        c for c in endpoint.model.writable if c.name not in fixed and (key_allowed or c.role is not Role.KEY)
    ]


def _call_path(endpoint: Endpoint, *, query: bool = False) -> str:
    """The request's path as a template literal: `${id}` and the parents' ids from outside."""
    path = endpoint.path
    for parent in endpoint.parents:
        path = path.replace(f":{parent.param}", f"${{{parent.variable}}}")
    if endpoint.operation in {"read", "update", "delete", "action", "other"}:
        path = re.sub(rf":{re.escape(endpoint.id_param)}(?=/|$)", "${String(id)}", path)
    text = path + ("${query}" if query else "")
    return f"`{text}`" if "${" in text else quoted(text)


def _parent_lines(writer: _Writer) -> list[str]:
    lines = []
    for parent in writer.endpoint.parents:
        insert = writer.factory(parent.model.name)
        lines.append(f"{parent.variable} = (await {insert}(app.db)).{parent.column.target_field};")
    return lines


def _parent_state(endpoint: Endpoint) -> list[str]:
    return [f'let {p.variable}: unknown = "";' for p in endpoint.parents]


def _options(token: str, body: str = "") -> str:
    parts = [part for part in (body, token) if part]
    return f", {{ {', '.join(parts)} }}" if parts else ""


def _create_setup(writer: _Writer) -> list[str]:
    endpoint, model = writer.endpoint, writer.model
    columns = _body_columns(endpoint)
    references = [c for c in columns if _is_reference(c)]
    required = [c for c in columns if c.required or c.role in {Role.PASSWORD, Role.KEY}]
    names = "body, required, token" + (", userId" if model.owner and endpoint.tokens else "")
    lines = writer.references(references, model.links)
    return [
        *_parent_state(endpoint),
        "let before = 0;",
        "",
        *_stored(model),
        "/** A caller, and a valid body in full and with the required fields only. */",
        "async function prepare() {",
        *(f"  {line}" for line in [*writer.caller(), *_parent_lines(writer), *lines]),
        f"  const body = {_properties(columns, model.links, 0)};",
        f"  const required = {_properties(required, (), 0)};",
        *(f"  {line}" for line in _make_room(model, columns, 0)),
        "  before = await stored();",
        f"  return {{ {names} }};",
        "}",
        "",
        "async function call(body: unknown, token?: string) {",
        f'  return app.call("{endpoint.method.upper()}", {_call_path(endpoint)}{_options("token", "body")});',
        "}",
    ]


def _stored(model: Model) -> list[str]:
    """A function of the test file that counts the rows of the table."""
    return [
        "async function stored(): Promise<number> {",
        "  const { rows } = await app.db.query<{ n: number }>(",
        f'    `SELECT count(*) AS n FROM "{model.table}"`,',
        "  );",
        "  return rows[0]?.n ?? 0;",
        "}",
        "",
    ]


def _make_room(model: Model, columns: list[Column], variant: int) -> list[str]:
    """Remove rows of earlier tests that hold the unique values of the body to come."""
    unique = [c for c in columns if (c.unique or c.role is Role.KEY) and not _is_reference(c)]
    literals = [(c.name, sample(c, variant)) for c in unique]
    terms = [f'"{n}" = ' + (f"'{v[1:-1]}'" if v.startswith('"') else v) for n, v in literals]
    condition = " OR ".join(terms)
    return [f'await app.db.query(`DELETE FROM "{model.table}" WHERE {condition}`);'] if terms else []


def _row_lines(writer: _Writer) -> list[str]:
    """Lines that insert the row of the request and make its rightful caller."""
    endpoint, model = writer.endpoint, writer.model
    writer.factory(model.name)
    if not endpoint.tokens:
        values = "".join(f", {{ {p.column.name}: {p.variable} }}" for p in endpoint.parents[:1])
        return ["const token = undefined;", f"const row = await insertRow(app.db{values});"]
    if model.password:
        return ["const row = await insertRow(app.db);", f"const token = tokenFor(row.{model.key.name});"]
    given = [f"{p.column.name}: {p.variable}" for p in endpoint.parents]
    lines = writer.caller()
    if model.owner and all(p.column != model.owner for p in endpoint.parents):
        given.append(f"{model.owner.name}: userId")
    extra = f", {{ {', '.join(given)} }}" if given else ""
    return [*lines, f"const row = await insertRow(app.db{extra});"]


def _item_setup(writer: _Writer) -> list[str]:
    endpoint, model = writer.endpoint, writer.model
    lines = [*_parent_lines(writer), *_row_lines(writer)]
    names = "row, token"
    parameters, options = "id: unknown, token?: string", _options("token")
    if endpoint.operation == "update":
        columns = _body_columns(endpoint)
        lines += writer.references([c for c in columns if _is_reference(c)], model.links)
        lines += _make_room(model, columns, 1)
        lines.append(f"const body = {_properties(columns, model.links, 1)};")
        names, parameters = "row, token, body", "id: unknown, body: unknown, token?: string"
        options = _options("token", "body")
    setup = [*_parent_state(endpoint), ""]
    if endpoint.operation == "delete":
        setup += _stored(model)
    parameters = (
        parameters.replace("id: unknown", "_id: unknown") if endpoint.operation == "me" else parameters
    )
    return [
        *setup,
        "/** A row, and the caller who may change it. */",
        "async function prepare() {",
        *(f"  {line}" for line in lines if line),
        f"  return {{ {names} }};",
        "}",
        "",
        f"async function call({parameters}) {{",
        f'  return app.call("{endpoint.method.upper()}", {_call_path(endpoint)}{options});',
        "}",
    ]


def _list_setup(writer: _Writer) -> list[str]:
    endpoint = writer.endpoint
    return [
        *_parent_state(endpoint),
        "",
        "/** A row in the list, and a caller. */",
        "async function prepare() {",
        *(f"  {line}" for line in [*_parent_lines(writer), *_row_lines(writer)]),
        "  return { row, token };",
        "}",
        "",
        "async function call(query: string, token?: string) {",
        f'  return app.call("GET", {_call_path(endpoint, query=True)}{_options("token")});',
        "}",
    ]


def _login_setup(writer: _Writer) -> list[str]:
    endpoint = writer.endpoint
    account = next((m for m in endpoint.related.values() if m.password), endpoint.model)
    writer.imports["insertRow"] = (
        f'import {{ insertRow, password }} from "../../factories/{account.name}.ts";'
    )
    return [
        "",
        "async function call(body: unknown) {",
        f'  return app.call("{endpoint.method.upper()}", {quoted(endpoint.path)}, {{ body }});',
        "}",
    ]


def _bad_lines(columns: list[Column]) -> str:
    lines = []
    for column in columns:
        cases = bad_values(column)
        lines += [
            f"{{ field: {quoted(column.api_name)}, why: {quoted(b.why)}, value: {b.literal} }},"
            for b in cases
        ]
    return "\n".join(lines)


def _markup_column(columns: list[Column]) -> Column | None:
    """A free text with room for the sample, to which markup can be added."""
    free = [c for c in columns if c.type in {"string", "text"} and not c.rule.format and not c.choices]
    return next((c for c in free if c.role is Role.CLIENT and not c.target), None)


def _values(endpoint: Endpoint) -> dict[str, str]:
    model, columns = endpoint.model, _body_columns(endpoint)
    required = [c.api_name for c in columns if c.required or c.role in {Role.PASSWORD, Role.KEY}]
    references = [c for c in columns if _is_reference(c)]
    markup = _markup_column(columns)
    unique = [c for c in columns if c.unique and not _is_reference(c) and not c.choices]
    filtered = [
        c.name
        for c in filters(model)
        if c.not_null and c.name not in {p.column.name for p in endpoint.parents}
    ]
    updated = next((c.name for c in model.columns if c.role is Role.UPDATED), "")
    plain = [c for c in columns if c.role is not Role.PASSWORD]
    account = next((m for m in endpoint.related.values() if m.password), model)
    return {
        "label": model.label.lower(),
        "key": model.key.name,
        "table": model.table,
        "owner": model.owner.name if model.owner else "",
        "password": model.password.name if model.password else "",
        "identifier": identifier(account).name,
        "expected": "(({ password: _password, ...rest }) => rest)(body)" if model.password else "body",
        "required_names": ", ".join(quoted(n) for n in required),
        "bad": _bad_lines(columns),
        "markup": markup.api_name if markup else "",
        "reference_names": ", ".join(quoted(c.name) for c in references),
        "missing_reference": _missing_reference(references),
        "unknown_id": _unknown_id(model),
        "partial": plain[0].api_name if plain else "",
        "updated": updated,
        "unique": unique[0].name if unique else "",
        "filter_names": ", ".join(quoted(n) for n in filtered),
        "lose_parent": "".join(f"{p.variable} = {_unknown_id(p.model)};" for p in endpoint.parents[:1]),
        "same_parent": "".join(f", {{ {p.column.name}: {p.variable} }}" for p in endpoint.parents[:1]),
    }


def _flags(endpoint: Endpoint, values: dict[str, str]) -> set[str]:
    """Which cases the file has: those whose value is there, and those that the endpoint's nature asks for."""
    model, by_id = endpoint.model, endpoint.operation != "me"
    required = values["required_names"].split(", ") if values["required_names"] else []
    facts = {
        "optional": len(required) < len(_body_columns(endpoint)),
        "owner": model.owner is not None and endpoint.tokens,
        "login": model.password is not None and endpoint.tokens and not _own_login(endpoint),
        "auth": endpoint.auth,
        "byid": by_id,
        "malformed": by_id and model.key.type in {"uuid", "integer"},
        "guarded": endpoint.guard is not None,
        "required": bool(required),
        "references": bool(values["reference_names"]),
        "filtered": bool(values["filter_names"]),
        "parents": bool(endpoint.parents),
    }
    same_name = ("password", "bad", "markup", "unique", "partial", "updated")
    return {name for name, holds in facts.items() if holds} | {name for name in same_name if values[name]}


def _missing_reference(references: list[Column]) -> str:
    return _UNKNOWN_IDS.get(references[0].type, '"no-such-key"') if references else '""'


def _own_login(endpoint: Endpoint) -> bool:
    """Whether the specification has its own login route, so that the scaffold brings none."""
    paths = [str(e.get("path", "")) for m in endpoint.related.values() for e in m.raw.get("endpoints") or ()]
    return any(re.search(r"/(?:log-?in|sign-?in|sessions?|tokens?)$", p.lower()) for p in paths)


def test_module(endpoint: Endpoint) -> str:
    """Render `tests/api/<resource>/<slug>.test.ts`."""
    writer = _Writer(endpoint)
    setups = {"create": _create_setup, "list": _list_setup, "login": _login_setup}
    setup = setups.get(endpoint.operation, _item_setup)(writer)
    name = _TEMPLATES.get(endpoint.operation, endpoint.operation)
    values = _values(endpoint)
    cases = fill(template(f"tests/{name}.ts"), values, _flags(endpoint, values)).rstrip()
    body = "\n".join(setup) + cases
    helpers = ["useApp"] if "tokenFor(" not in body else ["tokenFor", "useApp"]
    return fill(
        template("tests/file.ts"),
        {
            "node_test": "describe, test",
            "imports": "\n".join(sorted(writer.imports.values(), key=lambda line: line.split(" from ")[1])),
            "helpers": ", ".join(helpers),
            "title": quoted(endpoint.title),
            "setup": "\n".join(setup).strip("\n"),
            "cases": cases,
        },
        {"bcrypt"} if "bcrypt." in body else set(),
    )

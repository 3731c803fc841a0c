"""Answers of `implement_endpoint`: one route module."""

# ruff: noqa: S608 — renders SQL of the built project; names come from a checked specification

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulated_model.model import Column, Model, Role, build, is_account, uses_tokens
from simulated_model.parse import Prompt
from simulated_model.text import camel, fill, quoted, template

_LOGIN = re.compile(r"/(?:log-?in|sign-?in|sessions?|tokens?)$")


@dataclass(frozen=True)
class Parent:
    """A path parameter that names the row another resource's row belongs to."""

    param: str
    #: This resource's foreign key.
    column: Column
    model: Model

    @property
    def variable(self) -> str:
        """Name of the constant that holds its id."""
        return camel(f"{self.model.singular}_id")


@dataclass(frozen=True)
class Endpoint:
    """One endpoint with everything its code depends on."""

    method: str
    path: str
    operation: str
    params: tuple[str, ...]
    model: Model
    parents: tuple[Parent, ...]
    related: Mapping[str, Model]
    auth: bool
    tokens: bool

    @property
    def title(self) -> str:
        """`POST /api/users`."""
        return f"{self.method.upper()} {self.path}"

    @property
    def id_param(self) -> str:
        """The parameter that names the row itself."""
        taken = {p.param for p in self.parents}
        return next((p for p in reversed(self.params) if p not in taken), "id")

    @property
    def guard(self) -> Column | None:
        """Column that must hold the caller's id before a row changes; None when anyone may."""
        if not self.tokens:
            return None
        return self.model.key if self.model.password else self.model.owner


def is_login(path: str) -> bool:
    """Tell a login route by its path."""
    return bool(_LOGIN.search(path.lower()))


def _guess(method: str, params: tuple[str, ...], path: str) -> str:
    last_is_param = path.rstrip("/").split("/")[-1].startswith(":")
    table = {"post": "create", "put": "update", "patch": "update", "delete": "delete"}
    if method == "get":
        return "read" if last_is_param else "list"
    guess = table.get(method, "other")
    return guess if (guess == "create") != last_is_param and (params or guess == "create") else "other"


def _operation(raw: Mapping[str, Any]) -> str:
    """The operation whose code fits the path, whatever the specification calls it."""
    method, path = str(raw["method"]).lower(), str(raw["path"])
    segments = [s for s in path.split("/") if s]
    if method == "post" and is_login(path):
        return "login"
    if method == "get" and segments and segments[-1] in {"me", "self"}:
        return "me"
    named = str(raw.get("operation") or "other")
    if named in {"create", "read", "update", "delete", "list"}:
        return named
    after_param = len(segments) > 1 and segments[-2].startswith(":")
    if after_param and not segments[-1].startswith(":"):
        return "children" if method == "get" else "action"
    return "list" if method == "get" else _guess(method, tuple(raw.get("params") or ()), path)


def _parents(
    path: str, params: tuple[str, ...], model: Model, related: Mapping[str, Model], *, listing: bool
) -> tuple[Parent, ...]:
    """Match `/projects/:projectId/tasks` with the foreign key to projects."""
    segments = path.split("/")
    found = []
    for index, segment in enumerate(segments):
        name = segment.removeprefix(":")
        if not segment.startswith(":") or name not in params or index == 0:
            continue
        other = next((m for m in related.values() if segments[index - 1] in {m.name, m.table}), None)
        if other is None or (other.name == model.name and index == len(segments) - 1):
            continue
        # The owner comes from the token, so only a list takes it from the path.
        keys = [c for c in model.columns if c.target == other.name and (listing or c.role is not Role.OWNER)]
        if keys and other.name != model.name:
            found.append(Parent(name, min(keys, key=lambda c: c.role is not Role.OWNER), other))
    return tuple(found)


def read_endpoint(prompt: Prompt) -> Endpoint:
    """Gather what the prompt says of its endpoint.

    Raises:
        KeyError: the prompt has no resource or no endpoint.
    """
    raw, resource = prompt.detail["endpoint"], prompt.resource
    if resource is None:
        raise KeyError("resource")
    model = build(resource, prompt.related, prompt.project)
    everyone = [*prompt.related, resource]
    related = {r["name"]: build(r, everyone, prompt.project) for r in everyone}
    params = tuple(raw.get("params") or re.findall(r":(\w+)", raw["path"]))
    operation = _operation(raw)
    if operation == "children":
        child = next(
            (m for m in related.values() if raw["path"].rstrip("/").split("/")[-1] in {m.name, m.table}), None
        )
        linked = child is not None and any(c.target == model.name for c in child.columns)
        model, operation = (child, "list") if child is not None and linked else (model, "action")
    tokens = uses_tokens(prompt.project)
    registration = operation == "create" and is_account(resource)
    return Endpoint(
        method=str(raw["method"]).lower(),
        path=raw["path"],
        operation=operation,
        params=params,
        model=model,
        parents=()
        if operation == "action"
        else _parents(raw["path"], params, model, related, listing=operation == "list"),
        related=related,
        auth=tokens and not registration and operation != "login",
        tokens=tokens,
    )


def _parent_blocks(endpoint: Endpoint) -> dict[str, str]:
    imports, ids, checks, values, conditions, params = [], [], [], [], [], []
    for index, parent in enumerate(endpoint.parents):
        schema = f"{camel(parent.model.singular)}IdParam"
        imports.append(f'import {{ idParam as {schema} }} from "../../models/{parent.model.name}.ts";')
        line = f"const {parent.variable} = parse({schema}, context.params.{parent.param});"
        ids.append(line)
        checks += [
            line,
            f"const {camel(parent.model.singular)}Found = await context.db.query(",
            f'  `SELECT 1 FROM "{parent.model.table}" WHERE "{parent.model.key.name}" = $1`,',
            f"  [{parent.variable}],",
            ");",
            f"if ({camel(parent.model.singular)}Found.rowCount === 0) {{",
            f"  throw notFound({quoted(parent.model.label)});",
            "}",
        ]
        values.append(f"{parent.column.name}: {parent.variable}")
        conditions.append(f' AND "{parent.column.name}" = ${index + 2}')
        params.append(f", {parent.variable}")
    return {
        "parent_imports": "\n".join(imports),
        "parent_ids": "\n".join(ids),
        "parents": "\n".join(checks),
        "parent_values": ", ".join(values),
        "parent_conditions": "".join(conditions),
        "parent_params": "".join(params),
    }


def _extra(endpoint: Endpoint) -> str:
    """Columns that the service itself sets, as further properties of an object literal."""
    model, extra = endpoint.model, ""
    if endpoint.operation == "create":
        if model.password:
            extra += f", {model.password.name}: hash"
        if model.owner:
            extra += f", {model.owner.name}: currentUser(context)"
        return extra
    if model.password:
        extra += ", ...hash"
    updated = next((c for c in model.columns if c.role is Role.UPDATED), None)
    return extra + (f", {updated.name}: new Date()" if updated else "")


def _replace_links(endpoint: Endpoint) -> str:
    lines = []
    for link in endpoint.model.links:
        call = f"await replaceLinks(db, {link.variable}, id, {camel(link.api_name)});"
        if endpoint.operation == "create":
            lines.append(call)
        else:
            lines += [f"if ({camel(link.api_name)} !== undefined) {{", f"  {call}", "}"]
    return "\n".join(lines)


def action_assignment(endpoint: Endpoint) -> str:
    """What an action such as `…/:id/complete` changes: an enum, a flag or a time that its name fits."""
    verb = endpoint.path.rstrip("/").split("/")[-1].lower().replace("-", "_")
    stem = verb.rstrip("e")
    sets = []
    for column in endpoint.model.columns:
        choice = next((c for c in column.choices if c.lower().startswith(stem)), None)
        if choice is not None:
            sets.append(f"\"{column.name}\" = '{choice}'")
        elif column.role is Role.CLIENT and column.name.lower().removeprefix("is_").startswith(stem):
            by_type = {"boolean": "true", "timestamp": "now()", "date": "current_date"}
            if column.type in by_type:
                sets.append(f'"{column.name}" = {by_type[column.type]}')
        elif column.role is Role.UPDATED:
            sets.append(f'"{column.name}" = now()')
    return ", ".join(sets)


def _flags(endpoint: Endpoint) -> set[str]:
    model = endpoint.model
    tests = {
        "password": model.password is not None,
        "links": bool(model.links),
        "parents": bool(endpoint.parents),
        "owner": model.owner is not None and endpoint.tokens,
        "guarded": endpoint.guard is not None,
        "me": endpoint.operation == "me",
        "changes": bool(action_assignment(endpoint)),
    }
    return {name for name, holds in tests.items() if holds}


def _common(endpoint: Endpoint) -> dict[str, str]:
    model = endpoint.model
    guard = endpoint.guard or model.key
    links = [f"{link.api_name}: {camel(link.api_name)}, " for link in model.links]
    created = next((f'"{c.name}", ' for c in model.columns if c.role is Role.CREATED), "")
    mine = (
        "currentUser(context)"
        if endpoint.operation == "me"
        else f"parse(idParam, context.params.{endpoint.id_param})"
    )
    return {
        "resource": model.name,
        "table": model.table,
        "key": model.key.name,
        "label": model.label,
        "label_lower": model.label.lower(),
        "method": endpoint.method,
        "path": endpoint.path,
        "title": endpoint.title,
        "auth": str(endpoint.auth).lower(),
        "id": f"const id = {mine};",
        "id_param": endpoint.id_param,
        "owner": guard.name,
        "owner_phrase": "the account itself" if model.password else "its owner",
        "password": model.password.name if model.password else "",
        "taken": ("password, " if model.password else "") + "".join(links),
        "link_imports": "".join(f", {link.variable}" for link in model.links),
        "replace_links": _replace_links(endpoint),
        "extra": _extra(endpoint),
        "order": f'{created}"{model.key.name}"',
        "assignment": action_assignment(endpoint),
    } | _parent_blocks(endpoint)


def identifier(model: Model) -> Column:
    """The column that people log in with: the unique e-mail or name."""
    texts = [c for c in model.visible if c.type in {"string", "text"} and c.role is Role.CLIENT]
    return next((c for c in texts if c.unique), texts[0] if texts else model.key)


def login_module(model: Model, *, method: str, path: str, up: str) -> str:
    """Render a login route for an account resource; `up` leads from its file to `src/`."""
    column = identifier(model)
    schema = "z.email().toLowerCase()" if column.rule.format == "email" else "z.string().min(1).max(255)"
    values = {
        "up": up,
        "title": f"{method.upper()} {path}: exchange {column.name} and password for a token.",
        "method": method,
        "path": path,
        "table": model.table,
        "key": model.key.name,
        "identifier": column.name,
        "schema": schema,
        "password": model.password.name if model.password else "",
    }
    return fill(template("endpoint/login.ts"), values)


def account_of(endpoint: Endpoint) -> Model | None:
    """The account resource that this endpoint can see."""
    return next((m for m in endpoint.related.values() if m.password), None)


def endpoint_module(endpoint: Endpoint) -> str:
    """Render `src/resources/<resource>/<slug>.ts`."""
    if endpoint.operation == "login":
        account = account_of(endpoint) or endpoint.model
        return login_module(account, method=endpoint.method, path=endpoint.path, up="../../")
    names = {"me": "read", "other": "action"}
    name = names.get(endpoint.operation, endpoint.operation)
    return fill(template(f"endpoint/{name}.ts"), _common(endpoint), _flags(endpoint))

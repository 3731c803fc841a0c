"""Answers of `implement_database`: the migration, the model module and the test factory."""

# ruff: noqa: S608 — renders SQL of the built project; names come from a checked specification

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulated_model.model import Column, Model, Role, build
from simulated_model.parse import Prompt
from simulated_model.text import fill, pascal, quoted, template
from simulated_model.values import PASSWORD, max_length, min_length, unique_sample

_SQL_TYPES = {
    "uuid": "uuid",
    "string": "text",
    "text": "text",
    "enum": "text",
    "integer": "integer",
    "number": "double precision",
    "boolean": "boolean",
    "timestamp": "timestamptz",
    "date": "date",
    "json": "jsonb",
}
_TS_TYPES = {
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "timestamp": "Date",
    "json": "Record<string, unknown>",
}
_FORMATS = {
    "email": "z.email().max({max}).toLowerCase()",
    "url": "z.url({{ protocol: /^https?$/ }}).max({max})",
    "color": "z.string().regex(/^#[0-9a-fA-F]{{6}}$/)",
    "phone": "z.string().regex(/^\\+?[0-9 ()-]{{7,20}}$/)",
    "isbn": "z.string().regex(/^(?:[0-9]{{13}}|[0-9]{{9}}[0-9X])$/)",
    "slug": "z.string().max({max}).regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/)",
}


def _sql_literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return "'" + text.replace("'", "''") + "'"


def typed_default(column: Column) -> Any:
    """The default as a value of the column's type; specifications often give it as text."""
    value = column.default
    if not isinstance(value, str):
        return value
    if column.type == "boolean":
        return value.strip().lower() in {"true", "yes", "1"}
    if column.type in {"integer", "number"}:
        return float(value) if "." in value else int(value)
    return value.strip("'\"")


def _is_now(column: Column) -> bool:
    text = str(column.default).lower()
    return column.type in {"timestamp", "date"} and ("now" in text or "current" in text)


def _default(column: Column) -> str:
    if column.role is Role.KEY:
        if column.type == "uuid":
            return " PRIMARY KEY DEFAULT gen_random_uuid()"
        return " PRIMARY KEY" + (" GENERATED ALWAYS AS IDENTITY" if column.type == "integer" else "")
    if column.role in {Role.CREATED, Role.UPDATED} or _is_now(column):
        return " NOT NULL DEFAULT now()"
    text = " NOT NULL" if column.not_null else ""
    return text if column.default is None else f"{text} DEFAULT {_sql_literal(typed_default(column))}"


def _checks(column: Column) -> list[str]:
    name = f'"{column.name}"'
    checks = []
    if column.choices:
        checks.append(f"{name} IN ({', '.join(_sql_literal(c) for c in column.choices)})")
    elif column.type in {"string", "text"} and column.role is Role.CLIENT:
        checks.append(f"char_length({name}) <= {max_length(column)}")
    if column.type in {"integer", "number"} and column.rule.minimum is not None:
        checks.append(f"{name} >= {column.rule.minimum:g}")
    if column.type in {"integer", "number"} and column.rule.maximum is not None:
        checks.append(f"{name} <= {column.rule.maximum:g}")
    return checks


def _reference(column: Column, tables: Mapping[str, str]) -> str:
    gone = "CASCADE" if column.not_null else "SET NULL"
    table = tables.get(column.target or "", column.target)
    return f'REFERENCES "{table}" ("{column.target_field}") ON DELETE {gone}'


def _column_sql(column: Column, reference: str) -> str:
    line = f'"{column.name}" {_SQL_TYPES[column.type]}{_default(column)}'
    unique = " UNIQUE" if column.unique else ""
    return line + unique + reference + "".join(f" CHECK ({check})" for check in _checks(column))


@dataclass(frozen=True)
class Schema:
    """A resource with what its migration must know of others."""

    model: Model
    related: Mapping[str, Model]
    #: Join tables and postponed foreign keys of the task's specification, as docs/contracts.md names them.
    joins: tuple[Mapping[str, Any], ...] = ()
    deferred: tuple[Mapping[str, Any], ...] = ()

    @property
    def tables(self) -> dict[str, str]:
        """Tables by resource name."""
        return {m.name: m.table for m in [*self.related.values(), self.model]}

    def postpones(self, column: Column) -> bool:
        """Tell whether a later migration adds this foreign key, for it would close a cycle."""
        return any(d["resource"] == self.model.name and d["field"] == column.name for d in self.deferred)


def read_schema(prompt: Prompt) -> Schema:
    """Gather what the prompt says of a schema.

    Raises:
        KeyError: the prompt has no resource.
    """
    if prompt.resource is None:
        raise KeyError("resource")
    everyone = [*prompt.related, prompt.resource]
    return Schema(
        model=build(prompt.resource, prompt.related, prompt.project),
        related={r["name"]: build(r, everyone, prompt.project) for r in prompt.related},
        joins=tuple(prompt.detail.get("join_tables") or ()),
        deferred=tuple(prompt.detail.get("deferred_references") or ()),
    )


def _join(schema: Schema, join: Mapping[str, Any]) -> str:
    models = {**schema.related, schema.model.name: schema.model}
    lines = []
    for column in join["columns"]:
        model = models.get(column["resource"])
        kind = _SQL_TYPES[model.key.type] if model else "uuid"
        table = schema.tables.get(column["resource"], column["resource"])
        field = column["references"]["field"]
        lines.append(
            f'  "{column["column"]}" {kind} NOT NULL REFERENCES "{table}" ("{field}") ON DELETE CASCADE,\n'
        )
    first, second = (column["column"] for column in join["columns"])
    return (
        f'CREATE TABLE "{join["table"]}" (\n{"".join(lines)}  PRIMARY KEY ("{first}", "{second}")\n);\n'
        f'CREATE INDEX ON "{join["table"]}" ("{second}");\n'
    )


def _added_key(schema: Schema, deferred: Mapping[str, Any]) -> str:
    field = deferred["references"]["field"]
    return (
        f'ALTER TABLE "{deferred["table"]}" ADD FOREIGN KEY ("{deferred["field"]}") '
        f'REFERENCES "{schema.model.table}" ("{field}") ON DELETE SET NULL;\n'
    )


def migration(schema: Schema) -> str:
    """Render the table, its indexes, its join tables, and keys that earlier tables had to leave out."""
    model = schema.model
    lines = []
    for column in model.columns:
        refers = column.target is not None and not schema.postpones(column)
        lines.append(f"  {_column_sql(column, f' {_reference(column, schema.tables)}' if refers else '')}")
    indexes = [
        f'CREATE INDEX ON "{model.table}" ("{c.name}");\n' for c in model.columns if c.target and not c.unique
    ]
    created = next((c for c in model.columns if c.role is Role.CREATED), None)
    if created:
        indexes.append(f'CREATE INDEX ON "{model.table}" ("{created.name}", "{model.key.name}");\n')
    joins = [_join(schema, j) for j in schema.joins if j["owner"] == model.name]
    keys = [_added_key(schema, d) for d in schema.deferred if d["added_by"] == model.name]
    table = f'CREATE TABLE "{model.table}" (\n' + ",\n".join(lines) + "\n);\n"
    return f"-- Table of {model.name}.\n" + "".join([table, *indexes, *joins, *keys])


def _ts_type(column: Column) -> str:
    if column.choices:
        base = " | ".join(quoted(c) for c in column.choices)
    else:
        base = _TS_TYPES.get(column.type, "string")
    return base if column.not_null else f"{base} | null"


def _zod_number(column: Column) -> str:
    base = "z.int32()" if column.type == "integer" else "z.number()"
    low, high = column.rule.minimum, column.rule.maximum
    return (
        base + (f".min({low:g})" if low is not None else "") + (f".max({high:g})" if high is not None else "")
    )


_ZOD = {
    "uuid": "z.uuid()",
    "boolean": "z.boolean()",
    "timestamp": "z.iso.datetime({ offset: true })",
    "date": "z.iso.date()",
    "json": "z.record(z.string(), z.json())",
}


def _zod(column: Column) -> str:
    if column.choices:
        return f"z.enum([{', '.join(quoted(c) for c in column.choices)}])"
    if column.role is Role.PASSWORD:
        return f"z.string().min({min_length(column)}).max({max_length(column)})"
    if column.rule.format and column.type in {"string", "text"}:
        return _FORMATS[column.rule.format].format(max=max_length(column))
    if column.type in {"integer", "number"}:
        return _zod_number(column)
    return _ZOD.get(column.type, f"text({min_length(column)}, {max_length(column)})")


def _create_property(column: Column) -> str:
    if column.required or column.role in {Role.PASSWORD, Role.KEY}:
        tail = ""
    elif _is_now(column):
        tail = ".optional()"
    elif column.default is not None:
        tail = f".default({quoted(typed_default(column))})"
    else:
        tail = ".nullish()"
    return f"{column.api_name}: {_zod(column)}{tail},"


def _update_property(column: Column) -> str:
    tail = ".optional()" if column.not_null else ".nullish()"
    return f"{column.api_name}: {_zod(column)}{tail},"


def filters(model: Model) -> list[Column]:
    """Columns that a list can be filtered by: foreign keys, enums and booleans."""
    return [c for c in model.visible if c.target or c.choices or c.type == "boolean"]


def _filter(column: Column) -> str:
    coerced = {
        "boolean": "z.stringbool()",
        "integer": "z.coerce.number().int()",
        "number": "z.coerce.number()",
    }
    base = coerced.get(column.type, _zod(column))
    return f"{column.name}: {base}.optional(),"


def _link_column(model: Model) -> list[str]:
    return [
        f'ARRAY(SELECT "{link.other}" FROM "{link.table}" '
        f'WHERE "{link.own}" = "{model.table}"."{model.key.name}" ORDER BY 1) AS "{link.api_name}"'
        for link in model.links
    ]


_LINK_IDS = {"uuid": "z.uuid()", "integer": "z.int32()", "string": "z.string().min(1).max(255)"}


def _id_schema(model: Model) -> str:
    if model.key.type == "uuid":
        return "z.uuid()"
    return (
        "z.coerce.number().int().min(1).max(2_147_483_647)"
        if model.key.type == "integer"
        else "z.string().min(1)"
    )


def model_module(model: Model) -> str:
    """Render `src/models/<resource>.ts`."""
    link_ids = [f"{link.api_name}: z.array({_LINK_IDS[link.key_type]}).max(100)" for link in model.links]
    create = [_create_property(c) for c in model.writable] + [f"{x}.default([])," for x in link_ids]
    changing = [c for c in model.writable if c.role is not Role.KEY]
    update = [_update_property(c) for c in changing] + [f"{x}.optional()," for x in link_ids]
    names = [f'"{c.name}"' for c in model.visible]
    row = [f"{c.name}: {_ts_type(c)};" for c in model.visible]
    row += [f"{link.api_name}: {_TS_TYPES.get(link.key_type, 'string')}[];" for link in model.links]
    links = [
        f"export const {link.variable} = "
        f"{{ table: {quoted(link.table)}, own: {quoted(link.own)}, other: {quoted(link.other)} }};"
        for link in model.links
    ]
    body = "\n".join(create + update)
    flags = ({"links"} if model.links else set()) | (
        {"text"} if "text(" in body or any("text(" in _filter(c) for c in filters(model)) else set()
    )
    return fill(
        template("model.ts"),
        {
            "label": model.label.lower(),
            "resource": model.name,
            "row": "\n".join(row),
            "columns": ",\n".join(names),
            "linked": ",\n".join(_link_column(model)),
            "id": _id_schema(model),
            "create": "\n".join(create),
            "update": "\n".join(update),
            "filters": "\n".join(_filter(c) for c in filters(model)),
            "links": "\n".join(links),
        },
        flags,
    )


def factory(model: Model) -> str:
    """Render `tests/factories/<resource>.ts`."""
    imports: list[str] = []
    values: list[str] = []
    for column in model.columns:
        if column.role in {Role.CREATED, Role.UPDATED} or (
            column.role is Role.KEY and column not in model.writable
        ):
            continue
        if column.role is Role.PASSWORD:
            values.append(f"{column.name}: await bcrypt.hash(password, 4),")
        elif column.target and column.not_null and column.target != model.name:
            alias = f"insert{pascal(column.name.removesuffix('_id'))}"
            imports.append(f'import {{ insertRow as {alias} }} from "./{column.target}.ts";')
            values.append(
                f"{column.name}: values.{column.name} ?? (await {alias}(db)).{column.target_field},"
            )
        elif not column.target:
            values.append(f"{column.name}: {unique_sample(column)},")
    flags = ({"password"} if model.password else set()) | ({"links"} if model.links else set())
    return fill(
        template("factory.ts"),
        {
            "resource": model.name,
            "label": model.label.lower(),
            "table": model.table,
            "imports": "\n".join(sorted(set(imports))),
            "values": "\n".join(values),
            "omitted": " | ".join(quoted(link.api_name) for link in model.links),
            "password": quoted(PASSWORD),
        },
        flags | ({"counted"} if any("count" in v for v in values) else set()),
    )

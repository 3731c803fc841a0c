"""Reads the fields of a resource, in every notation that people use for them.

    - email: string (unique, required)          list of strings or one-entry maps
    - {name: owner_id, type: uuid, references: users}
    status: {type: enum, values: [todo, done], default: todo}      map of maps

Foreign keys stay unresolved here (`FieldDraft.target`): their targets may come later in the text.
"""

from __future__ import annotations

import re
from typing import Any, Final

from swarmrun.core.parse_notation import (
    KEY_TARGET,
    SIZED,
    SUPPORTED,
    FieldDraft,
    apply_notation,
    from_notation,
    set_required,
    split_list,
)
from swarmrun.core.parse_report import Item, Report, items, join, known_keys, named
from swarmrun.core.project_model import FieldType
from swarmrun.core.words import SQL_RESERVED, clean, did_you_mean, name_fault, shown, snake

MAX_FIELDS: Final = 100
_LONGEST_NAME: Final = 60
_MOST_VALUES: Final = 100
#: Names that break objects in the built project, besides SQL's reserved words.
_RESERVED: Final = SQL_RESERVED | {"constructor", "prototype"}

_KEYS: Final = {
    spelling: key
    for key, spellings in {
        "name": "name",
        "type": "type",
        "primary_key": "primary_key primary pk",
        "required": "required",
        "optional": "optional nullable null",
        "unique": "unique",
        "default": "default",
        "values": "values enum choices options",
        "max_length": "max_length max maxlength",
        "references": "references foreign_key foreignkey fk ref",
        "note": "description note format min min_length pattern example",
    }.items()
    for spelling in spellings.split()
}


def parse_fields(report: Report, path: str, value: Any) -> list[FieldDraft]:
    """Read all fields of one resource; faulty ones are reported and kept as far as they were understood."""
    drafts: dict[str, FieldDraft] = {}
    for item in items(report, path, value, most=MAX_FIELDS, what="fields"):
        for draft in _drafts(report, item):
            fault = name_fault(
                draft.name,
                longest=_LONGEST_NAME,
                reserved=_RESERVED,
                example=f"{snake(draft.name) or 'field'}_value",
            )
            if fault:
                report.add(draft.path, draft.name, f"field name {fault[0]}", fault[1])
            elif draft.name in drafts:
                report.add(
                    draft.path, draft.name, "must not name the same field twice", "remove one of the two"
                )
            else:
                _check(report, draft)
                drafts[draft.name] = draft
    if isinstance(value, dict):
        return sorted(drafts.values(), key=lambda d: (not d.primary_key, d.name))
    return list(drafts.values())


def _drafts(report: Report, item: Item) -> list[FieldDraft]:
    value = item.value
    if item.name is None and isinstance(value, str):
        name, colon, notation = value.partition(":")
        if not colon:
            report.add(
                item.path, value, "must name a field and its type", "write it as 'email: string (required)'"
            )
            return []
        return [from_notation(report, name.strip(), item.path, notation)]
    if item.name is None and isinstance(value, dict) and "name" in value and "type" in value:
        name = value["name"]
        if not isinstance(name, str):
            report.add(join(item.path, "name"), name, "must be text", "put the name in quotes")
            return []
        return [_from_map(report, name, item.path, value)]
    if item.name is None and not isinstance(value, dict):
        report.add(
            item.path,
            value,
            "must be a field such as 'email: string'",
            "write its name, a colon and its type",
        )
        return []
    return [_from_any(report, part) for part in named(report, item)]


def _from_any(report: Report, part: Item) -> FieldDraft:
    name = part.name or ""
    if isinstance(part.value, dict):
        return _from_map(report, name, part.path, part.value)
    if isinstance(part.value, str):
        return from_notation(report, name, part.path, part.value)
    report.add(
        part.path,
        part.value,
        f"field {name!a} must have a type: one of {SUPPORTED}",
        f"write '{shown(name)[1:-1]}: string'",
    )
    return FieldDraft(name=name, path=part.path, raw=name, type=None)


# ── `{type: uuid, primaryKey: true}` ────────────────────────────────────────────────────────────────────


def _from_map(report: Report, name: str, path: str, value: dict[Any, Any]) -> FieldDraft:
    draft = FieldDraft(name=name, path=path, raw=name)
    found = known_keys(report, path, value, _KEYS)
    kind = found.get("type", "enum" if "values" in found else None)
    if isinstance(kind, str):
        apply_notation(report, draft, clean(kind))
    else:
        report.add(path, kind, f"field {name!a} must have a type: one of {SUPPORTED}", "add 'type: string'")
    for key, flag in (("primary_key", "primary_key"), ("unique", "unique")):
        setattr(draft, flag, _flag(report, path, found, key) or getattr(draft, flag))
    if (required := _flag(report, path, found, "required")) is not None:
        set_required(report, draft, required=required)
    if (optional := _flag(report, path, found, "optional")) is not None:
        set_required(report, draft, required=not optional)
    if "values" in found:
        draft.values = _values(report, path, found["values"])
    if "default" in found:
        draft.default = found["default"]
    _map_length(report, draft, found.get("max_length"))
    if "references" in found:
        draft.target = _map_target(report, path, found["references"])
    written = ", ".join(f"{key} {shown(found[key])}" for key in sorted(found) if key not in {"name", "type"})
    draft.raw = clean(
        f"{name}: {kind if isinstance(kind, str) else '?'}" + (f" ({written})" if written else "")
    )[:300]
    return draft


def _flag(report: Report, path: str, found: dict[str, Any], key: str) -> bool | None:
    value = found.get(key)
    if value is None or isinstance(value, bool):
        return value
    report.add(join(path, key), value, "must be true or false", f"write '{key}: true'")
    return None


def _values(report: Report, path: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip("\"'") for part in split_list(value.strip("[]()")))
    out = []
    for entry in items(report, join(path, "values"), value, most=_MOST_VALUES, what="values"):
        if isinstance(entry.value, bool) or not isinstance(entry.value, str | int | float) or entry.name:
            report.add(
                entry.path, entry.value, "enum value must be text", "put it in quotes, or write a plain list"
            )
        else:
            out.append(clean(str(entry.value)))
    return tuple(out)


def _map_length(report: Report, draft: FieldDraft, value: Any) -> None:
    if value is None or draft.type not in SIZED:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:  # noqa: PLR2004 — named in the message
        report.add(draft.path, value, "maximum length must be 1 to 1000000", "write a whole number")
    else:
        draft.max_length = value


def _map_target(report: Report, path: str, value: Any) -> tuple[str, str | None] | None:
    if isinstance(value, dict):
        parts = (value.get("resource", value.get("table")), value.get("field", value.get("column")))
        value = ".".join(str(part) for part in parts if part)
    match = re.fullmatch(KEY_TARGET, value) if isinstance(value, str) else None
    if match is None:
        report.add(
            join(path, "references"), value, "foreign key must name its resource", "write 'references: users'"
        )
        return None
    return match[1], match[2]


# ── consistency of one field ────────────────────────────────────────────────────────────────────────────


def _check(report: Report, draft: FieldDraft) -> None:
    if draft.type is FieldType.ENUM:
        _check_enum(report, draft)
    elif draft.values:
        report.add(draft.path, draft.raw, "only a field of type enum may list values", "write 'type: enum'")
    if draft.primary_key and draft.required is False:
        report.add(draft.path, draft.raw, "primary key must not be optional", "remove 'optional'")
    if draft.default is not None and draft.type is not None:
        draft.default = _typed_default(report, draft)


def _check_enum(report: Report, draft: FieldDraft) -> None:
    if not draft.values:
        report.add(
            draft.path, draft.raw, "enum must list its values", "write 'enum (todo, in_progress, done)'"
        )
    if len(draft.values) > _MOST_VALUES:
        report.add(
            draft.path,
            f"{len(draft.values)} values",
            f"enum must have at most {_MOST_VALUES} values",
            "use text",
        )
        draft.values = ()
    for value in draft.values:
        if not re.fullmatch(r"[\w .:+-]{1,60}", value):
            report.add(
                draft.path,
                value,
                "enum value must have 1 to 60 letters, digits, blanks or _ . : + -",
                "rename it",
            )
    if len(set(draft.values)) < len(draft.values):
        twice = next(v for v in draft.values if draft.values.count(v) > 1)
        report.add(draft.path, twice, "enum must not repeat a value", "remove the second one")


_DEFAULTS: Final[dict[FieldType, tuple[str, str]]] = {
    FieldType.INTEGER: (r"-?\d{1,18}", "a whole number"),
    FieldType.NUMBER: (r"-?\d{1,18}(\.\d{1,18})?", "a number"),
    FieldType.BOOLEAN: (r"(?i)true|false", "true or false"),
}


def _typed_default(report: Report, draft: FieldDraft) -> Any:
    value = draft.default
    if not isinstance(value, str | int | float):
        report.add(draft.path, value, "default must be a single value", "write text, a number, true or false")
        return None
    written = shown(value) if isinstance(value, bool) else str(value)
    if draft.type is FieldType.ENUM and draft.values and written not in draft.values:
        fix = did_you_mean(written, draft.values, "add the value, or choose one of the list")
        report.add(draft.path, written, f"default must be one of {', '.join(draft.values[:20])}", fix)
    pattern, what = _DEFAULTS.get(draft.type or FieldType.JSON, ("", ""))
    if not pattern:
        return clean(written)[:200]
    if not re.fullmatch(pattern, written):
        report.add(
            draft.path, written, f"default of {draft.type} must be {what}", "mend the default, or the type"
        )
        return None
    if draft.type is FieldType.BOOLEAN:
        return written.lower() == "true"
    return int(written) if draft.type is FieldType.INTEGER else float(written)

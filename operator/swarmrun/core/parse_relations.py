"""Reads relationships: `- belongs_to: user (owner)`, `- many_to_many: labels (through task_labels)`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from swarmrun.core.parse_report import Item, Report, items, join, known_keys, named
from swarmrun.core.words import clean, did_you_mean, snake

MAX_RELATIONSHIPS: Final = 50
Kind = Literal["belongs_to", "has_many", "many_to_many"]
_KINDS: Final[dict[str, Kind]] = {
    "belongs_to": "belongs_to",
    "has_many": "has_many",
    "many_to_many": "many_to_many",
    "has_and_belongs_to_many": "many_to_many",
    "manytomany": "many_to_many",
    "many2many": "many_to_many",
    "one_to_many": "has_many",
    "many_to_one": "belongs_to",
}
_KEYS: Final = {
    spelling: key
    for key, spellings in {
        "kind": "kind type",
        "resource": "resource target to with",
        "as": "as role name",
        "through": "through join_table",
        "optional": "optional",
    }.items()
    for spelling in spellings.split()
}
_EXAMPLE: Final = (
    "write 'belongs_to: user (owner)', 'has_many: tasks' or 'many_to_many: labels (through task_labels)'"
)


@dataclass(slots=True)
class RelationDraft:
    """A relationship while it is read. `target` is the name as written, `resource` the one it means."""

    kind: Kind
    target: str
    path: str
    role: str | None = None
    through: str | None = None
    optional: bool = False
    resource: str | None = None


def parse_relations(report: Report, path: str, value: Any) -> list[RelationDraft]:
    """Read all relationships of one resource; faulty ones are reported and left out."""
    drafts: list[RelationDraft] = []
    for item in items(report, path, value, most=MAX_RELATIONSHIPS, what="relationships"):
        for draft in _drafts(report, item):
            if any((d.kind, d.target, d.role) == (draft.kind, draft.target, draft.role) for d in drafts):
                report.add(
                    draft.path, draft.target, "must not repeat a relationship", "remove one of the two"
                )
            else:
                drafts.append(draft)
    return drafts


def _drafts(report: Report, item: Item) -> list[RelationDraft]:
    value = item.value
    if item.name is None and isinstance(value, str):
        kind, _, target = clean(value).replace(":", " ", 1).partition(" ")
        return _one(report, kind, target, item.path)
    if item.name is None and isinstance(value, dict) and {"kind", "type"} & set(map(str, value)):
        return _from_map(report, item.path, value)
    if item.name is None and not isinstance(value, dict):
        report.add(item.path, value, "must be a relationship", _EXAMPLE)
        return []
    out = []
    for part in named(report, item):
        if isinstance(part.value, str):
            out += _one(report, part.name or "", part.value, part.path)
        elif isinstance(part.value, list):
            for entry in items(report, part.path, part.value, most=MAX_RELATIONSHIPS, what="resources"):
                out += _one(report, part.name or "", entry.value, entry.path)
        elif isinstance(part.value, dict):
            out += _from_map(report, part.path, {"kind": part.name, **part.value})
        else:
            report.add(part.path, part.value, "must name a resource", _EXAMPLE)
    return out


def _one(report: Report, kind_text: str, target_text: Any, path: str) -> list[RelationDraft]:
    kind = _kind(report, kind_text, path)
    text = clean(target_text) if isinstance(target_text, str) else ""
    match = re.fullmatch(r"([A-Za-z_][\w-]{0,59})\s*(?:\(([^()]*)\))?", text)
    if match is None:
        report.add(path, target_text, "relationship must name a resource, details in parentheses", _EXAMPLE)
    if kind is None or match is None:
        return []
    draft = RelationDraft(kind, match[1], path)
    for note in re.split(r"[,;]", match[2] or ""):
        _annotate(draft, note.strip())
    return [_through(report, draft)]


def _annotate(draft: RelationDraft, note: str) -> None:
    if match := re.fullmatch(r"(?i)(?:through|via)[\s:]+(\w+)", note):
        draft.through = match[1]
    elif re.fullmatch(r"(?i)optional|nullable", note):
        draft.optional = True
    elif match := re.fullmatch(r"(?i)(?!required$)(?:as[\s:]+)?([a-z_]\w{0,39})", note):
        draft.role = snake(match[1])


def _from_map(report: Report, path: str, value: dict[Any, Any]) -> list[RelationDraft]:
    found = known_keys(report, path, value, _KEYS)
    drafts = _one(report, found.get("kind") or "", found.get("resource"), path)
    for draft in drafts:
        for key in ("as", "through"):
            text = found.get(key)
            if text is not None and not (isinstance(text, str) and re.fullmatch(r"\w{1,60}", text)):
                report.add(join(path, key), text, "must be a name", "write one word")
            elif text:
                _annotate(draft, f"{key} {text}")
        draft.optional = draft.optional or found.get("optional") is True
    return [_through(report, draft) for draft in drafts]


def _kind(report: Report, text: Any, path: str) -> Kind | None:
    kind = _KINDS.get(snake(text)) if isinstance(text, str) else None
    if kind is None:
        known = sorted(set(_KINDS.values()))
        fix = did_you_mean(snake(text), known, _EXAMPLE) if isinstance(text, str) else _EXAMPLE
        report.add(path, text, f"relationship must be one of {', '.join(known)}", fix)
    return kind


def _through(report: Report, draft: RelationDraft) -> RelationDraft:
    if draft.through and draft.kind == "belongs_to":
        report.add(draft.path, draft.through, "belongs_to must not go through a table", "write many_to_many")
        draft.through = None
    return draft

"""Reads one field's notation: `string (unique, required)`, `enum (todo, done) (default todo)`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from swarmrun.core.parse_report import Report
from swarmrun.core.project_model import FieldType
from swarmrun.core.words import clean, nearest

_TYPES: Final[dict[str, FieldType]] = {
    alias: kind
    for kind, aliases in {
        FieldType.UUID: "uuid guid uuidv4 uuidv7",
        FieldType.STRING: "string str varchar char email url uri",
        FieldType.TEXT: "text longtext markdown",
        FieldType.INTEGER: "integer int bigint smallint serial bigserial long",
        FieldType.NUMBER: "number decimal numeric float double real money",
        FieldType.BOOLEAN: "boolean bool",
        FieldType.TIMESTAMP: "timestamp timestamptz datetime",
        FieldType.DATE: "date",
        FieldType.JSON: "json jsonb object array",
        FieldType.ENUM: "enum enumeration choice",
    }.items()
    for alias in aliases.split()
}
SUPPORTED: Final = ", ".join(kind.value for kind in FieldType)
SIZED: Final = frozenset({FieldType.STRING, FieldType.TEXT})


@dataclass(slots=True)
class FieldDraft:
    """A field while it is read. `target` is (resource as written, field or None) of a foreign key."""

    name: str
    path: str
    raw: str
    type: FieldType | None = None
    primary_key: bool = False
    required: bool | None = None
    unique: bool = False
    default: Any = None
    values: tuple[str, ...] = ()
    max_length: int | None = None
    target: tuple[str, str | None] | None = None
    derived: bool = field(default=False)


def from_notation(report: Report, name: str, path: str, notation: str) -> FieldDraft:
    """Read one field from its name and notation."""
    draft = FieldDraft(name=name, path=path, raw=f"{name}: {clean(notation)}"[:300])
    apply_notation(report, draft, clean(notation))
    return draft


def apply_notation(report: Report, draft: FieldDraft, notation: str) -> None:
    """Read a type with its annotations into a draft; report what is not understood."""
    parts = _groups(notation)
    if parts is None:
        report.add(draft.path, notation, "must have matching parentheses", "close each '(' with ')'")
        return
    base, groups = parts
    head, *rest = [part.strip() for part in re.split(r"[,;]", base)]
    head = head.rstrip(": ").lower()
    word, _, more = head.partition(" ")
    array = re.fullmatch(r"(\w+)\[\]|(?:array|list) of \w+", head)
    draft.type = FieldType.JSON if array else _TYPES.get(head.replace(" ", "")) or _TYPES.get(word)
    if draft.type is None:
        _unknown_type(report, draft, word)
        return
    if more and not array and head.replace(" ", "") not in _TYPES:
        rest.insert(0, more)
    if draft.type is FieldType.ENUM and groups:
        _enum_group(report, draft, groups.pop(0))
    for group in (*rest, *groups):
        for note in split_list(group):
            _annotate(report, draft, note)


def _unknown_type(report: Report, draft: FieldDraft, word: str) -> None:
    near = nearest(word, _TYPES)
    fix = f"did you mean {near!r}?" if near else "choose one of them, 'json' for anything nested"
    report.add(draft.path, word, f"field type must be one of {SUPPORTED}", fix)


def _groups(notation: str) -> tuple[str, list[str]] | None:
    """Split `base (a, b) (c)` into base and contents of the parentheses; None when unbalanced."""
    base, groups, depth, start = "", [], 0, 0
    for index, ch in enumerate(notation):
        if ch in "([" and notation[index : index + 2] != "[]":
            depth += 1
            start = index + 1 if depth == 1 else start
        elif ch in ")]" and notation[index - 1 : index + 1] != "[]":
            depth -= 1
            if depth < 0:
                return None
            if depth == 0:
                groups.append(notation[start:index])
        elif depth == 0:
            base += ch
    return (base.strip(), groups) if depth == 0 else None


def split_list(group: str) -> list[str]:
    """Split at commas and semicolons that stand outside quotes and parentheses."""
    parts = re.findall(r"""(?:"[^"]*"|'[^']*'|\([^)]*\)|[^,;])+""", group)
    return [part.strip() for part in parts if part.strip()]


def _enum_group(report: Report, draft: FieldDraft, group: str) -> None:
    values = []
    for part in split_list(group.replace("|", ",").replace("/", ",")):
        if re.match(r"(?i)(default\b.+|required$|optional$|nullable$|unique$)", part):
            _annotate(report, draft, part)
        else:
            values.append(part.strip("\"'"))
    draft.values = tuple(values)


def _set_target(report: Report, draft: FieldDraft, match: re.Match[str]) -> None:
    del report
    draft.target = (match[1], match[2])


def _set_length(report: Report, draft: FieldDraft, match: re.Match[str]) -> None:
    if draft.type in SIZED:
        draft.max_length = int(match[1])
        if not 1 <= draft.max_length <= 1_000_000:  # noqa: PLR2004 — named in the message
            report.add(draft.path, match[1], "maximum length must be 1 to 1000000", "choose a smaller number")


def set_required(report: Report, draft: FieldDraft, *, required: bool) -> None:
    """Note that a field is required or optional; report a contradiction."""
    if draft.required is (not required):
        report.add(draft.path, draft.raw, "must not be both required and optional", "keep one of the two")
    draft.required = required


def _set_default(report: Report, draft: FieldDraft, match: re.Match[str]) -> None:
    del report
    draft.default = match[1].strip().strip("\"'")


def _primary(report: Report, draft: FieldDraft, _: re.Match[str]) -> None:
    del report
    draft.primary_key = True


def _unique(report: Report, draft: FieldDraft, _: re.Match[str]) -> None:
    del report
    draft.unique = True


_Handler = Callable[[Report, FieldDraft, "re.Match[str]"], None]
_KEY_WORDS: Final = "(?:foreign[ _-]?key|fk|references|ref)"
KEY_TARGET: Final = r"([A-Za-z_][\w-]*)(?:\s*[.(]\s*([A-Za-z_]\w*)\s*\)?)?"
_ANNOTATIONS: Final[tuple[tuple[re.Pattern[str], _Handler], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), handler)
    for pattern, handler in (
        (r"primary[ _-]?key|pk|primary", _primary),
        (r"unique", _unique),
        (r"required|not[ _-]?null|mandatory", lambda r, d, _: set_required(r, d, required=True)),
        (r"optional|nullable|null", lambda r, d, _: set_required(r, d, required=False)),
        (rf"{_KEY_WORDS}\b(?:\s+(?:to|of|on|references))?[\s:]+{KEY_TARGET}", _set_target),
        (r"default(?:s\s+to)?[\s:=]+(.+)", _set_default),
        (r"max(?:imum)?(?:[ _-]?length)?[\s:=]*(\d{1,9})(?:\s*(?:characters|chars))?", _set_length),
        (r"(?:up to\s+)?(\d{1,9})(?:\s*(?:characters|chars))?", _set_length),
        (r"\d{1,9}\s*(?:-|to)\s*(\d{1,9})(?:\s*(?:characters|chars))?", _set_length),
    )
)
_KNOWN_WORDS: Final = ("primary key", "unique", "required", "optional", "nullable", "foreign key")


def _annotate(report: Report, draft: FieldDraft, note: str) -> None:
    """Apply one annotation. Unknown ones stay in `raw` for the model, unless they look mistyped."""
    for pattern, handler in _ANNOTATIONS:
        if match := pattern.fullmatch(note):
            handler(report, draft, match)
            return
    if re.fullmatch(r"(?i)foreign[ _-]?key|fk|references", note):
        report.add(draft.path, note, "foreign key must name its resource", "write 'foreign key to users'")
    elif near := nearest(note, _KNOWN_WORDS, cutoff=0.8):
        report.add(draft.path, note, "annotation must be a known word", f"did you mean {near!r}?")

"""Reads the endpoints of a resource.

    - POST /api/users (create)
    - {method: GET, path: "/api/users/{id}", operation: read}
    list: GET /api/users

Paths come out with `:name` parameters. The operation, when it is not written, follows from method and path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, get_args

from swarmrun.core.parse_report import Item, Report, items, join, known_keys, named
from swarmrun.core.project_model import Endpoint, Operation
from swarmrun.core.words import clean, nearest, short_hash, shown, singular, slug

MAX_ENDPOINTS: Final = 50
_LONGEST_PATH: Final = 200
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_OPERATIONS: Final[frozenset[str]] = frozenset(get_args(Operation))
#: Other words for the same operations.
_SYNONYMS: Final[dict[str, Operation]] = {
    "get": "read",
    "show": "read",
    "retrieve": "read",
    "add": "create",
    "new": "create",
    "insert": "create",
    "edit": "update",
    "modify": "update",
    "replace": "update",
    "patch": "update",
    "remove": "delete",
    "destroy": "delete",
    "index": "list",
    "list all": "list",
    "search": "list",
}
_KEYS: Final = {
    spelling: key
    for key, spellings in {
        "method": "method verb",
        "path": "path url route",
        "operation": "operation action name",
        "note": "description note summary",
    }.items()
    for spelling in spellings.split()
}
_SEGMENT: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._~-]*|:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\}"
)
_EXAMPLE: Final = "write it as 'GET /api/users/:id (read)'"


@dataclass(frozen=True, slots=True)
class EndpointDraft:
    """An endpoint before its slug: `label` is the operation as written, or empty."""

    method: str
    path: str
    label: str
    raw: str
    where: str

    @property
    def segments(self) -> list[str]:
        """The path's segments."""
        return [s for s in self.path.split("/") if s]

    @property
    def params(self) -> tuple[str, ...]:
        """Names of the path's parameters."""
        return tuple(s[1:] for s in self.segments if s.startswith(":"))

    @property
    def shape(self) -> str:
        """What a router can tell apart: the method, and the path without parameter names and case."""
        return f"{self.method} /" + "/".join(":" if s.startswith(":") else s.lower() for s in self.segments)

    @property
    def literals(self) -> list[str]:
        """The segments that name things: neither parameters nor a leading `api` or version."""
        return [
            s.lower()
            for s in self.segments
            if not s.startswith(":") and not re.fullmatch(r"(?i)api|rest|v\d{1,3}", s)
        ]

    @property
    def operation(self) -> Operation:
        """The operation: as written, by synonym, or from method and path."""
        label = self.label.lower()
        if label in _SYNONYMS:
            return _SYNONYMS[label]
        for known in get_args(Operation):
            if label == known:
                operation: Operation = known
                return operation
        return "other" if label else _derived(self)


def _derived(draft: EndpointDraft) -> Operation:
    item = bool(draft.segments) and draft.segments[-1].startswith(":")
    if draft.method == "GET":
        return "read" if item else "list"
    if draft.method == "POST":
        return "other" if item else "create"
    return "delete" if draft.method == "DELETE" else "update"


def parse_endpoints(report: Report, path: str, value: Any) -> list[EndpointDraft]:
    """Read all endpoints of one resource; faulty ones are reported and left out."""
    drafts = []
    for item in items(report, path, value, most=MAX_ENDPOINTS, what="endpoints"):
        for draft in _drafts(report, item):
            clean_draft = _checked(report, draft)
            if clean_draft:
                drafts.append(clean_draft)
    return drafts


def _drafts(report: Report, item: Item) -> list[EndpointDraft]:
    value = item.value
    if isinstance(value, dict) and {"method", "path"} & {str(key).lower() for key in value}:
        found = known_keys(report, item.path, value, _KEYS)
        label = found.get("operation") or item.name or ""
        method, path = found.get("method"), found.get("path")
        if isinstance(method, str) and isinstance(path, str) and method and path and isinstance(label, str):
            method, path = clean(method), clean(path)
            return [EndpointDraft(method, path, clean(label), f"{method} {path}"[:300], item.path)]
        report.add(item.path, value, "endpoint must have a method and a path as text", _EXAMPLE)
        return []
    if item.name is None and isinstance(value, str):
        return [_from_text(value, "", item.path)]
    if item.name is None and not isinstance(value, dict):
        report.add(item.path, value, "must be an endpoint", _EXAMPLE)
        return []
    return [draft for part in named(report, item) if (draft := _from_pair(report, part))]


def _from_pair(report: Report, part: Item) -> EndpointDraft | None:
    """Read `POST /api/users: create`, `create: POST /api/users` or `POST: /api/users`."""
    key, value = clean(part.name or ""), part.value
    if " " in key and (value is None or isinstance(value, str)):
        return _from_text(key, clean(value or ""), part.path)
    if isinstance(value, str):
        if value.lstrip().startswith("/") and " " not in key:
            return _from_text(f"{key} {value}", "", part.path)
        return _from_text(value, key, part.path)
    report.add(part.path, value, "must be an endpoint", _EXAMPLE)
    return None


def _from_text(text: str, label: str, where: str) -> EndpointDraft:
    text = clean(text)
    match = re.fullmatch(r"(.*?)\s*\(([^()]*)\)[^()]*", text)
    body, written = (match[1], match[2].strip()) if match else (text, "")
    method, _, path = body.partition(" ")
    return EndpointDraft(method, path.strip(), written or label, text[:300], where)


def _checked(report: Report, draft: EndpointDraft) -> EndpointDraft | None:
    method = draft.method.upper()
    if method not in METHODS:
        near = nearest(method, [m.lower() for m in METHODS])
        fix = f"did you mean {near.upper()!r}?" if near else _EXAMPLE
        report.add(draft.where, draft.method, f"method must be one of {', '.join(METHODS)}", fix)
    fault = _path_fault(draft.path)
    if fault:
        report.add(draft.where, draft.path, *fault)
    typo = nearest(draft.label, _OPERATIONS | set(_SYNONYMS), cutoff=0.8) if draft.label else None
    known = draft.label.lower() in _OPERATIONS or draft.label.lower() in _SYNONYMS
    if typo and not known:
        report.add(
            draft.where,
            draft.label,
            "operation must be a known word or one of your own",
            f"did you mean {typo!r}?",
        )
    if len(draft.label) > 60:  # noqa: PLR2004 — named in the message
        report.add(draft.where, draft.label, "operation must have at most 60 characters", "shorten it")
    if fault or method not in METHODS:
        return None
    path = "/" + "/".join(re.sub(r"\{(\w+)\}", r":\1", s) for s in draft.path.strip("/").split("/") if s)
    return EndpointDraft(method, path, draft.label, draft.raw, draft.where)


def _path_fault(path: str) -> tuple[str, str] | None:  # noqa: PLR0911 — one return per rule
    if not path.startswith("/"):
        return "path must start with '/'", f"write '/{path.lstrip('/')}'" if path else _EXAMPLE
    if len(path) > _LONGEST_PATH:
        return f"path must have at most {_LONGEST_PATH} characters", "shorten it"
    if " " in path:
        return "path must not contain blanks", "put words about the endpoint in parentheses after the path"
    if "//" in path:
        return "path must not contain '//'", f"write {re.sub('/+', '/', path)!r}"
    if "?" in path or "#" in path:
        return "path must not contain a query or a fragment", "describe query parameters under validations"
    for segment in path.strip("/").split("/"):
        if segment in {".", ".."}:
            return "path must not contain '.' or '..' segments", "write the path in full"
        if segment and not _SEGMENT.fullmatch(segment):
            what = (
                "a parameter must be written ':name' or '{name}'"
                if segment[0] in ":{" or "}" in segment
                else ("a segment must consist of letters, digits and . _ ~ -")
            )
            return f"path segment {shown(segment)} is not valid: {what}", "write it as '/api/users/:id'"
    names = re.findall(r"[:{](\w+)", path)
    if len(set(names)) < len(names):
        return "path must not use a parameter name twice", "give each parameter its own name"
    return None


# ── slugs ───────────────────────────────────────────────────────────────────────────────────────────────


def with_slugs(resource: str, drafts: list[EndpointDraft]) -> tuple[Endpoint, ...]:
    """Turn the drafts of one resource into endpoints with unique slugs, in the order given.

    A plain collection or item route gets its operation as slug; others add the words of their path. So a new
    route does not rename the others, and their tasks stay the same.
    """
    taken: dict[str, str] = {}
    by_rank = sorted(drafts, key=lambda d: (METHODS.index(d.method), d.shape))
    for draft in by_rank:
        base = _slug(resource, draft)
        options = (base, f"{base}-{draft.method.lower()}", f"{base}-{short_hash(draft.shape)}")
        taken[draft.shape] = next(
            (o for o in options if o not in taken.values()), f"{base}-{short_hash(draft.path)}"
        )
    return tuple(
        Endpoint(
            method=d.method,
            path=d.path,
            operation=d.operation,
            params=d.params,
            slug=taken[d.shape],
            raw=d.raw,
        )
        for d in drafts
    )


def _slug(resource: str, draft: EndpointDraft) -> str:
    own = {resource, singular(resource), resource.replace("_", "-"), singular(resource).replace("_", "-")}
    words = [w for w in draft.literals if w not in own]
    operation = draft.operation
    label = (
        slug(draft.label) if draft.label and operation == "other" and draft.label.lower() != "other" else ""
    )
    if label:
        return label
    item = draft.segments[-1:] and draft.segments[-1].startswith(":")
    plain = not words and bool(item) == (operation in {"read", "update", "delete"}) and len(draft.params) <= 1
    if plain and operation != "other":
        return operation
    tail = words or (["item"] if item else ["collection"])
    return slug("-".join([operation if operation != "other" else draft.method.lower(), *tail]))


def duplicate_routes(report: Report, resources: dict[str, list[EndpointDraft]]) -> None:
    """Report routes that a router cannot tell apart, within and across resources; drop the later ones."""
    seen: dict[str, EndpointDraft] = {}
    for name in sorted(resources):
        for draft in list(resources[name]):
            first = seen.setdefault(draft.shape, draft)
            if first is draft:
                continue
            rule = (
                "must not repeat a route"
                if first.path == draft.path
                else (f"must differ from {first.method} {first.path} by more than parameter names")
            )
            fix = f"remove it; the route is already at {first.where}"
            report.add(draft.where, f"{draft.method} {draft.path}", rule, fix)
            resources[name].remove(draft)


def total_fault(report: Report, count: int, *, most: int) -> None:
    """Report a project with no endpoint, or with too many."""
    if count == 0:
        report.add(
            join(report.root, "resources"), "no endpoints", "must have at least one endpoint in all", _EXAMPLE
        )
    elif count > most:
        report.add(
            join(report.root, "resources"),
            f"{count} endpoints",
            f"must have at most {most} endpoints in all",
            "split it",
        )

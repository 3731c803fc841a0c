"""From the text that people write to a `Project`: every fault at once, or a value beyond doubt.

The reading is lenient in notation (lists or maps, strings or maps, any common spelling of a word) and strict
in meaning: what could be misread, lost or break the built project is refused with path, value, rule and fix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from swarmrun.core.errors import Invalid
from swarmrun.core.parse_endpoints import duplicate_routes, parse_endpoints, total_fault, with_slugs
from swarmrun.core.parse_fields import parse_fields
from swarmrun.core.parse_links import (
    Names,
    ResourceDraft,
    foreign_keys,
    join_tables,
    primary_keys,
    ranks,
    relations,
)
from swarmrun.core.parse_notation import FieldDraft
from swarmrun.core.parse_relations import parse_relations
from swarmrun.core.parse_report import MAX_PROBLEMS, Item, Report, items, join, known_keys, phrases, text
from swarmrun.core.project_model import (
    Category,
    DeferredReference,
    Endpoint,
    FieldType,
    JoinColumn,
    JoinTable,
    Project,
    Reference,
    Relationship,
    Requirement,
    Resource,
    ResourceField,
)
from swarmrun.core.words import RESERVED, name_fault, nearest, short_hash, singular, slug

MAX_RESOURCES: Final = 64
MAX_ENDPOINTS_IN_ALL: Final = 500
MAX_REQUIREMENTS: Final = 50
MAX_VALIDATIONS: Final = 50
_LONGEST_NAME: Final = 100
_LONGEST_RESOURCE: Final = 40
_LONGEST_DESCRIPTION: Final = 4000
_LONGEST_PHRASE: Final = 500
_CATEGORIES: Final[tuple[Category, ...]] = ("performance", "quality", "security")
_KEYS: Final = {
    spelling: key
    for key, spellings in {
        "project_name": "project_name name",
        "description": "description",
        "architecture": "architecture",
        "resources": "resources",
        **{f"{c}_requirements": f"{c}_requirements {c}" for c in _CATEGORIES},
    }.items()
    for spelling in spellings.split()
}
_RESOURCE_KEYS: Final = {
    key: key for key in ("endpoints", "fields", "validations", "relationships", "description")
} | {"routes": "endpoints", "columns": "fields", "attributes": "fields", "relations": "relationships"}
_ARCHITECTURE_KEYS: Final = ("style", "database", "authentication", "framework", "language")


class Stack(Protocol):
    """What the parser needs to know of a profile; `swarmrun.core.profile.Profile` is one."""

    @property
    def name(self) -> str:
        """Name of the profile."""

    @property
    def frameworks(self) -> tuple[str, ...]:
        """Words that select the profile: all words of one entry must occur in architecture.framework."""

    @property
    def databases(self) -> tuple[str, ...]:
        """The same for architecture.database."""


def parse_project(data: Any, *, profiles: Sequence[Stack] = (), root: str = "spec.project") -> Project:
    """Read a project specification as YAML or JSON gave it.

    Args:
        data: the specification; any value at all.
        profiles: the supported stacks; without any, framework and database are not checked.
        root: where the specification stands, the start of every path in a message.

    Raises:
        Invalid: with all faults, at most `MAX_PROBLEMS` of them and a count of the rest.
    """
    report = Report(root)
    if not isinstance(data, dict) or not data:
        fix = "write project_name, architecture and resources"
        report.add("", data, "must be a project specification, a map", fix)
        report.raise_if_any()
    found = known_keys(report, root, data, _KEYS)
    name = text(
        report, report.at("project_name"), found.get("project_name"), longest=_LONGEST_NAME, required=True
    )
    description = text(
        report, report.at("description"), found.get("description"), longest=_LONGEST_DESCRIPTION, lines=True
    )
    architecture = _architecture(report, found.get("architecture"))
    profile = _profile(report, architecture, profiles)
    drafts = _resources(report, found.get("resources"))
    requirements = _requirements(report, found)
    resources, joins, deferred = _linked(report, drafts)
    report.raise_if_any()
    return Project(
        name=name,
        description=description,
        profile=profile,
        architecture=architecture,
        resources=resources,
        requirements=requirements,
        join_tables=joins,
        deferred_references=deferred,
    )


# ── architecture ────────────────────────────────────────────────────────────────────────────────────────


def _architecture(report: Report, value: Any) -> dict[str, str]:
    path = report.at("architecture")
    if value is not None and not isinstance(value, dict):
        report.add(
            path, value, "must be a map", "write 'framework: Express.js (Node.js)' and 'database: PostgreSQL'"
        )
        return {}
    out: dict[str, str] = {}
    for item in items(report, path, value, most=20, what="entries"):
        key = (item.name or "").lower()
        near = nearest(key, _ARCHITECTURE_KEYS, cutoff=0.8)
        if near and near != key:
            report.add(
                item.path,
                item.name,
                f"must be one of {', '.join(_ARCHITECTURE_KEYS)}, or another word of your own",
                f"did you mean {near!r}?",
            )
        body = ", ".join(map(str, item.value)) if isinstance(item.value, list) else item.value
        out[key] = text(report, item.path, body, longest=200)
    return {key: out[key] for key in sorted(out) if out[key]}


def _profile(report: Report, architecture: Mapping[str, str], profiles: Sequence[Stack]) -> str:
    """Choose the first profile whose framework and database both match."""
    if not profiles:
        return ""
    matching = list(profiles)
    for key, words in (("framework", "frameworks"), ("database", "databases")):
        written = architecture.get(key, "")
        supported = sorted({entry for profile in profiles for entry in getattr(profile, words)})
        fitting = [p for p in profiles if _matches(written, getattr(p, words))]
        if not fitting:
            rule = f"{key} must be supported: {', '.join(supported)}"
            report.add(
                report.at("architecture", key),
                written or None,
                rule,
                f"choose one of them, such as {supported[0]!r}",
            )
        if matching and fitting and not any(p in fitting for p in matching):
            rule = f"{key} must go with the framework {architecture.get('framework', '')!r}"
            pairs = "; ".join(f"{p.name}: {', '.join(p.databases)}" for p in profiles)
            report.add(report.at("architecture", key), written, rule, f"choose a pair of {pairs}")
        matching = [p for p in matching if p in fitting]
    return matching[0].name if matching else ""


def _matches(written: str, entries: Sequence[str]) -> bool:
    return any(all(word in written.lower() for word in entry.lower().split()) for entry in entries)


# ── resources ───────────────────────────────────────────────────────────────────────────────────────────


class _Drafts:
    """The readable resources by name, and the names that were declared but refused."""

    def __init__(self) -> None:
        self.good: dict[str, ResourceDraft] = {}
        self.faulty: set[str] = set()


def _resources(report: Report, value: Any) -> _Drafts:
    path = report.at("resources")
    out = _Drafts()
    if value is None or value in ([], {}):
        report.add(
            path, value, "must have at least one resource", "write 'users:' with endpoints and fields below"
        )
        return out
    seen: dict[str, str] = {}
    before = len(report.problems)
    for item in items(report, path, value, most=MAX_RESOURCES, what="resources"):
        for name, where, body in _named_bodies(report, item):
            folded = name.lower()
            fault = name_fault(
                name,
                longest=_LONGEST_RESOURCE,
                reserved=RESERVED,
                example=f"{folded}_items" if folded.isidentifier() and folded.isascii() else "items",
            )
            if folded in seen:
                report.add(
                    where, name, f"must not name the same resource as {seen[folded]!r}", "keep one of the two"
                )
            elif fault:
                report.add(where, name, f"resource name {fault[0]}", fault[1])
                out.faulty |= {folded, singular(folded)}
            draft = _resource(report, name, where, body)
            if folded not in seen and not fault:
                out.good[name] = draft
            seen.setdefault(folded, name)
    if seen and len(report.problems) == before:  # a refused endpoint or name has already been reported
        total_fault(report, sum(len(d.endpoints) for d in out.good.values()), most=MAX_ENDPOINTS_IN_ALL)
    return out


def _named_bodies(report: Report, item: Item) -> list[tuple[str, str, Any]]:
    """Give (name, path, body) of `users: {…}`, `- users: {…}` or `- {name: users, …}`."""
    if item.name is not None:
        return [(item.name, item.path, item.value)]
    if isinstance(item.value, dict) and isinstance(item.value.get("name"), str):
        body = {key: value for key, value in item.value.items() if key != "name"}
        return [(item.value["name"], item.path, body)]
    if isinstance(item.value, dict) and len(item.value) == 1:
        ((name, body),) = item.value.items()
        if isinstance(name, str):
            return [(name, join(item.path, name), body)]
    report.add(
        item.path,
        item.value,
        "must be a resource with a name",
        "write 'users:' with endpoints and fields below",
    )
    return []


def _resource(report: Report, name: str, path: str, body: Any) -> ResourceDraft:
    draft = ResourceDraft(name, path)
    if not isinstance(body, dict):
        report.add(
            path, body, "resource must be a map with endpoints and fields", "indent them below the name"
        )
        return draft
    found = known_keys(report, path, body, _RESOURCE_KEYS)
    draft.description = text(
        report, join(path, "description"), found.get("description"), longest=_LONGEST_PHRASE
    )
    draft.endpoints = parse_endpoints(report, join(path, "endpoints"), found.get("endpoints"))
    draft.fields = parse_fields(report, join(path, "fields"), found.get("fields"))
    draft.relations = parse_relations(report, join(path, "relationships"), found.get("relationships"))
    draft.validations = phrases(
        report,
        join(path, "validations"),
        found.get("validations"),
        most=MAX_VALIDATIONS,
        longest=_LONGEST_PHRASE,
        what="validations",
    )
    return draft


# ── requirements ────────────────────────────────────────────────────────────────────────────────────────


def _requirements(report: Report, found: Mapping[str, Any]) -> tuple[Requirement, ...]:
    texts: list[tuple[Category, str]] = []
    for category in _CATEGORIES:
        key = f"{category}_requirements"
        found_texts = phrases(
            report,
            report.at(key),
            found.get(key),
            most=MAX_REQUIREMENTS,
            longest=_LONGEST_PHRASE,
            what="requirements",
        )
        texts += [(category, phrase) for phrase in found_texts]
    keys = [_key(phrase) for _, phrase in texts]
    return tuple(
        Requirement(
            category=category,
            text=phrase,
            # Unique over all categories: layouts name files by it.
            key=key if keys.count(key) == 1 else f"{key}-{short_hash(f'{category} {phrase}')}",
        )
        for (category, phrase), key in zip(texts, keys, strict=True)
    )


def _key(phrase: str) -> str:
    """Name a requirement by the words before a colon or parenthesis: `Rate limiting: …`."""
    head = phrase.split(":", 1)[0].split("(", 1)[0]
    return slug(head) if head.strip() else slug(phrase)


# ── linking ─────────────────────────────────────────────────────────────────────────────────────────────


def _linked(
    report: Report, drafts: _Drafts
) -> tuple[tuple[Resource, ...], tuple[JoinTable, ...], tuple[DeferredReference, ...]]:
    names = Names(drafts.good, frozenset(drafts.faulty))
    primary_keys(report, drafts.good.values())
    foreign_keys(report, names)
    relations(report, names)
    routes = {name: draft.endpoints for name, draft in drafts.good.items()}
    duplicate_routes(report, routes)
    rank = ranks(report, drafts.good)
    joins = join_tables(report, names, rank)
    if report.problems:
        return (), (), ()
    ordered = sorted(drafts.good.values(), key=lambda d: rank[d.name])
    resources = tuple(_built(draft, rank[draft.name][0]) for draft in ordered)
    return resources, joins, _deferred(resources)


def _built(draft: ResourceDraft, sequence: int) -> Resource:
    return Resource(
        name=draft.name,
        table=draft.name,
        singular=singular(draft.name),
        description=draft.description,
        fields=tuple(_field(f) for f in draft.fields),
        validations=draft.validations,
        relationships=tuple(
            Relationship(kind=r.kind, resource=r.resource or r.target, as_=r.role, through=r.through)
            for r in draft.relations
        ),
        endpoints=with_slugs(draft.name, draft.endpoints),
        sequence=sequence,
    )


def _field(draft: FieldDraft) -> ResourceField:
    target = draft.target
    return ResourceField(
        name=draft.name,
        type=draft.type or FieldType.STRING,
        primary_key=draft.primary_key,
        required=draft.primary_key or bool(draft.required),
        unique=draft.primary_key or draft.unique,
        default=draft.default,
        enum=draft.values,
        max_length=draft.max_length,
        references=Reference(resource=target[0], field=target[1] or "id") if target else None,
        raw=draft.raw,
    )


def _deferred(resources: tuple[Resource, ...]) -> tuple[DeferredReference, ...]:
    """List the foreign keys whose target's schema comes later; that schema adds them."""
    place = {resource.name: index for index, resource in enumerate(resources)}
    return tuple(
        DeferredReference(
            resource=resource.name,
            table=resource.table,
            field=item.name,
            references=item.references,
            added_by=item.references.resource,
        )
        for resource in resources
        for item in resource.fields
        if item.references and place[item.references.resource] > place[resource.name]
    )


__all__ = [
    "MAX_PROBLEMS",
    "Category",
    "DeferredReference",
    "Endpoint",
    "FieldType",
    "Invalid",
    "JoinColumn",
    "JoinTable",
    "Project",
    "Reference",
    "Relationship",
    "Requirement",
    "Resource",
    "ResourceField",
    "Stack",
    "parse_project",
]

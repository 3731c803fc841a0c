"""Resolves what one resource says about another: foreign keys, relationships, join tables, order.

Rules that fill gaps, so that a specification may stay short:
- a resource without primary key gets `id: uuid`; a field named `id` is the primary key when none is marked;
- `belongs_to: user (owner)` uses the field `owner_id`, or adds it; without a role, any key to users will do;
- `has_many: tasks` adds the foreign key to tasks when tasks has none;
- `many_to_many` gets one join table for both sides, unless a declared resource is named as `through`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from swarmrun.core import graph
from swarmrun.core.parse_endpoints import EndpointDraft
from swarmrun.core.parse_notation import FieldDraft
from swarmrun.core.parse_relations import RelationDraft
from swarmrun.core.parse_report import Report, join
from swarmrun.core.project_model import FieldType, JoinColumn, JoinTable, Reference
from swarmrun.core.words import RESERVED, did_you_mean, name_fault, singular

_LONGEST_TABLE: Final = 60


@dataclass(slots=True)
class ResourceDraft:
    """A resource while it is read."""

    name: str
    path: str
    description: str = ""
    fields: list[FieldDraft] = field(default_factory=list)
    validations: tuple[str, ...] = ()
    relations: list[RelationDraft] = field(default_factory=list)
    endpoints: list[EndpointDraft] = field(default_factory=list)

    @property
    def primary_key(self) -> FieldDraft:
        """The primary key; exists after `primary_keys`."""
        return next(f for f in self.fields if f.primary_key)


@dataclass(slots=True)
class Names:
    """Finds resources by name or singular, in any case. `faulty` names were declared but refused: no echo."""

    drafts: Mapping[str, ResourceDraft]
    faulty: frozenset[str]
    index: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in sorted(self.drafts):
            for alias in (singular(name), name):
                self.index.setdefault(alias, name)
        self.index.update({name: name for name in self.drafts})

    def find(self, report: Report, path: str, written: str, what: str) -> ResourceDraft | None:
        """Return the resource meant by `written`, or report it with the nearest name."""
        key = written.lower().replace("-", "_")
        if found := self.index.get(key) or self.index.get(singular(key)):
            return self.drafts[found]
        if key not in self.faulty and singular(key) not in self.faulty:
            fix = did_you_mean(key, self.index, "declare that resource, or remove this")
            report.add(path, written, f"{what} must name a declared resource", fix)
        return None


def primary_keys(report: Report, drafts: Iterable[ResourceDraft]) -> None:
    """Give every resource exactly one primary key, or report two."""
    for draft in drafts:
        keys = [f for f in draft.fields if f.primary_key]
        if not keys:
            existing = next((f for f in draft.fields if f.name == "id"), None)
            if existing is None:
                existing = FieldDraft(
                    "id", draft.path, "id: UUID (primary key)", FieldType.UUID, derived=True
                )
                draft.fields.insert(0, existing)
            existing.primary_key = True
        for extra in keys[1:]:
            fix = f"keep the primary key {keys[0].name!r}, and mark {extra.name!r} unique"
            report.add(extra.path, extra.raw, "must have one primary key", fix)
            extra.primary_key = False


def foreign_keys(report: Report, names: Names) -> None:
    """Resolve the written foreign keys; the target field defaults to the primary key."""
    for draft in names.drafts.values():
        for item in draft.fields:
            if item.target is None:
                continue
            target = names.find(report, item.path, item.target[0], "foreign key")
            item.target = _resolved(report, item, target) if target else None


def _resolved(report: Report, item: FieldDraft, target: ResourceDraft) -> tuple[str, str | None] | None:
    wanted = item.target[1] if item.target and item.target[1] else target.primary_key.name
    column = next((f for f in target.fields if f.name == wanted), None)
    if column is None:
        fix = did_you_mean(wanted, [f.name for f in target.fields], f"write 'foreign key to {target.name}'")
        report.add(item.path, f"{target.name}.{wanted}", "foreign key must name a field of its resource", fix)
        return None
    if not (column.primary_key or column.unique):
        fix = f"refer to {target.name}.{target.primary_key.name}, or mark {wanted!r} unique"
        report.add(item.path, f"{target.name}.{wanted}", "foreign key must refer to a unique field", fix)
    if item.type and column.type and item.type is not column.type:
        fix = f"write '{item.name}: {column.type}'"
        report.add(item.path, item.raw, f"foreign key must have the type of {target.name}.{wanted}", fix)
    return target.name, wanted


def relations(report: Report, names: Names) -> None:
    """Resolve the written relationships to resource names, and add the foreign keys that they imply."""
    for kind in ("belongs_to", "has_many"):  # what belongs_to adds, has_many must find
        for name in sorted(names.drafts):
            draft = names.drafts[name]
            for relation in [r for r in draft.relations if r.kind == kind]:
                target = names.find(report, relation.path, relation.target, kind)
                relation.resource = target.name if target else None
                if target and kind == "belongs_to":
                    _ensure_key(report, draft, target, relation)
                elif target and relation.through is None and not _keys_to(target, name):
                    _add_key(
                        report, target, draft, f"{singular(name)}_id", required=False, path=relation.path
                    )
    for draft in names.drafts.values():
        for relation in [r for r in draft.relations if r.kind == "many_to_many"]:
            target = names.find(report, relation.path, relation.target, "many_to_many")
            relation.resource = target.name if target else None


def _keys_to(draft: ResourceDraft, name: str) -> list[FieldDraft]:
    return [f for f in draft.fields if f.target and f.target[0] == name]


def _ensure_key(report: Report, draft: ResourceDraft, target: ResourceDraft, relation: RelationDraft) -> None:
    wanted = f"{relation.role or singular(target.name)}_id"
    column = next((f for f in draft.fields if f.name == wanted), None)
    if column is None and (relation.role or not _keys_to(draft, target.name)):
        _add_key(report, draft, target, wanted, required=not relation.optional, path=relation.path)
    elif column is not None and column.target is None:
        column.target = (target.name, None)
        column.target = _resolved(report, column, target)


def _add_key(
    report: Report, draft: ResourceDraft, target: ResourceDraft, name: str, *, required: bool, path: str
) -> None:
    if any(f.name == name for f in draft.fields):
        fix = f"write 'foreign key to {target.name}' at that field, or give it another name"
        report.add(path, name, "the foreign key of a relationship must not clash with another field", fix)
        return
    note = "required, " if required else ""
    draft.fields.append(
        FieldDraft(
            name=name,
            path=path,
            raw=f"{name}: {target.primary_key.type or 'uuid'} ({note}foreign key to {target.name})",
            type=target.primary_key.type,
            required=required,
            target=(target.name, target.primary_key.name),
            derived=True,
        )
    )


# ── many to many ────────────────────────────────────────────────────────────────────────────────────────


def join_tables(report: Report, names: Names, rank: Mapping[str, tuple[int, str]]) -> tuple[JoinTable, ...]:
    """Make one join table per pair of resources that a many_to_many relates; the later of both owns it."""
    found: dict[tuple[str, str], RelationDraft] = {}
    tables: dict[str, tuple[str, str]] = {}
    for name in sorted(names.drafts):
        for relation in names.drafts[name].relations:
            if relation.kind == "many_to_many" and relation.resource:
                first, second = sorted((name, relation.resource))
                known = found.get((first, second))
                if known is None or known.through is None:
                    found[first, second] = relation
                elif relation.through not in {None, known.through}:
                    fix = f"write 'through {known.through}' on both sides"
                    report.add(
                        relation.path, relation.through, "both sides must name the same join table", fix
                    )
    for pair, relation in sorted(found.items()):
        table = relation.through or "_".join(pair)
        _check_table(report, relation, table, pair, names, tables=tables)
        tables.setdefault(table, pair)
        for name in pair:
            for other in names.drafts[name].relations:
                if (
                    other.kind == "many_to_many"
                    and other.resource in pair
                    and {name, other.resource} == set(pair)
                ):
                    other.through = table
    return tuple(
        _join_table(table, pair, names, rank)
        for table, pair in sorted(tables.items())
        if table not in names.drafts
    )


def _check_table(
    report: Report,
    relation: RelationDraft,
    table: str,
    pair: tuple[str, str],
    names: Names,
    *,
    tables: Mapping[str, tuple[str, str]],
) -> None:
    fault = name_fault(
        table, longest=_LONGEST_TABLE, reserved=RESERVED, example="_".join(pair)[:_LONGEST_TABLE]
    )
    if fault:
        report.add(relation.path, table, f"join table name {fault[0]}", fault[1])
    if tables.get(table, pair) != pair:
        report.add(
            relation.path, table, "must not share a join table with another pair of resources", "rename it"
        )
    if table in names.drafts:
        for side in pair:
            if not _keys_to(names.drafts[table], side):
                fix = f"add '{singular(side)}_id' with 'foreign key to {side}' to {table}"
                report.add(relation.path, table, f"a resource used as join table must refer to {side}", fix)


def _join_table(
    table: str, pair: tuple[str, str], names: Names, rank: Mapping[str, tuple[int, str]]
) -> JoinTable:
    sides = [(name, f"{singular(name)}_id") for name in pair]
    if pair[0] == pair[1]:
        sides[1] = (pair[1], f"related_{singular(pair[1])}_id")
    first, second = (
        JoinColumn(
            resource=name,
            column=column,
            references=Reference(resource=name, field=names.drafts[name].primary_key.name),
        )
        for name, column in sides
    )
    return JoinTable(table=table, owner=max(pair, key=rank.__getitem__), columns=(first, second))


# ── order ───────────────────────────────────────────────────────────────────────────────────────────────


def ranks(report: Report, drafts: Mapping[str, ResourceDraft]) -> dict[str, tuple[int, str]]:
    """Return each resource's place (depth by foreign keys, name); report required cycles."""
    required: dict[str, set[str]] = {name: set() for name in drafts}
    every: dict[str, set[str]] = {name: set() for name in drafts}
    for name, draft in drafts.items():
        for item in draft.fields:
            if item.target is None:
                continue
            every[name].add(item.target[0])
            if item.required or item.primary_key:
                required[name].add(item.target[0])
    try:
        graph.order(required)
    except graph.CycleFoundError as cycle:
        _report_cycle(report, drafts, cycle.nodes)
        return {name: (1, name) for name in drafts}
    return {
        name: (depth, name) for name, depth in graph.depths(graph.without_cycles(every, required)).items()
    }


def _report_cycle(report: Report, drafts: Mapping[str, ResourceDraft], nodes: tuple[str, ...]) -> None:
    # The sorter walks from dependency to dependent; either way round it names the same cycle.
    ring = nodes if all(_keys_to(drafts[a], b) for a, b in pairwise(nodes)) else nodes[::-1]
    start = next(f for f in _keys_to(drafts[ring[0]], ring[1]) if f.required or f.primary_key)
    report.add(
        start.path or join(report.root, "resources"),
        " -> ".join(ring),
        "required foreign keys must not form a cycle: no first row could ever be stored",
        f"mark one of them optional, such as {ring[0]}.{start.name}",
    )

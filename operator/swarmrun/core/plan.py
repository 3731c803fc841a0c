"""The plan: from a project and its profile to the tasks of the swarm. Pure: same input, same ids, same hash.

    scaffold ──▶ db.<resource> ──▶ api.<resource>.<slug> ──▶ test.<resource>.<slug>
                  ▲ foreign keys       └──────▶ docs.<resource>
                  └──────────────▶ req.<category>.<key>

Ids are names, not numbers: a task keeps its id when others come or go, and git's trailers find it again.
Where the profile has no layout for a task type there are no tasks of that type.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import Field

from swarmrun.core import graph
from swarmrun.core.errors import Invalid, Problem
from swarmrun.core.overlap import shared
from swarmrun.core.profile import Profile
from swarmrun.core.project_model import Endpoint, Project, Requirement, Resource
from swarmrun.core.task import TYPE_RANK, Frozen, Task, TaskType
from swarmrun.core.words import singular

_LONGEST_TITLE: Final = 120
#: Most ownership faults listed; all of them have the same cause, a layout.
_MOST_FAULTS: Final = 10


class Plan(Frozen):
    """Tasks in dependency order, then by priority. `hash` identifies the plan."""

    project: str
    profile: str
    hash: str
    tasks: tuple[Task, ...]
    #: The heaviest chain of dependencies, first task first.
    critical_path: tuple[str, ...]
    #: Per task a digest of what its result depends on: tells changed tasks after an edit.
    digests: dict[str, str] = Field(default_factory=dict)

    def task(self, task_id: str) -> Task:
        """Find a task by id."""
        return next(t for t in self.tasks if t.id == task_id)

    @property
    def totals(self) -> dict[TaskType, int]:
        """Count the tasks by type, in the order of the types' ranks; types without tasks are left out."""
        counts = {kind: sum(t.type is kind for t in self.tasks) for kind in TYPE_RANK}
        return {kind: count for kind, count in counts.items() if count}


class PlanChange(Frozen):
    """What an edit of the specification does to a plan."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


def compare(old: Plan, new: Plan) -> PlanChange:
    """Compare two plans by their tasks' digests."""
    both = [t.id for t in new.tasks if t.id in old.digests]
    return PlanChange(
        added=tuple(t.id for t in new.tasks if t.id not in old.digests),
        removed=tuple(t.id for t in old.tasks if t.id not in new.digests),
        changed=tuple(i for i in both if old.digests[i] != new.digests[i]),
        unchanged=tuple(i for i in both if old.digests[i] == new.digests[i]),
    )


def build_plan(project: Project, profile: Profile) -> Plan:
    """Decompose a project into tasks.

    Raises:
        Invalid: the profile's layout gives one path to two tasks, or has an unknown placeholder.
    """
    tasks = tuple(_Builder(project, profile).tasks())
    _check_ownership(profile, tasks)
    edges = {t.id: set(t.depends_on) for t in tasks}
    weights = {t.id: t.weight for t in tasks}
    left = graph.remaining(edges, weights)
    place = {task_id: index for index, task_id in enumerate(graph.order(edges))}
    ranked = tuple(
        t.model_copy(update={"priority": left[t.id] * 100 + len(TYPE_RANK) - 1 - TYPE_RANK[t.type]})
        for t in sorted(tasks, key=lambda t: place[t.id])
    )
    body = [
        profile.name,
        *(t.model_dump(mode="json", exclude={"priority"}) for t in sorted(tasks, key=lambda t: t.id)),
    ]
    return Plan(
        project=project.name,
        profile=profile.name,
        hash=_sha256(body),
        tasks=ranked,
        critical_path=graph.heaviest_path(edges, weights),
        digests={t.id: _digest(t) for t in ranked},
    )


def covered(text: str, profile: Profile) -> bool:
    """Tell whether the profile's gates already prove a requirement, so that no task is needed for it."""
    return any(re.search(pattern, text.lower()) for pattern in profile.covered_requirements)


def _sha256(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _digest(task: Task) -> str:
    """Hash what decides a task's result; other endpoints and other resources do not."""
    spec = {key: value for key, value in task.spec.items() if key not in {"project", "related", "resources"}}
    if "resource" in spec and task.type is not TaskType.WRITE_DOCS:
        spec["resource"] = {key: value for key, value in spec["resource"].items() if key != "endpoints"}
    if task.type is TaskType.SCAFFOLD:
        spec["architecture"] = task.spec["project"]["architecture"]
    return _sha256([task.type, task.title, task.owned, task.tests, spec])[:16]


def _check_ownership(profile: Profile, tasks: Iterable[Task]) -> None:
    problems = []
    for first, second, pattern in shared({t.id: t.owned for t in tasks}):
        problems.append(
            Problem(
                path=f"profile.{profile.name}.layout",
                value=f"{pattern!r} of {first} and {second}",
                rule="must give each path to one task at most",
                fix="use {resource}, {slug} or {table} so that the paths differ",
            )
        )
        if len(problems) >= _MOST_FAULTS:
            break
    if problems:
        raise Invalid(problems)


class _Builder:
    """Makes the tasks of one project; holds what all of them share."""

    def __init__(self, project: Project, profile: Profile) -> None:
        self.project, self.profile = project, profile
        self.shared = project.slice()
        self.slices = {r.name: r.slice() for r in project.resources}
        self.words = {
            word: r.name
            for r in project.resources
            for word in (r.name.replace("_", "-"), r.name, singular(r.name))
        }

    def tasks(self) -> Iterable[Task]:
        """Yield every task."""
        yield from self._made(
            TaskType.SCAFFOLD,
            "scaffold",
            f"Scaffold {self.project.name}",
            spec={"resources": [self.slices[r.name] for r in self.project.resources]},
        )
        for resource in self.project.resources:
            yield from self._of_resource(resource)
        for requirement in self.project.requirements:
            if not covered(requirement.text, self.profile):
                yield from self._requirement(requirement)

    def _of_resource(self, resource: Resource) -> Iterable[Task]:
        yield from self._made(
            TaskType.IMPLEMENT_DATABASE,
            _db(resource.name),
            f"Create database schema for {resource.name}",
            resource=resource,
            depends_on=["scaffold", *map(_db, self._schemas_before(resource))],
            spec=self._schema_spec(resource),
        )
        needed = [_db(name) for name in self._schemas_for_routes(resource)]
        for endpoint in resource.endpoints:
            yield from self._of_endpoint(resource, endpoint, needed)
        routes = [_id("api", resource.name, e.slug) for e in resource.endpoints]
        yield from self._made(
            TaskType.WRITE_DOCS,
            _id("docs", resource.name),
            f"Document {resource.name}",
            resource=resource,
            depends_on=[_db(resource.name), *routes],
        )

    def _of_endpoint(self, resource: Resource, endpoint: Endpoint, needed: list[str]) -> Iterable[Task]:
        named = sorted(self._named_in(endpoint) - {resource.name})
        spec = {"endpoint": endpoint.slice(), **self._joins_spec(resource)}
        subject = _id("api", resource.name, endpoint.slug)
        words = {"operation": endpoint.operation, "slug": endpoint.slug}
        yield from self._made(
            TaskType.IMPLEMENT_ENDPOINT,
            subject,
            f"Implement {endpoint.method} {endpoint.path}",
            resource=resource,
            depends_on=[*needed, *map(_db, named)],
            spec=spec,
            words=words,
            related=named,
        )
        yield from self._made(
            TaskType.WRITE_TESTS,
            _id("test", resource.name, endpoint.slug),
            f"Write tests for {endpoint.method} {endpoint.path}",
            resource=resource,
            depends_on=[subject],
            spec=spec,
            words=words,
            related=named,
            subject=subject,
        )

    def _requirement(self, requirement: Requirement) -> Iterable[Task]:
        yield from self._made(
            TaskType.IMPLEMENT_REQUIREMENT,
            _id("req", requirement.category, requirement.key),
            requirement.text,
            depends_on=["scaffold", *(_db(r.name) for r in self.project.resources)],
            spec={
                "requirement": requirement.model_dump(mode="json"),
                "resources": [self.slices[r.name] for r in self.project.resources],
            },
            words={"slug": requirement.key},
        )

    # ── what depends on what ──

    def _schemas_before(self, resource: Resource) -> list[str]:
        """Resources whose tables this schema refers to, or completes."""
        added = {d.resource for d in self.project.deferred_references if d.added_by == resource.name}
        joined = {
            column.resource
            for join in self.project.join_tables
            if join.owner == resource.name
            for column in join.columns
        }
        deferred = {d.field for d in self.project.deferred_references if d.resource == resource.name}
        direct = {f.references.resource for f in resource.fields if f.references and f.name not in deferred}
        return sorted((direct | added | joined) - {resource.name})

    def _schemas_for_routes(self, resource: Resource) -> list[str]:
        """The resource's own schema, and those that complete its tables or join it to others."""
        added = {d.added_by for d in self.project.deferred_references if d.resource == resource.name}
        owners = {
            join.owner
            for join in self.project.join_tables
            if resource.name in {column.resource for column in join.columns}
        }
        through = {r.through for r in resource.relationships if r.through in self.slices and r.through}
        return sorted({resource.name} | added | owners | through)

    def _named_in(self, endpoint: Endpoint) -> set[str]:
        """Resources that a nested route such as /api/projects/:id/tasks names."""
        return {self.words[s.lower()] for s in endpoint.path.split("/") if s.lower() in self.words}

    # ── slices of the specification ──

    def _schema_spec(self, resource: Resource) -> dict[str, Any]:
        deferred = [
            d.model_dump(mode="json")
            for d in self.project.deferred_references
            if resource.name in {d.resource, d.added_by}
        ]
        joins = [j.model_dump(mode="json") for j in self.project.join_tables if j.owner == resource.name]
        return {
            **({"deferred_references": deferred} if deferred else {}),
            **({"join_tables": joins} if joins else {}),
        }

    def _joins_spec(self, resource: Resource) -> dict[str, Any]:
        joins = [
            j.model_dump(mode="json")
            for j in self.project.join_tables
            if resource.name in {column.resource for column in j.columns}
        ]
        return {"join_tables": joins} if joins else {}

    def _related(self, resource: Resource, more: Iterable[str]) -> list[dict[str, Any]]:
        names = resource.foreign_resources | {r.resource for r in resource.relationships} | set(more)
        return [self.slices[r.name] for r in self.project.resources if r.name in names - {resource.name}]

    # ── one task ──

    def _made(
        self,
        kind: TaskType,
        task_id: str,
        title: str,
        *,
        resource: Resource | None = None,
        depends_on: Iterable[str] = (),
        spec: dict[str, Any] | None = None,
        words: dict[str, str] | None = None,
        related: Iterable[str] = (),
        subject: str | None = None,
    ) -> Iterable[Task]:
        layout = self.profile.layout.get(kind)
        if layout is None:
            return
        values = dict(words or {})
        slices: dict[str, Any] = {"project": self.shared}
        if resource is not None:
            values |= {"resource": resource.name, "table": resource.table, "seq": f"{resource.sequence:04d}"}
            slices |= {"resource": self.slices[resource.name], "related": self._related(resource, related)}
        present = [d for d in dict.fromkeys(depends_on) if self._exists(d)]
        yield Task(
            id=task_id,
            type=kind,
            title=_short(title),
            resource=resource.name if resource else None,
            depends_on=tuple(present),
            owned=self._paths(kind, layout.owned, values),
            reads=self._paths(kind, layout.reads, values),
            tests=self._paths(kind, layout.tests, values),
            spec={**slices, **(spec or {})},
            weight=layout.weight,
            subject=subject,
        )

    def _exists(self, task_id: str) -> bool:
        kinds = {
            "scaffold": TaskType.SCAFFOLD,
            "db": TaskType.IMPLEMENT_DATABASE,
            "api": TaskType.IMPLEMENT_ENDPOINT,
        }
        return kinds[task_id.split(".", 1)[0]] in self.profile.layout

    def _paths(self, kind: TaskType, patterns: tuple[str, ...], values: dict[str, str]) -> tuple[str, ...]:
        return tuple(_render(self.profile, kind, pattern, values) for pattern in patterns)


def _render(profile: Profile, kind: TaskType, pattern: str, values: dict[str, str]) -> str:
    try:
        return pattern.format_map(values)
    except (KeyError, ValueError, IndexError) as error:
        known = ", ".join(f"{{{key}}}" for key in sorted(values)) or "none"
        problem = Problem(
            path=f"profile.{profile.name}.layout.{kind}",
            value=repr(pattern),
            rule=f"must use placeholders that this task type has: {known}",
            fix=f"mend the placeholder {error}",
        )
        raise Invalid([problem]) from None


def _id(*parts: str) -> str:
    return ".".join(part.replace("_", "-") for part in parts)


def _db(resource: str) -> str:
    return _id("db", resource)


def _short(title: str) -> str:
    return title if len(title) <= _LONGEST_TITLE else title[: _LONGEST_TITLE - 1].rstrip() + "…"

"""The project specification after parsing: normalised, frozen, every reference resolved.

Order never carries meaning that YAML or the API server would lose: resources stand in dependency order, then
by name; a list of fields keeps its order, a map of fields is sorted with the primary key first.
`slice()` methods give the JSON of docs/contracts.md.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Literal

from pydantic import ConfigDict, Field

from swarmrun.core.task import Frozen

Operation = Literal["create", "read", "update", "delete", "list", "other"]
Category = Literal["performance", "quality", "security"]


class FieldType(StrEnum):
    """Types of a resource's fields."""

    UUID = "uuid"
    STRING = "string"
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"
    JSON = "json"
    ENUM = "enum"


class Reference(Frozen):
    """Target of a foreign key."""

    resource: str
    field: str


class ResourceField(Frozen):
    """A column. `raw` is the notation as written: words that we do not know still reach the model."""

    name: str
    type: FieldType
    primary_key: bool = False
    required: bool = False
    unique: bool = False
    default: str | int | float | bool | None = None
    enum: tuple[str, ...] = ()
    max_length: int | None = None
    references: Reference | None = None
    raw: str = ""


class Relationship(Frozen):
    """How a resource relates to another; `as` is the role of the other side, `through` the join table."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    kind: Literal["belongs_to", "has_many", "many_to_many"]
    resource: str
    as_: str | None = Field(default=None, alias="as")
    through: str | None = None


class Endpoint(Frozen):
    """One route. `path` has `:name` parameters; `slug` is unique in the resource, part of task ids."""

    method: str
    path: str
    operation: Operation
    params: tuple[str, ...] = ()
    slug: str
    raw: str = ""

    def slice(self) -> dict[str, Any]:
        """Return the JSON form."""
        return self.model_dump(mode="json")


class JoinColumn(Frozen):
    """One side of a join table."""

    resource: str
    column: str
    references: Reference


class JoinTable(Frozen):
    """A table of a many-to-many relationship that no resource declares. `owner`'s migration creates it."""

    table: str
    owner: str
    columns: tuple[JoinColumn, JoinColumn]


class DeferredReference(Frozen):
    """An optional foreign key that would close a cycle: the schema of `added_by`, the later one, adds it."""

    resource: str
    table: str
    field: str
    references: Reference
    added_by: str


class Resource(Frozen):
    """One resource. `sequence` is its depth in the graph of foreign keys, from 1.

    Depth instead of position: a resource added later leaves the numbers of the others alone. Sorted by
    (sequence, table), every schema comes after the schemas that it refers to.
    """

    name: str
    table: str
    singular: str
    description: str = ""
    fields: tuple[ResourceField, ...]
    validations: tuple[str, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    sequence: int = 1

    @property
    def primary_key(self) -> ResourceField:
        """The one primary key; parsing adds `id: uuid` where none was written."""
        return next(f for f in self.fields if f.primary_key)

    @property
    def foreign_resources(self) -> frozenset[str]:
        """Names of other resources that foreign keys of this one refer to."""
        return frozenset(f.references.resource for f in self.fields if f.references) - {self.name}

    def slice(self) -> dict[str, Any]:
        """Return the JSON form."""
        data = self.model_dump(mode="json", by_alias=True)
        if not self.description:
            del data["description"]
        return data


class Requirement(Frozen):
    """One requirement; `key` is unique within its category and part of its task's id."""

    category: Category
    text: str
    key: str


class Project(Frozen):
    """A whole specification. `resources` is in dependency order, `profile` the name of the chosen stack."""

    name: str
    description: str = ""
    profile: str = ""
    architecture: dict[str, str] = Field(default_factory=dict)
    resources: tuple[Resource, ...]
    requirements: tuple[Requirement, ...] = ()
    join_tables: tuple[JoinTable, ...] = ()
    deferred_references: tuple[DeferredReference, ...] = ()

    def resource(self, name: str) -> Resource:
        """Find a resource by its name."""
        return next(r for r in self.resources if r.name == name)

    @property
    def endpoint_count(self) -> int:
        """Count the endpoints of all resources."""
        return sum(len(r.endpoints) for r in self.resources)

    @property
    def coverage_percent(self) -> int | None:
        """The test coverage that the quality requirements ask for, in percent, or None."""
        for requirement in self.requirements:
            match = re.search(
                r"coverage\D{0,20}(\d{1,3})\s*%|(\d{1,3})\s*%\D{0,20}coverage", requirement.text.lower()
            )
            if requirement.category == "quality" and match:
                return min(100, int(match[1] or match[2]))
        return None

    def slice(self) -> dict[str, Any]:
        """Return what every task gets to see of the project, in JSON form."""
        return {
            "name": self.name,
            "description": self.description,
            "architecture": dict(sorted(self.architecture.items())),
            "resources": [r.name for r in self.resources],
            "requirements": {
                category: [r.text for r in self.requirements if r.category == category]
                for category in ("performance", "quality", "security")
            },
        }

"""A resource as the generators see it: every field with its role, its rule and its neighbours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from simulated_model.rules import Rule, rule_for
from simulated_model.text import camel, pascal, words

#: Foreign keys to an account that say who a row belongs to, best first.
OWNER_FIELDS = ("owner_id", "author_id", "user_id", "creator_id", "created_by", "created_by_id")
_ACCOUNT_NAMES = frozenset({"users", "accounts", "members"})


class Role(StrEnum):
    """Who decides the value of a field."""

    KEY = "key"
    PASSWORD = "password"  # noqa: S105 — the name of a role, not a password
    CREATED = "created"
    UPDATED = "updated"
    OWNER = "owner"
    CLIENT = "client"


@dataclass(frozen=True)
class Column:
    """A field of a resource with all that is known of it."""

    name: str
    type: str
    role: Role
    required: bool
    unique: bool
    default: Any
    choices: tuple[str, ...]
    rule: Rule
    #: Name of the resource that this foreign key refers to, and the field there.
    target: str | None = None
    target_field: str = "id"

    @property
    def not_null(self) -> bool:
        """Tell whether the column refuses NULL."""
        generated = self.role in {Role.KEY, Role.PASSWORD, Role.CREATED, Role.UPDATED, Role.OWNER}
        return self.required or generated or self.default is not None

    @property
    def api_name(self) -> str:
        """Name in the API: a password's hash is set by `password`."""
        return "password" if self.role is Role.PASSWORD else self.name


@dataclass(frozen=True)
class Link:
    """A many-to-many relation seen from the resource that declares it."""

    api_name: str
    table: str
    own: str
    other: str
    target: str
    #: Type of the other side's primary key.
    key_type: str = "uuid"

    @property
    def variable(self) -> str:
        """`labelLink`: its name in the model module."""
        return f"{camel(self.api_name.removesuffix('_ids'))}Link"


@dataclass(frozen=True)
class Model:
    """A resource of the specification."""

    name: str
    table: str
    singular: str
    sequence: int
    columns: tuple[Column, ...]
    links: tuple[Link, ...]
    raw: Mapping[str, Any]

    @property
    def place(self) -> tuple[int, str]:
        """Where this resource's migration stands among all: by sequence, then by table."""
        return self.sequence, self.table

    @property
    def key(self) -> Column:
        """The primary key."""
        return next(c for c in self.columns if c.role is Role.KEY)

    @property
    def password(self) -> Column | None:
        """The password's column; a resource with one is an account."""
        return next((c for c in self.columns if c.role is Role.PASSWORD), None)

    @property
    def owner(self) -> Column | None:
        """The column that says which account a row belongs to."""
        return next((c for c in self.columns if c.role is Role.OWNER), None)

    @property
    def visible(self) -> list[Column]:
        """Columns that the API returns."""
        return [c for c in self.columns if c.role is not Role.PASSWORD]

    @property
    def writable(self) -> list[Column]:
        """Columns that a client sets when it creates a row."""
        keyed = [self.key] if self.key.type not in {"uuid", "integer"} else []
        return keyed + [c for c in self.columns if c.role in {Role.CLIENT, Role.PASSWORD}]

    @property
    def label(self) -> str:
        """`Task label`: the singular for people."""
        return words(self.singular).capitalize()

    @property
    def variable(self) -> str:
        """`taskLabelRow`."""
        return f"{camel(self.singular)}Row"

    @property
    def inserter(self) -> str:
        """Name under which a test imports this resource's factory."""
        return f"insert{pascal(self.singular)}"

    def has(self, role: Role) -> bool:
        """Tell whether a column has this role."""
        return any(c.role is role for c in self.columns)


def is_password(name: str) -> bool:
    """Tell a password's field by its name."""
    return name.lower() in {"password", "password_hash", "passwordhash", "hashed_password", "password_digest"}


def is_account(resource: Mapping[str, Any]) -> bool:
    """A resource with a password is an account: one can log in as it."""
    return any(is_password(f["name"]) for f in resource.get("fields", ()))


def uses_tokens(project: Mapping[str, Any]) -> bool:
    """Tell whether the architecture asks for JWT authentication."""
    text = str((project.get("architecture") or {}).get("authentication") or "").lower()
    return bool(re.search(r"jwt|json web token|bearer", text))


def _owner_name(resource: Mapping[str, Any], related: Iterable[Mapping[str, Any]]) -> str | None:
    accounts = {r["name"] for r in related if is_account(r)} | _ACCOUNT_NAMES
    keys = {
        f["name"]
        for f in resource.get("fields", ())
        if (f.get("references") or {}).get("resource") in accounts
    }
    return next((name for name in OWNER_FIELDS if name in keys), None)


def _role(field: Mapping[str, Any], owner: str | None, key: str) -> Role:
    name = field["name"].lower().replace("_", "")
    if field["name"] == key:
        return Role.KEY
    if is_password(field["name"]):
        return Role.PASSWORD
    if field["type"] == "timestamp" and name in {"createdat", "updatedat"}:
        return Role.CREATED if name == "createdat" else Role.UPDATED
    return Role.OWNER if field["name"] == owner else Role.CLIENT


def _column(field: Mapping[str, Any], role: Role, validations: Iterable[str]) -> Column:
    references = field.get("references") or {}
    rule = rule_for(field["name"], validations)
    if field.get("max_length") and rule.max_length is None:
        rule = Rule(**{**rule.__dict__, "max_length": int(field["max_length"])})
    if not rule.format and field["type"] == "string" and re.fullmatch(r"e_?mail", field["name"].lower()):
        rule = Rule(**{**rule.__dict__, "format": "email"})
    choices = tuple(str(c) for c in field.get("enum") or ()) or rule.choices
    kind = "enum" if choices else field["type"]
    return Column(
        name=field["name"],
        type="string" if kind == "enum" and not choices else kind,
        role=role,
        required=bool(field.get("required")),
        unique=bool(field.get("unique")) and role is not Role.KEY,
        default=field.get("default"),
        choices=choices,
        rule=rule,
        target=references.get("resource"),
        target_field=references.get("field") or "id",
    )


def _columns(
    resource: Mapping[str, Any], related: Iterable[Mapping[str, Any]], *, tokens: bool
) -> list[Column]:
    fields = list(resource.get("fields") or ())
    key = next((f["name"] for f in fields if f.get("primary_key")), "id")
    if all(f["name"] != key for f in fields):
        fields.insert(0, {"name": key, "type": "uuid", "primary_key": True})
    owner = _owner_name(resource, related) if tokens else None
    return [_column(f, _role(f, owner, key), resource.get("validations") or ()) for f in fields]


def _singular(resource: Mapping[str, Any]) -> str:
    return str(resource.get("singular") or resource["name"].removesuffix("s"))


def join_table(a: Mapping[str, Any], b: Mapping[str, Any], through: str | None) -> str:
    """Name a join table: as declared, or both tables in alphabetical order."""
    return through or "_".join(sorted((table_of(a), table_of(b))))


def table_of(resource: Mapping[str, Any]) -> str:
    """Give the resource's table."""
    return str(resource.get("table") or resource["name"])


def _links(
    resource: Mapping[str, Any], related: Iterable[Mapping[str, Any]], resources: Iterable[str]
) -> list[Link]:
    others = {r["name"]: r for r in related}
    links = []
    for relation in resource.get("relationships") or ():
        other = others.get(relation.get("resource", ""))
        through = relation.get("through")
        explicit = through in set(resources)
        if relation.get("kind") != "many_to_many" or other is None or explicit:
            continue
        singular = _singular(other)
        itself = "related_" if other["name"] == resource["name"] else ""
        links.append(
            Link(
                api_name=f"{itself}{singular}_ids",
                table=join_table(resource, other, through),
                own=f"{_singular(resource)}_id",
                other=f"{itself}{singular}_id",
                target=other["name"],
                key_type=next((f["type"] for f in other.get("fields") or () if f.get("primary_key")), "uuid"),
            )
        )
    return links


def build(
    resource: Mapping[str, Any], related: Iterable[Mapping[str, Any]], project: Mapping[str, Any]
) -> Model:
    """Understand a resource of the prompt; `related` are the resources it touches."""
    neighbours = [*related, resource]
    return Model(
        name=resource["name"],
        table=table_of(resource),
        singular=_singular(resource),
        sequence=int(resource.get("sequence") or 1),
        columns=tuple(_columns(resource, neighbours, tokens=uses_tokens(project))),
        links=tuple(_links(resource, neighbours, project.get("resources") or ())),
        raw=resource,
    )

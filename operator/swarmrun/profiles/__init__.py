"""Profiles: one folder of data per stack, loaded and chosen here.

A folder `<name>` (dashes as underscores) holds `profile.yaml`, `conventions.md` and `template/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

import yaml

from swarmrun.core.errors import Invalid, Problem
from swarmrun.core.profile import Profile

_PACKAGE: Final = "swarmrun.profiles"
#: What a package manager or an editor may leave in a template folder.
_IGNORED: Final = frozenset({"node_modules", "__pycache__", ".DS_Store"})


def names() -> tuple[str, ...]:
    """Name every profile, sorted."""
    folders = (f for f in resources.files(_PACKAGE).iterdir() if f.is_dir())
    return tuple(sorted(f.name.replace("_", "-") for f in folders if f.joinpath("profile.yaml").is_file()))


@lru_cache(maxsize=16)
def load(name: str) -> Profile:
    """Read a profile with its conventions and its template.

    Raises:
        Invalid: there is no profile of this name.
        pydantic.ValidationError: the profile's data is wrong.
    """
    if name not in names():
        raise Invalid([_unknown("profile", name)])
    folder = resources.files(_PACKAGE).joinpath(name.replace("-", "_"))
    data = yaml.safe_load(folder.joinpath("profile.yaml").read_text(encoding="utf-8"))
    return Profile.model_validate(
        data
        | {
            "conventions": folder.joinpath("conventions.md").read_text(encoding="utf-8"),
            "template": dict(_tree(folder.joinpath("template"), "")),
        }
    )


def select(architecture: Mapping[str, Any]) -> Profile | Problem:
    """Choose the profile whose framework and database the architecture names, or say what is supported."""
    framework = str(architecture.get("framework") or "").lower()
    database = str(architecture.get("database") or "").lower()
    profiles = [load(name) for name in names()]
    fitting = [p for p in profiles if _names_one(framework, p.frameworks)]
    if not fitting:
        known = sorted({group for p in profiles for group in p.frameworks})
        return _problem("framework", framework, "must name a framework with a profile", known)
    for profile in fitting:
        if _names_one(database, profile.databases):
            return profile
    known = sorted({group for p in fitting for group in p.databases})
    return _problem("database", database, "must name a database that the framework's profile has", known)


def _names_one(text: str, groups: Iterable[str]) -> bool:
    return any(all(word in text for word in group.split()) for group in groups)


def _problem(key: str, value: str, rule: str, known: Iterable[str]) -> Problem:
    return Problem(
        path=f"architecture.{key}",
        value=repr(value) if value else "nothing",
        rule=rule,
        fix=f"use one of: {', '.join(known)}",
    )


def _unknown(path: str, name: str) -> Problem:
    return Problem(
        path=path, value=repr(name), rule="must name a profile", fix=f"use one of: {', '.join(names())}"
    )


def _tree(folder: Traversable, prefix: str) -> Iterable[tuple[str, str]]:
    """Walk a template depth first, in the order of names: (path, text)."""
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.name in _IGNORED:
            continue
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _tree(entry, f"{path}/")
        else:
            yield path, entry.read_text(encoding="utf-8")

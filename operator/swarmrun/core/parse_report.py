"""Collects every fault of a specification, and reads its loose notations: texts, maps and lists of items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from swarmrun.core.errors import Invalid, Problem
from swarmrun.core.words import clean, did_you_mean, shown, snake

#: Most problems that one answer lists; the rest is counted.
MAX_PROBLEMS: Final = 50


@dataclass(slots=True)
class Report:
    """The faults found so far."""

    root: str = ""
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: str, value: Any, rule: str, fix: str) -> None:
        """Note one fault, unless the same rule was already noted at that path."""
        problem = Problem(path=path or self.root or "project", value=shown(value), rule=rule, fix=fix)
        if problem not in self.problems:
            self.problems.append(problem)

    def at(self, *keys: str | int) -> str:
        """Return a path below the root; the keys "resources", "users", 3 give resources.users[3]."""
        return join(self.root, *keys)

    def raise_if_any(self) -> None:
        """End with all faults.

        Raises:
            Invalid: there are faults; at most `MAX_PROBLEMS` are listed, the last entry counts the others.
        """
        if not self.problems:
            return
        listed = self.problems[:MAX_PROBLEMS]
        if (rest := len(self.problems) - len(listed)) > 0:
            listed.append(
                Problem(
                    path=self.root or "project",
                    value=f"{rest} more problems",
                    rule=f"must be free of faults; the first {MAX_PROBLEMS} are listed",
                    fix="mend these and check again",
                )
            )
        raise Invalid(listed)


def join(base: str, *keys: str | int) -> str:
    """Append keys to a path; integers become [n], odd keys are shown escaped and shortened."""
    for key in keys:
        if isinstance(key, int):
            base += f"[{key}]"
        else:
            name = key if key.isascii() and key.isprintable() and len(key) <= 60 else shown(key)  # noqa: PLR2004 — a path stays readable
            base = f"{base}.{name}" if base else name
    return base


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a map or list: its path, its name where the notation gives one, and what was written."""

    path: str
    name: str | None
    value: Any


def items(report: Report, path: str, value: Any, *, most: int, what: str) -> Iterator[Item]:
    """Walk a map, a list of anything, or nothing. Lists of one-entry maps are split into named entries.

    Map entries come sorted by key: the API server sorts them anyway, so their order must not matter.
    """
    if value is None:
        return
    if not isinstance(value, dict | list | tuple):
        report.add(
            path, value, f"must be a list or a map of {what}", "write one entry a line, each after '- '"
        )
        return
    if len(value) > most:
        report.add(path, value, f"must have at most {most} {what}", "split the project, or leave some out")
        return
    if isinstance(value, dict):
        yield from _entries(report, path, value)
        return
    for index, entry in enumerate(value):
        yield Item(join(path, index), None, entry)


def _entries(report: Report, path: str, value: dict[Any, Any]) -> Iterator[Item]:
    for key in sorted(value, key=str):
        if isinstance(key, str):
            yield Item(join(path, key), key, value[key])
        else:
            report.add(path, key, "must have text as keys", f"put the key in quotes: '{shown(key)}'")


def named(report: Report, item: Item) -> Iterator[Item]:
    """Split a list entry such as `{email: string}` into its named parts; named items pass through."""
    if item.name is None and isinstance(item.value, dict):
        for entry in _entries(report, item.path, item.value):
            yield Item(item.path, entry.name, entry.value)
    else:
        yield item


def known_keys(report: Report, path: str, value: dict[Any, Any], known: dict[str, str]) -> dict[str, Any]:
    """Pick the known keys of a map in any spelling (camelCase, hyphens); report the others.

    `known` maps each accepted spelling in snake_case to the canonical name.
    """
    out: dict[str, Any] = {}
    for entry in _entries(report, path, value):
        key = snake(entry.name or "")
        if key not in known:
            report.add(
                entry.path,
                entry.name,
                f"must be one of {', '.join(sorted(set(known.values())))}",
                did_you_mean(key, known, "remove it, or move its text to a requirement"),
            )
        elif known[key] in out:
            report.add(
                entry.path, entry.name, f"must not give {known[key]} twice", "keep one of the spellings"
            )
        else:
            out[known[key]] = entry.value
    return out


def text(
    report: Report, path: str, value: Any, *, longest: int, required: bool = False, lines: bool = False
) -> str:
    """Read one text; numbers are taken as written, other values are faults. Empty when missing."""
    if value is None or value == "":
        if required:
            report.add(path, value, f"must be a text of 1 to {longest} characters", "write it")
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        report.add(path, value, "must be text", "put it in quotes")
        return ""
    cleaned = clean(str(value), lines=lines)
    if len(cleaned) > longest:
        report.add(path, value, f"must have at most {longest} characters, has {len(cleaned)}", "shorten it")
        return ""
    if required and not cleaned:
        report.add(path, value, f"must be a text of 1 to {longest} characters", "write it")
    return cleaned


def phrases(report: Report, path: str, value: Any, *, most: int, longest: int, what: str) -> tuple[str, ...]:
    """Read a list of one-line texts. `- Test coverage: 80%+`, which YAML reads as a map, counts as a text."""
    if isinstance(value, str):
        value = [value]
    out: list[str] = []
    for item in items(report, path, value, most=most, what=what):
        for part in named(report, item):
            body = _plain(part.value)
            if part.name is not None:
                body = f"{part.name}: {body}" if isinstance(body, str) and body else body or part.name
            if phrase := text(report, part.path, body, longest=longest, required=True):
                out.append(phrase)
    return tuple(dict.fromkeys(out))


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int | float) else value

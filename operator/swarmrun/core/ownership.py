"""Which paths a task may write. Pure; enforced by the agent (advice) and by the merger (law)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from swarmrun.core.errors import Problem

MAX_PATH: Final = 240
_SEGMENT = re.compile(r"^[A-Za-z0-9_@+=,()\[\]~.-]+$")


def path_problem(path: str) -> Problem | None:
    """Return why `path` may never be written, or None. The repository's root is the only anchor."""

    def problem(rule: str) -> Problem:
        return Problem(
            path="path", value=ascii(path), rule=rule, fix="use a plain relative path with forward slashes"
        )

    if not path or len(path) > MAX_PATH:
        return problem(f"must have 1 to {MAX_PATH} characters")
    if path.startswith("/") or "\\" in path or "\0" in path:
        return problem("must be relative, without backslash or NUL")
    if unicodedata.normalize("NFC", path) != path or not path.isascii():
        return problem("must be plain ASCII")
    for segment in path.split("/"):
        if segment in {"", ".", ".."} or not _SEGMENT.match(segment):
            return problem("must not have empty, '.' or '..' segments or unusual characters")
        if segment.lower().startswith(".git") and segment.lower() != ".gitignore":
            return problem("must not touch git's own files")
    return None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    out = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern):
        out += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return re.compile(out)


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Tell whether `path` matches one of the globs (`*` within a segment, `**` across segments)."""
    return any(_compiled(p).fullmatch(path) for p in patterns)


def violations(paths: Sequence[str], *, owned: Sequence[str], protected: Sequence[str]) -> list[Problem]:
    """List every path that a task owning `owned` may not write, each with the reason."""
    found: list[Problem] = []
    seen: dict[str, str] = {}
    for path in paths:
        if (unsafe := path_problem(path)) is not None:
            found.append(unsafe)
            continue
        twin = seen.setdefault(path.lower(), path)
        if twin != path:
            found.append(
                Problem(
                    path=path,
                    value=twin,
                    rule="must not differ from another path by case alone",
                    fix="keep one",
                )
            )
        if matches(path, protected) or not matches(path, owned):
            found.append(
                Problem(
                    path=path,
                    value="edit",
                    rule="must be one of the task's own paths",
                    fix=f"write only {', '.join(owned)}",
                )
            )
    return found

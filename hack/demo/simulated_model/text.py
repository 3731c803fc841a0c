"""Fill text templates: `{{name}}` placeholders and `//#if flag`, `//#else`, `//#end` lines."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "templates"
_ALONE = re.compile(r"^(?P<indent>\s*)\{\{(?P<name>\w+)\}\}$")
_INLINE = re.compile(r"\{\{(\w+)\}\}")


@lru_cache(maxsize=64)
def template(name: str) -> str:
    """Read a template by its path below `templates/`."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def template_names(folder: str) -> list[str]:
    """List the files below a folder of `templates/`, relative to it, sorted."""
    root = _FOLDER / folder
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def _kept_lines(text: str, flags: Collection[str]) -> list[str]:
    """Drop the branches whose flag is not set; `!flag` asks for its absence."""
    stack: list[bool] = []
    kept: list[str] = []
    for line in text.splitlines():
        mark = line.strip()
        if mark.startswith("//#if "):
            flag = mark.removeprefix("//#if ").strip()
            stack.append((flag.removeprefix("!") in flags) != flag.startswith("!"))
        elif mark == "//#else":
            stack[-1] = not stack[-1]
        elif mark == "//#end":
            stack.pop()
        elif all(stack):
            kept.append(line)
    if stack:
        raise ValueError("a template has an //#if without its //#end")
    return kept


def fill(text: str, values: Mapping[str, str] | None = None, flags: Collection[str] = ()) -> str:
    """Fill a template; a placeholder alone on its line indents its whole value, and vanishes when empty.

    Raises:
        KeyError: a placeholder has no value.
    """
    known = values or {}
    lines: list[str] = []
    for line in _kept_lines(text, flags):
        alone = _ALONE.match(line)
        if alone is None:
            lines.append(_INLINE.sub(lambda m: known[m.group(1)], line))
            continue
        value = known[alone["name"]]
        lines.extend(f"{alone['indent']}{part}" if part else "" for part in value.splitlines())
    return "\n".join(lines).rstrip() + "\n"


def quoted(value: object) -> str:
    """Render a JSON value as a TypeScript literal."""
    return json.dumps(value, ensure_ascii=True)


def pascal(name: str) -> str:
    """`task_label` → `TaskLabel`."""
    return "".join(w[:1].upper() + w[1:] for w in re.split(r"[^A-Za-z0-9]+", name) if w) or "Row"


def camel(name: str) -> str:
    """`task_label` → `taskLabel`."""
    text = pascal(name)
    return text[:1].lower() + text[1:]


def words(name: str) -> str:
    """`task_label`, `taskLabel` → `task label`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return re.sub(r"[^A-Za-z0-9]+", " ", spaced).strip().lower()

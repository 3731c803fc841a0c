"""Files that a run leaves behind, read without following a link, within limits."""

from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

MAX_FILE: Final = 4 * 1024 * 1024
MAX_TOTAL: Final = 16 * 1024 * 1024
#: Files looked at; a step could have made millions.
MAX_SEEN: Final = 200_000


def compile_globs(patterns: Sequence[str]) -> re.Pattern[str]:
    """Translate globs to one expression: `*` and `?` within a segment, `**` across segments."""
    return re.compile("|".join(f"(?:{_translated(p)})" for p in patterns) or r"(?!)")


def _translated(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    return "".join(
        {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
        for part in parts
    )


def collect(root: Path, patterns: Sequence[str]) -> dict[str, str]:
    """Return path → base64 of every matching file that fits; what is too large is left out."""
    if not patterns:
        return {}
    wanted = compile_globs(patterns)
    found: dict[str, str] = {}
    total = 0
    for path in _files(root):
        if wanted.fullmatch(path) is None:
            continue
        content = _read(root / path)
        if content is not None and total + len(content) <= MAX_TOTAL:
            total += len(content)
            found[path] = base64.b64encode(content).decode()
    return found


def _files(root: Path) -> Iterator[str]:
    seen = 0
    for folder, subfolders, names in os.walk(root, followlinks=False):
        subfolders.sort()
        for name in sorted(names):
            seen += 1
            if seen > MAX_SEEN:
                return
            yield os.path.relpath(os.path.join(folder, name), root)  # noqa: PTH118 — names may be odd bytes


def _read(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123 — a descriptor, not a path
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        content = file.read(MAX_FILE + 1)
    return content if len(content) <= MAX_FILE else None

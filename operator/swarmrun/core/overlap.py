"""Whether two globs can match the same path. Same glob language as `swarmrun.core.ownership`."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

_TOKEN: Final = re.compile(r"\*\*/|\*\*|\*|.", re.DOTALL)


def overlap(left: str, right: str) -> bool:
    """Tell whether some path matches both globs; case is ignored, as some file systems do."""
    a, b = tuple(_TOKEN.findall(left.lower())), tuple(_TOKEN.findall(right.lower()))
    todo, seen = [(0, 0)], {(0, 0)}
    while todo:
        i, j = todo.pop()
        if i == len(a) and j == len(b):
            return True
        for state in _steps(a, b, i, j):
            if state not in seen:
                seen.add(state)
                todo.append(state)
    return False


def _steps(a: tuple[str, ...], b: tuple[str, ...], i: int, j: int) -> Iterator[tuple[int, int]]:
    """Walk both patterns: skip a star, or let both take one more character."""
    x, y = a[i] if i < len(a) else "", b[j] if j < len(b) else ""
    if x.startswith("*"):
        yield i + 1, j
    if y.startswith("*"):
        yield i, j + 1
    if x and y and _share(x, y):
        # "**/" may also end here, at a slash, which the skip above has no way to demand: taking any character
        # and skipping later accepts a little more than the language, never less.
        yield i + (not x.startswith("*")), j + (not y.startswith("*"))


def _share(x: str, y: str) -> bool:
    """Tell whether one character fits both tokens."""
    if x.startswith("**") or y.startswith("**"):
        return True
    if x in "*?" and y in "*?":
        return True
    if x in "*?":
        return y != "/"
    if y in "*?":
        return x != "/"
    return x == y


@lru_cache(maxsize=8192)
def _prefix(pattern: str) -> str:
    return re.split(r"[*?]", pattern.lower(), maxsplit=1)[0]


def shared(owned: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str, str]]:
    """Find globs of different owners that overlap: (owner, other owner, glob of the first). Lazily.

    Only globs whose fixed beginnings agree are compared, so thousands of plain paths stay cheap.
    """
    entries = sorted((_prefix(p), p, owner) for owner, patterns in owned.items() for p in patterns)
    starts = [entry[0] for entry in entries]
    for index, (start, pattern, owner) in enumerate(entries):
        wild = any(ch in pattern for ch in "*?")
        for other_start, other_pattern, other in entries[index + 1 :]:
            if not other_start.startswith(start) or (not wild and other_start != start):
                break
            if other != owner and overlap(pattern, other_pattern):
                yield owner, other, pattern
        if not wild:
            continue
        # A wild glob may also meet one whose fixed beginning is the same and sorts before it.
        for other_start, other_pattern, other in entries[bisect_left(starts, start) : index]:
            if other_start == start and other != owner and overlap(pattern, other_pattern):
                yield owner, other, pattern

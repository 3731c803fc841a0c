"""Which gate run comes next: a bisection over a batch, as pure decisions.

A batch is an ordered list of candidates on top of a head. One gate run judges a prefix of it. Green: the
prefix lands. Red: halve, until the shortest red prefix on a landed head is one candidate: the culprit. So the
tree of every landing was itself green, every culprit was seen red directly on top of the head, and one bad
candidate among k costs at most ⌈log₂ k⌉ + 1 runs before the rest go on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Batch:
    """Candidates not yet decided, oldest first. `red`: length of the shortest prefix known to be red."""

    waiting: tuple[str, ...]
    red: int | None = None


@dataclass(frozen=True, slots=True)
class Test:
    """Run the gates on the first `length` candidates on top of the head."""

    length: int
    __test__ = False


@dataclass(frozen=True, slots=True)
class Reject:
    """The candidate is red on top of the head."""

    candidate: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Every candidate is decided."""


Action = Test | Reject | Finished

#: Most candidates of one batch; bounds the tree that one red run has to explain.
MAX_BATCH: Final = 16


def next_action(batch: Batch) -> Action:
    """Decide what to do now."""
    if not batch.waiting:
        return Finished()
    if batch.red is None:
        return Test(len(batch.waiting))
    if batch.red == 1:
        return Reject(batch.waiting[0])
    return Test(batch.red // 2)


def after_green(batch: Batch, length: int) -> Batch:
    """The first `length` candidates have landed; a longer red prefix stays red, for its tree is the same."""
    red = batch.red - length if batch.red is not None and batch.red > length else None
    return Batch(batch.waiting[length:], red)


def after_red(batch: Batch, length: int) -> Batch:
    """The gates refused the first `length` candidates together."""
    return replace(batch, red=min(length, batch.red or length))


def after_reject(batch: Batch) -> Batch:
    """The first candidate is out; nothing is known of the others without it."""
    return Batch(batch.waiting[1:])


def without(batch: Batch, candidates: frozenset[str]) -> Batch:
    """Drop candidates that cannot be applied; only before a run has judged a prefix."""
    return Batch(tuple(c for c in batch.waiting if c not in candidates))

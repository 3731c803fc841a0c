"""Errors that say what happens next.

SwarmError
├── Waiting       a fact is missing that may appear; look again after `after` seconds
├── Stalled       a person must act; `reason` becomes the condition's reason
├── Retryable     infrastructure; try again with backoff, no attempt is spent
└── Invalid       the input is wrong; `problems` lists every fault at once
"""

from __future__ import annotations

from collections.abc import Sequence

from swarmrun.core.task import Frozen


class Problem(Frozen):
    """One fault of an input: where, what was found, which rule, and how to mend it."""

    path: str
    value: str
    rule: str
    fix: str

    def __str__(self) -> str:
        """Render on one line."""
        return f"{self.path}: {self.rule} (found {self.value}); {self.fix}"


class SwarmError(Exception):
    """Base of all our errors."""


class Waiting(SwarmError):
    """A fact is missing that may appear by itself."""

    def __init__(self, reason: str, message: str, *, after: float = 10.0) -> None:
        super().__init__(message)
        self.reason, self.message, self.after = reason, message, after


class Stalled(SwarmError):
    """Nothing moves until a person acts."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class Retryable(SwarmError):
    """The infrastructure failed; trying again may help and costs no attempt."""


class Invalid(SwarmError):
    """The input is wrong. Every problem is listed, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = tuple(problems)

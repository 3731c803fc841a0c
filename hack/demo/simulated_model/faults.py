"""Faults to order: seeded, and keyed so that neither concurrency nor repetition changes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

#: Faults of the transport: a request meets each at most once, so that a retry gets through.
TRANSPORT: Final = ("rate-limit", "server-error", "disconnect", "slow")
#: Faults of the answer, at attempts up to `Faults.last_attempt`.
CONTENT: Final = ("malformed", "truncate", "wrong-code")


@dataclass(frozen=True)
class Faults:
    """Which faults occur, and how often (0 to 1)."""

    rates: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    #: Attempts after this one are answered well, so that bad luck alone blocks no task.
    last_attempt: int = 2
    #: Globs of task ids whose code is wrong in every attempt, until a person gives a hint.
    stubborn: tuple[str, ...] = ()

    def _drawn(self, kind: str, key: str) -> bool:
        digest = hashlib.sha256(f"{self.seed}\n{kind}\n{key}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64 < self.rates.get(kind, 0.0)

    def transport(self, task_id: str, attempt: int, round_: int, seen: int) -> str:
        """Name the fault of the `seen`-th (0-based) request of this round, or nothing."""
        if seen > 0:
            return ""
        return next((k for k in TRANSPORT if self._drawn(k, f"{task_id}\n{attempt}\n{round_}")), "")

    def content(
        self, task_id: str, attempt: int, round_: int, *, hint: bool = False, shortened: bool = False
    ) -> str:
        """Name the fault of this round's answer, or nothing.

        Wrong code is drawn in the first round only: a repair round mends it. So does asking again
        (`shortened`) after an answer that was cut.
        """
        target = task_id.removeprefix("fix.")
        if not hint and any(fnmatchcase(target, glob) for glob in self.stubborn):
            return "wrong-code"
        if attempt > self.last_attempt or shortened:
            return ""
        kinds = CONTENT if round_ == 0 else CONTENT[:2]
        return next((k for k in kinds if self._drawn(k, f"{task_id}\n{attempt}\n{round_}")), "")


def parse_rates(text: str) -> dict[str, float]:
    """Read `wrong-code=0.1,slow=0.05`.

    Raises:
        ValueError: an unknown name, or a rate outside 0 to 1.
    """
    rates: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, number = part.partition("=")
        if name not in TRANSPORT + CONTENT:
            raise ValueError(f"--faults: {name!r} must be one of {', '.join(TRANSPORT + CONTENT)}")
        rate = float(number) if re.fullmatch(r"\d*\.?\d+", number) else -1.0
        if not 0 <= rate <= 1:
            raise ValueError(f"--faults: the rate of {name} must be a number from 0 to 1 (found {number!r})")
        rates[name] = rate
    return rates


_WRONG_CODE = (
    (re.compile(r"throw (notFound\([^;]*\));"), r"return { status: 200, body: { message: \1.message } };"),
    (re.compile(r"status: 201"), "status: 200"),
    (re.compile(r"status: 204"), "status: 200"),
    (
        re.compile(r"total: counted\.rows\[0\]\?\.total \?\? 0"),
        "total: rows.length + Math.min(0, counted.rows.length)",
    ),
    (re.compile(r"status: 200, body: rows\[0\]"), "status: 202, body: rows[0]"),
    (re.compile(r"(throw unauthorized\()"), r"return { status: 403 };\n    \1"),
)
_WRONG_TEST = ((re.compile(r"assert\.equal\(answer\.status, (20\d)\)"), "assert.equal(answer.status, 299)"),)
_WRONG_SQL = ((re.compile(r"timestamptz NOT NULL"), "timestamptzz NOT NULL"), (re.compile(r"\);"), ",);"))


def spoil(path: str, content: str) -> str:
    """Make a plausible mistake: code that compiles and fails its tests, or a wrong expectation."""
    rules: tuple[tuple[re.Pattern[str], str], ...]
    if path.endswith(".test.ts"):
        rules = _WRONG_TEST
    elif path.endswith(".sql"):
        rules = _WRONG_SQL
    else:
        rules = _WRONG_CODE if path.startswith("src/resources/") else ()
    for pattern, replacement in rules:
        spoiled, count = pattern.subn(replacement, content, count=1)
        if count:
            return spoiled
    return content

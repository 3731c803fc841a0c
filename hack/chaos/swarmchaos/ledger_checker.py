"""From a history of reservations to overspending and false refusals. Pure.

Calls overlap, so the ledger's sum at a moment is known within bounds only: no more than all that may have
been committed by then, no less than all that must have been. A refusal is false when even the upper bound,
taken over the whole call, left room; money is overspent when even the lower bound passes the limit.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from swarmchaos.values import Kind, Violation
from swarmrun.queue.port import Totals

_BLOCK: Final = 256


class End(StrEnum):
    """How a call ended."""

    SETTLED = "settled"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    NEVER = "never"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Call:
    """One reservation. Times by the machine's monotonic clock in seconds, money in micro-dollars.

    `asked`: when the reservation began and was answered; `closed`: when its end was reported and answered.
    """

    worst: int
    asked: tuple[float, float]
    end: End
    closed: tuple[float, float] = (math.inf, math.inf)
    cost: int = 0

    @property
    def final(self) -> int:
        """What it costs in the end."""
        if self.end in {End.UNKNOWN, End.NEVER}:
            return self.worst
        return self.cost if self.end is End.SETTLED else 0


class _Sum:
    """A step function of time; its highest value in an interval."""

    def __init__(self, start: int, steps: Iterable[tuple[float, int]]) -> None:
        ordered = sorted(steps)
        self._times = [at for at, _ in ordered]
        self._values = list(itertools.accumulate((by for _, by in ordered), initial=start))
        self._peaks = [max(self._values[at : at + _BLOCK]) for at in range(0, len(self._values), _BLOCK)]

    def highest(self, first: float, last: float) -> int:
        """Return the highest value from `first` to `last`, both included."""
        low, high = bisect.bisect_left(self._times, first), bisect.bisect_right(self._times, last)
        start, end = low // _BLOCK + 1, (high + 1) // _BLOCK
        if start >= end:
            return max(self._values[low : high + 1])
        edges = self._values[low : start * _BLOCK] + self._values[end * _BLOCK : high + 1]
        return max(itertools.chain(edges, self._peaks[start:end]))

    @property
    def peak(self) -> int:
        """The highest value of all."""
        return max(self._peaks)


def _upper(calls: Iterable[Call]) -> Iterable[tuple[float, int]]:
    for call in calls:
        yield call.asked[0], call.worst
        yield call.closed[1], call.final - call.worst


def _lower(calls: Iterable[Call]) -> Iterable[tuple[float, int]]:
    for call in calls:
        yield call.asked[1], call.worst
        yield call.closed[0], min(0, call.final - call.worst)


def overspent(calls: Sequence[Call], *, before: int, limit: int) -> list[Violation]:
    """Find a moment at which more was committed than the limit; `before`: spent beforehand."""
    peak = _Sum(before, _lower(held(calls))).peak
    return [Violation(Kind.OVERSPEND, f"{peak} of {limit} were committed at once")] if peak > limit else []


def false_refusals(calls: Sequence[Call], *, before: int, limit: int) -> list[Violation]:
    """Find refusals of amounts that fitted during the whole call."""
    most = _Sum(before, _upper(held(calls)))
    return [
        Violation(
            Kind.REFUSAL, f"{call.worst} refused with at most {most.highest(*call.asked)} of {limit} used"
        )
        for call in calls
        if call.end is End.REFUSED and most.highest(*call.asked) + call.worst <= limit
    ]


def held(calls: Iterable[Call]) -> list[Call]:
    """Return the calls that were not refused."""
    return [call for call in calls if call.end is not End.REFUSED]


def spent(calls: Iterable[Call]) -> int:
    """Return what the calls cost in the end."""
    return sum(call.final for call in calls if call.end is not End.REFUSED)


def sums(totals: Totals, *, expected: int) -> list[Violation]:
    """Compare the ledger, at rest, with what was answered."""
    if (totals.spent_micro_usd, totals.reserved_micro_usd) == (expected, 0):
        return []
    told = f"spent {totals.spent_micro_usd} and {totals.reserved_micro_usd} held, should be {expected} and 0"
    kind = Kind.LOST if totals.spent_micro_usd < expected else Kind.DOUBLE
    return [Violation(kind, told)]


def sample(totals: Totals) -> list[Violation]:
    """Judge one reading of the ledger."""
    used = totals.spent_micro_usd + totals.reserved_micro_usd
    if used <= totals.limit_micro_usd:
        return []
    return [Violation(Kind.OVERSPEND, f"spent + reserved = {used}, limit {totals.limit_micro_usd}")]


def drained(granted: int, left: int) -> list[Violation]:
    """Judge the last micro-dollars, asked for one at a time."""
    if granted == left:
        return []
    kind = Kind.OVERSPEND if granted > left else Kind.REFUSAL
    return [Violation(kind, f"{left} micro-dollars were left, {granted} were given")]

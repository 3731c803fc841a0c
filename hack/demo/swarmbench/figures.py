"""Sums up samples. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """Median, ninetieth percentile and maximum of samples, in their unit."""

    p50: float
    p90: float
    most: float


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; `share` is in (0, 1].

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("no samples")
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]


def spread(samples: Sequence[float]) -> Spread:
    """Sum samples up."""
    return Spread(percentile(samples, 0.5), percentile(samples, 0.9), max(samples))


@dataclass(frozen=True)
class Row:
    """One line of the result: a value, the most (or least) it should be, and what it is compared with."""

    name: str
    value: float
    unit: str
    aim: float | None = None
    anchor: float | None = None

    @property
    def met(self) -> bool | None:
        """Tell whether the aim is met; None without an aim."""
        return None if self.aim is None else self.value <= self.aim

    @property
    def ratio(self) -> float | None:
        """Value per anchor; None without an anchor."""
        return self.value / self.anchor if self.anchor else None


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"  # noqa: PLR2004 — three digits are enough


def _cells(row: Row) -> tuple[str, ...]:
    aim = "" if row.aim is None else f"≤ {row.aim:g} {'✓' if row.met else '✗'}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return row.name, _number(row.value), row.unit, aim, _number(row.anchor), ratio


def table(rows: Sequence[Row]) -> str:
    """Render rows as an aligned table."""
    heads = ("measure", "value", "unit", "aim", "anchor", "ratio")
    cells = [heads, *map(_cells, rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]

    def line(values: Sequence[str]) -> str:
        left, *rest = values
        parts = [left.ljust(widths[0])]
        parts += [
            text.ljust(width) if head in {"unit", "aim"} else text.rjust(width)
            for text, width, head in zip(rest, widths[1:], heads[1:], strict=True)
        ]
        return "  ".join(parts).rstrip()

    return "\n".join([line(heads), line(["─" * w for w in widths]), *map(line, cells[1:])])


def latency_rows(name: str, samples: Sequence[float], anchors: Sequence[float], aim: float) -> list[Row]:
    """Rows of a latency in milliseconds from samples in seconds; the aim is the median's."""
    own, other = spread([1000 * s for s in samples]), spread([1000 * s for s in anchors])
    return [
        Row(f"{name}, p50", own.p50, "ms", aim, other.p50),
        Row(f"{name}, p90", own.p90, "ms", None, other.p90),
        Row(f"{name}, max", own.most, "ms", None, other.most),
    ]


def memory_rows(samples: Mapping[str, Sequence[int]], aims: Mapping[str, float | None]) -> list[Row]:
    """One row per container that `aims` names and the samples have: the highest sample, in MiB.

    A container's figure includes the programs that it has started at that moment.
    """
    return [
        Row(f"memory of {name} (RSS), highest", max(samples[name]) / 2**20, "MiB", aim)
        for name, aim in aims.items()
        if samples.get(name)
    ]

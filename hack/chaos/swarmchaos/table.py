"""One table of all scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from swarmchaos.values import Kind, Outcome

_HEAD: Final = ("scenario", "events", "acknowledged writes", "lost", "double", "recovered in", "verdict")
_SHOWN: Final = 5


def row(outcome: Outcome) -> tuple[str, ...]:
    """Return the cells of one scenario."""
    other = len(outcome.violations) - outcome.count(Kind.LOST) - outcome.count(Kind.DOUBLE)
    verdict = "ok" if not outcome.violations else f"{len(outcome.violations)} VIOLATIONS"
    if other:
        kinds = sorted({found.kind.value for found in outcome.violations} - {Kind.LOST, Kind.DOUBLE})
        verdict += f" ({', '.join(kinds)})"
    return (
        outcome.scenario,
        f"{outcome.events:,}",
        f"{outcome.acknowledged:,}",
        str(outcome.count(Kind.LOST)),
        str(outcome.count(Kind.DOUBLE)),
        "-" if outcome.recovered is None else f"≤ {outcome.recovered:.2f} s",
        verdict,
    )


def render(outcomes: Sequence[Outcome]) -> str:
    """Lay the table out, with notes and the first violations below it."""
    rows = [_HEAD, *map(row, outcomes)]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(_HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) for cells in rows
    ]
    lines.insert(1, "  ".join("─" * width for width in widths))
    lines += ["", *(f"{outcome.scenario}: {outcome.note}" for outcome in outcomes if outcome.note)]
    for outcome in outcomes:
        lines += [f"✗ {outcome.scenario}: {v.kind}: {v.text}" for v in outcome.violations[:_SHOWN]]
    return "\n".join(line.rstrip() for line in lines)

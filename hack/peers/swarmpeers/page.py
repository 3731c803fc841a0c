"""Markdown of what was measured, and its place in docs/comparison.md between two marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from swarmpeers.bench import PeerResult
from swarmpeers.environment import ROOT
from swarmpeers.stale import Outcome, verdict

PAGE: Final = ROOT / "docs/comparison.md"


def stale_table(outcomes: Iterable[Outcome]) -> str:
    """Render the stale-worker scenario, one row per library."""
    head = ("library", "lease", "re-delivered", "runs started", "result in the end", "A's late completion")
    rows = [
        (
            seen.versions,
            seen.lease,
            _redelivered(seen),
            f"{len(seen.starts)}: {', '.join(seen.starts)}",
            seen.at_the_end or "none",
            verdict(seen),
        )
        for seen in outcomes
    ]
    return _table(head, rows)


def bench_table(results: Iterable[PeerResult]) -> str:
    """Render the no-op benchmark, fastest first."""
    head = ("library", "setting", "jobs/s", "server CPU µs/job", "worker CPU µs/job", "enqueued/s")
    rows = [
        (
            one.versions + (f" ({one.peer.partition('-')[2]})" if "-" in one.peer else ""),
            one.setting,
            f"{one.jobs_per_second:,.0f}",
            f"{one.server_cpu_us:,.0f}",
            f"{one.worker_cpu_us:,.0f}",
            f"{one.enqueued_per_second:,.0f}",
        )
        for one in sorted(results, key=lambda each: -each.jobs_per_second)
    ]
    return _table(head, rows)


def write(mark: str, text: str) -> None:
    """Replace what stands in the page between `<!-- MARK -->` and `<!-- /MARK -->`.

    Raises:
        SystemExit: the page has no such place.
    """
    page = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    if begin not in page or end not in page:
        raise SystemExit(f"{PAGE.relative_to(ROOT)}: must contain the lines {begin} and {end}")
    before, _, rest = page.partition(begin)
    after = rest.partition(end)[2]
    PAGE.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")


def _redelivered(seen: Outcome) -> str:
    if seen.redelivered_after is None:
        return "no"
    if seen.needed_another_job:
        return f"only once another job came, after {seen.redelivered_after:.0f} s without"
    return f"after {seen.redelivered_after:.1f} s"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)

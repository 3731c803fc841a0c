"""Samples are summed up and shown as a person reads them."""

from __future__ import annotations

import pytest

from swarmbench.figures import Row, latency_rows, memory_rows, percentile, spread, table


def test_percentiles_are_values_that_were_measured() -> None:
    samples = [0.3, 0.1, 0.2, 1.0]
    assert percentile(samples, 0.5) == 0.2
    assert percentile(samples, 0.9) == 1.0
    assert percentile([7.0], 0.01) == 7.0
    assert spread(range(1, 101)).p90 == 90


def test_no_samples_are_no_percentile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 0.5)


def test_latencies_stand_beside_the_same_figure_of_their_anchor() -> None:
    p50, p90, most = latency_rows("apply", [0.1, 0.12, 0.2], [0.05, 0.06, 0.1], 150)
    assert (p50.value, p50.anchor, p50.met) == (120.0, 60.0, True)
    assert (p50.ratio, most.ratio) == (2.0, 2.0)
    assert (p90.aim, p90.met) == (None, None)


def test_memory_is_the_highest_sample_of_the_named_containers() -> None:
    mib = 2**20
    rows = memory_rows(
        {"sandbox": [5 * mib], "hub": [70 * mib, 90 * mib], "worker": [], "git": [mib]},
        {"hub": 80, "worker": 120, "sandbox": None},
    )
    assert [(r.name, r.value, r.met) for r in rows] == [
        ("memory of hub (RSS), highest", 90.0, False),
        ("memory of sandbox (RSS), highest", 5.0, None),
    ]


def test_the_table_is_aligned_and_says_whether_an_aim_is_met() -> None:
    lines = table(
        [Row("latency", 120.04, "ms", 150, 60.0), Row("memory", 130.0, "MiB", 120), Row("share", 71.234, "%")]
    ).splitlines()
    assert lines[0].split() == ["measure", "value", "unit", "aim", "anchor", "ratio"]
    assert lines[2].split() == ["latency", "120", "ms", "≤", "150", "✓", "60.0", "2.00"]
    assert lines[3].split() == ["memory", "130", "MiB", "≤", "120", "✗"]
    assert lines[4].split() == ["share", "71.2", "%"]
    assert lines[2].index("ms") == lines[3].index("MiB") == lines[4].index("%")

"""Every scenario, small, against a real server. `make chaos-queue` runs them large."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmchaos.__main__ import SCENARIOS, parse
from swarmchaos.table import render
from swarmchaos.values import Kind, Outcome, Progress, Scale, Violation

pytestmark = [pytest.mark.redis, pytest.mark.xdist_group("chaos")]

SMALL = Scale(
    ahead=40,
    events=6,
    kills=2,
    writes=4_000,
    rollbacks=1,
    rebuilt_runs=1,
    calls=112,
    tasks=20,
    callers=20,
    calls_each=8,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    # A short path: a unix socket's name has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.parametrize("name", ["redis-kill", "rollback", "proxy", "budget"])
async def test_a_small_scenario_finds_nothing(name: str, folder: Path) -> None:
    outcome = await SCENARIOS[name](folder, SMALL, Progress(name))
    assert list(outcome.violations) == []
    assert outcome.acknowledged > 0


async def test_killed_agents_lose_nothing(folder: Path) -> None:
    outcome = await SCENARIOS["agents"](folder, SMALL, Progress("agents"))
    # How soon is measured on a machine that does nothing else.
    assert [found for found in outcome.violations if found.kind is not Kind.LATE] == []


@pytest.mark.skipif(
    not shutil.which("faketime") and os.environ.get("CI") != "true",
    reason="needs libfaketime: apt-get install faketime",
)
async def test_wrong_clocks_change_nothing(folder: Path) -> None:
    outcome = await SCENARIOS["clocks"](folder, SMALL, Progress("clocks"))
    assert [found for found in outcome.violations if found.kind is not Kind.LATE] == []


def test_flags_choose_scenarios_and_their_scale() -> None:
    names, scale = parse(["--only", "proxy", "--kills", "20", "--writes", "50000", "--seed", "7"])
    assert names == ["proxy"]
    assert (scale.kills, scale.writes, scale.seed) == (20, 50_000, 7)
    assert parse([])[0] == list(SCENARIOS)


def test_the_table_names_every_violation() -> None:
    bad = [Violation(Kind.LOST, "a"), Violation(Kind.DOUBLE, "b"), Violation(Kind.OVERSPEND, "c")]
    shown = render([Outcome("budget", 10, 20, 1.5, bad), Outcome("proxy", 1, 2, None)])
    assert "3 VIOLATIONS (overspend)" in shown
    assert "✗ budget: overspend: c" in shown
    assert [line.split()[-1] for line in shown.splitlines() if line.startswith("proxy")] == ["ok"]

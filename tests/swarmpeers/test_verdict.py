"""What the record of a stale worker is taken to mean, and how it is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from swarmpeers import bench, page
from swarmpeers.bench import PeerResult
from swarmpeers.stale import Outcome, verdict

SEEN = Outcome(
    peer="x",
    versions="x 1.0",
    lease="1 s",
    waited=2.0,
    redelivered_after=1.5,
    starts=("A#1", "B#2"),
    after_b="B#2",
    at_the_end="B#2",
)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (SEEN, "B's result stays; A was not told"),
        (replace(SEEN, told="STALE"), "refused: A was told STALE"),
        (replace(SEEN, at_the_end="A#1"), "accepted: A#1 replaced B's result"),
        (replace(SEEN, at_the_end="A#1", told="STALE"), "accepted: A#1 replaced B's result"),
        (
            replace(SEEN, at_the_end="B#3", starts=("A#1", "B#2", "B#3")),
            "accepted: reopened the finished job, B#3 replaced B's result",
        ),
        (replace(SEEN, redelivered_after=None), "not reached: not re-delivered within 2 s"),
        (replace(SEEN, after_b=""), "not reached: B's result was not kept (none)"),
    ],
)
def test_a_verdict_follows_from_what_was_seen(seen: Outcome, said: str) -> None:
    assert verdict(seen) == said


def test_a_row_tells_when_only_another_job_brought_the_first_one_back() -> None:
    row = page.stale_table([replace(SEEN, needed_another_job=True, redelivered_after=30.2)]).splitlines()[2]
    assert "only once another job came, after 30 s without" in row
    assert "2: A#1, B#2" in row


def test_the_fastest_library_comes_first() -> None:
    slow = PeerResult("rq", "rq 3", "s", 10, 250.0, 1030.0, 2600.0, 3100.0)
    fast = PeerResult("taskiq-list", "taskiq 1", "s", 10, 3000.4, 35.0, 328.0, 3100.0)
    rows = page.bench_table([slow, fast]).splitlines()[2:]
    assert rows[0].startswith("| taskiq 1 (list) | s | 3,000 | 35 |")
    assert rows[1].startswith("| rq 3 | s | 250 |")


def test_a_table_replaces_the_one_between_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "comparison.md"
    target.write_text("before\n<!-- t -->\nold\n<!-- /t -->\nafter\n")
    monkeypatch.setattr(page, "PAGE", target)
    monkeypatch.setattr(page, "ROOT", tmp_path)
    for _ in range(2):
        page.write("t", "| new |\n")
    assert target.read_text() == "before\n<!-- t -->\n| new |\n<!-- /t -->\nafter\n"
    with pytest.raises(SystemExit, match="must contain the lines"):
        page.write("other", "")


def test_an_unknown_library_is_named_with_those_that_are_known() -> None:
    with pytest.raises(SystemExit, match="--peer huey: must be of taskiq-stream, taskiq-list, saq"):
        bench.run(["saq", "huey"])

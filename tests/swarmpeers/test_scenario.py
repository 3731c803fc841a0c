"""The stale-worker scenario on our own queue: real Redis, real processes, a real freeze."""

from __future__ import annotations

import pytest

from swarmpeers.catalogue import OURS
from swarmpeers.stale import observe, verdict


@pytest.mark.redis
def test_our_queue_refuses_what_a_woken_worker_brings() -> None:
    seen = observe(OURS)
    assert seen.starts == ("A#1", "B#2")
    assert (seen.after_b, seen.at_the_end) == ("B#2", "B#2")
    assert seen.a_came_back
    assert verdict(seen) == "refused: A was told STALE"

"""Fairness in virtual time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swarm_operator.fairqueue import ROTATION, FairQueue, Key, Lane


def drain(queue: FairQueue, now: float = 0.0, limit: int = 10_000) -> list[Key]:
    out: list[Key] = []
    while len(out) < limit and (found := queue.pop(now)) is not None:
        out.append(found[0])
        queue.done(found[0], now)
    return out


def test_a_new_run_is_served_at_once_while_a_thousand_others_wait() -> None:
    queue = FairQueue()
    for i in range(1000):
        queue.add(Key("old", f"run-{i}"), Lane.RESYNC, 0.0)
    queue.add(Key("new", "canary"), Lane.FRESH, 0.0)
    assert Key("new", "canary") in drain(queue, limit=2)


def test_namespaces_take_turns() -> None:
    queue = FairQueue()
    for i in range(5):
        queue.add(Key("big", f"run-{i}"), Lane.CHANGED, 0.0)
    queue.add(Key("small", "only"), Lane.CHANGED, 0.0)
    assert drain(queue)[:2] == [Key("big", "run-0"), Key("small", "only")]


def test_no_lane_starves() -> None:
    queue = FairQueue()
    for i in range(100):
        queue.add(Key("a", f"fresh-{i}"), Lane.FRESH, 0.0)
    queue.add(Key("b", "resync"), Lane.RESYNC, 0.0)
    assert Key("b", "resync") in drain(queue, limit=len(ROTATION))


def test_a_run_in_work_is_not_given_out_twice_and_no_wake_up_is_lost() -> None:
    queue = FairQueue()
    key = Key("a", "x")
    queue.add(key, Lane.CHANGED, 0.0)
    assert queue.pop(0.0) == (key, 0.0)
    queue.add(key, Lane.CHANGED, 1.0)
    assert queue.pop(1.0) is None
    queue.done(key, 2.0)
    assert queue.pop(3.0) == (key, 1.0)


def test_a_more_urgent_wish_moves_a_waiting_run_forward() -> None:
    queue = FairQueue()
    for i in range(10):
        queue.add(Key("a", f"r{i}"), Lane.RESYNC, 0.0)
    queue.add(Key("a", "r9"), Lane.FRESH, 0.0)
    assert drain(queue, limit=1) == [Key("a", "r9")]
    assert len(queue) == 9


def test_a_later_look_comes_when_it_is_due_and_a_newer_wish_replaces_it() -> None:
    queue = FairQueue()
    key = Key("a", "x")
    queue.add_at(key, 5.0)
    queue.add_at(key, 9.0)
    assert queue.pop(8.0) is None
    assert queue.next_due() == 9.0
    assert queue.pop(9.5) == (key, 0.0)
    queue.done(key, 9.5)
    assert queue.next_due() is None


def test_a_forgotten_run_is_not_looked_at_later() -> None:
    queue = FairQueue()
    queue.add_at(Key("a", "x"), 1.0)
    queue.forget(Key("a", "x"))
    assert queue.pop(2.0) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.sampled_from(list(Lane))), max_size=60))
def test_every_run_that_was_asked_for_is_given_out_exactly_once(wishes: list[tuple[int, int, Lane]]) -> None:
    queue = FairQueue()
    for namespace, name, lane in wishes:
        queue.add(Key(f"n{namespace}", f"r{name}"), lane, 0.0)
    wanted = {Key(f"n{a}", f"r{b}") for a, b, _ in wishes}
    served = drain(queue)
    assert sorted(served) == sorted(wanted)

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from swarm_merge.batch import Batch, Finished, Reject, Test, after_green, after_red, after_reject, next_action


def play(batch: Batch, bad: frozenset[str]) -> tuple[list[str], list[str], int]:
    """Run a batch to its end against gates that refuse any tree with a bad candidate."""
    landed: list[str] = []
    rejected: list[str] = []
    for runs in range(10_000):
        match next_action(batch):
            case Finished():
                return landed, rejected, runs - len(rejected)
            case Reject(candidate):
                rejected.append(candidate)
                batch = after_reject(batch)
            case Test(length):
                prefix = batch.waiting[:length]
                assert prefix, "a gate run judges something"
                if bad.isdisjoint(prefix):
                    landed += prefix
                    batch = after_green(batch, length)
                else:
                    batch = after_red(batch, length)
    raise AssertionError("the bisection must end")


candidates = st.lists(st.text("abcdefgh", min_size=1, max_size=3), unique=True, max_size=16).map(tuple)


@given(candidates, st.data())
def test_good_candidates_land_in_order_and_exactly_the_bad_ones_are_rejected(
    waiting: tuple[str, ...], data: st.DataObject
) -> None:
    bad = data.draw(st.frozensets(st.sampled_from(waiting))) if waiting else frozenset()
    landed, rejected, _ = play(Batch(waiting), bad)
    assert landed == [c for c in waiting if c not in bad]
    assert rejected == [c for c in waiting if c in bad]


@given(candidates.filter(bool), st.data())
def test_one_bad_candidate_costs_a_logarithm_of_gate_runs(
    waiting: tuple[str, ...], data: st.DataObject
) -> None:
    bad = data.draw(st.sampled_from(waiting))
    _, _, runs = play(Batch(waiting), frozenset({bad}))
    assert runs <= math.ceil(math.log2(len(waiting))) + 2


def test_a_green_batch_costs_one_run() -> None:
    assert play(Batch(("a", "b", "c")), frozenset()) == (["a", "b", "c"], [], 1)


@given(candidates, st.lists(st.booleans(), max_size=200))
def test_it_ends_whatever_the_gates_say_even_when_they_are_fickle(
    waiting: tuple[str, ...], answers: list[bool]
) -> None:
    batch, decided, said = Batch(waiting), 0, iter(answers)
    for _ in range(200):
        match next_action(batch):
            case Finished():
                break
            case Reject():
                decided += 1
                batch = after_reject(batch)
            case Test(length):
                if next(said, True):
                    decided += length
                    batch = after_green(batch, length)
                else:
                    batch = after_red(batch, length)
    assert decided == len(waiting)

"""The protocol's model in small bounds; `make model` searches the large ones."""

from __future__ import annotations

import os

import pytest
from hack.model.__main__ import judge
from hack.model.cases import ALL, CASES, Bounds, Case, Property
from hack.model.spin import PACKAGES, ModelError, Outcome, parse, search

from swarmcluster.packages import install_missing, missing

#: One process, since it may have to install packages.
pytestmark = pytest.mark.xdist_group("spin")

_MISHAPS = Bounds(faults=1, restarts=0, losses=0)
_A_LOSS = Bounds(faults=0, restarts=1, losses=1)
_FOUND = """pan:1: assertion violated (landings[n]==1) (at depth 13)
State-vector 92 byte, depth reached 13, errors: 1
    25005 states, stored
  134.113\ttotal actual memory usage
"""


@pytest.fixture(scope="session")
def spin() -> None:
    """Skip where Spin is missing; in CI nothing is skipped, so there it is installed."""
    absent = missing(PACKAGES)
    if absent and os.environ.get("CI") != "true":
        pytest.skip(f"needs Spin: apt-get install {' '.join(absent)}")
    install_missing(PACKAGES)


@pytest.mark.parametrize("bounds", [_MISHAPS, _A_LOSS], ids=["a-fault", "a-lost-store"])
@pytest.mark.usefixtures("spin")
def test_the_protocol_holds_in_every_state(bounds: Bounds) -> None:
    outcome = search(Case("the protocol", ALL, bounds))

    assert outcome.holds, outcome.history
    assert outcome.states > 1000


@pytest.mark.parametrize(
    ("without", "broken", "bounds"),
    [("NO_CHECK", Property.ONCE, _MISHAPS), ("NO_EPOCH", Property.FENCE, _A_LOSS)],
)
@pytest.mark.usefixtures("spin")
def test_the_protocol_is_broken_without_one_of_its_parts(
    without: str, broken: Property, bounds: Bounds
) -> None:
    outcome = search(Case("broken", (broken,), bounds, (without,), holds=False))

    assert outcome.errors == 1
    assert any(step.startswith("claim: ") for step in outcome.history)


def test_a_search_that_was_cut_short_counts_as_failed() -> None:
    cut = parse(_FOUND.replace("errors: 1", "errors: 0") + "Warning: Search not completed\n")

    assert not cut.holds
    assert judge(CASES[0], cut)[0] is False


def test_a_broken_protocol_that_passes_counts_as_failed() -> None:
    passed = Outcome(errors=0, complete=True, violated="", states=9, depth=9, megabytes=1.0)
    broken = next(case for case in CASES if not case.holds)

    assert judge(broken, passed) == (False, "✗ holds, must be broken")


def test_the_violated_property_is_read_from_the_search() -> None:
    assert parse(_FOUND).violated == "assertion violated (landings[n]==1)"


def test_a_search_without_an_end_says_what_it_printed() -> None:
    with pytest.raises(ModelError, match="out of memory"):
        parse("pan: out of memory")

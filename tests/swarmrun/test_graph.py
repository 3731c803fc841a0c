from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmrun.core import graph

NODES = "abcdefg"


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, set[str]]:
    return {n: draw(st.sets(st.sampled_from(NODES[:i]))) if i else set() for i, n in enumerate(NODES)}


ANY = st.fixed_dictionaries({n: st.sets(st.sampled_from(NODES)) for n in NODES})
WEIGHTS = st.fixed_dictionaries({n: st.integers(1, 5) for n in NODES})


@given(acyclic())
def test_every_node_comes_after_its_dependencies(edges: dict[str, set[str]]) -> None:
    place = {n: i for i, n in enumerate(graph.order(edges))}
    assert sorted(place) == sorted(NODES)
    assert all(place[dep] < place[n] for n, deps in edges.items() for dep in deps)


@given(acyclic(), WEIGHTS)
def test_the_heaviest_path_weighs_what_its_first_node_has_left(
    edges: dict[str, set[str]], weights: dict[str, int]
) -> None:
    path = graph.heaviest_path(edges, weights)
    left = graph.remaining(edges, weights)
    assert sum(weights[n] for n in path) == left[path[0]] == max(left.values())
    assert all(a in edges[b] for a, b in pairwise(path))


@given(ANY, acyclic())
def test_dropping_optional_edges_leaves_an_order_and_every_required_edge(
    optional: dict[str, set[str]], required: dict[str, set[str]]
) -> None:
    every = {n: optional[n] | required[n] for n in NODES}
    kept = graph.without_cycles(every, required)
    graph.order(kept)
    assert all(required[n] <= kept[n] for n in NODES)


@given(acyclic())
def test_a_graph_without_cycles_keeps_all_edges(edges: dict[str, set[str]]) -> None:
    assert graph.without_cycles(edges, {n: set() for n in NODES}) == edges


def test_a_cycle_is_named_node_by_node() -> None:
    with pytest.raises(graph.CycleFoundError) as caught:
        graph.order({"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert caught.value.nodes[0] == caught.value.nodes[-1]
    assert set(caught.value.nodes) == {"a", "b", "c"}


def test_an_empty_graph_has_an_empty_path() -> None:
    assert graph.heaviest_path({}, {}) == ()

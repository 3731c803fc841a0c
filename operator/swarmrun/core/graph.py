"""Small directed graphs: order, depth, longest paths, cycles. Pure and deterministic: ties go by name.

A graph maps each node to the nodes it depends on. All nodes must be keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from graphlib import CycleError, TopologicalSorter

Graph = Mapping[str, AbstractSet[str]]


class CycleFoundError(ValueError):
    """The graph has a cycle; `nodes` walks it once, first node repeated at the end."""

    def __init__(self, nodes: tuple[str, ...]) -> None:
        super().__init__(" -> ".join(nodes))
        self.nodes = nodes


def order(graph: Graph) -> tuple[str, ...]:
    """Return the nodes, dependencies first, by name within a rank.

    Raises:
        CycleFoundError: there is no such order.
    """
    sorter = TopologicalSorter({node: sorted(graph[node]) for node in sorted(graph)})
    try:
        sorter.prepare()
    except CycleError as error:
        raise CycleFoundError(tuple(reversed(error.args[1]))) from None
    out: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        out.extend(ready)
        sorter.done(*ready)
    return tuple(out)


def depths(graph: Graph) -> dict[str, int]:
    """Return each node's rank: 1 without dependencies, else one more than the deepest of them."""
    out: dict[str, int] = {}
    for node in order(graph):
        out[node] = 1 + max((out[dep] for dep in graph[node]), default=0)
    return out


def remaining(graph: Graph, weights: Mapping[str, int]) -> dict[str, int]:
    """Return for each node the weight of the heaviest path from it through its dependents."""
    out = dict(weights)
    for node in reversed(order(graph)):
        for dep in graph[node]:
            out[dep] = max(out[dep], weights[dep] + out[node])
    return out


def heaviest_path(graph: Graph, weights: Mapping[str, int]) -> tuple[str, ...]:
    """Return the critical path, first node first; among equals the first by name."""
    if not graph:
        return ()
    left = remaining(graph, weights)
    dependents: dict[str, list[str]] = {node: [] for node in graph}
    for node, deps in graph.items():
        for dep in deps:
            dependents[dep].append(node)
    node = min((n for n in graph if not graph[n]), key=lambda n: (-left[n], n))
    path = [node]
    while dependents[node]:
        node = min(dependents[node], key=lambda n: (-left[n], n))
        path.append(node)
    return tuple(path)


def reachable(graph: Graph, start: str) -> frozenset[str]:
    """Return all nodes that `start` depends on, directly or not; `start` itself only when on a cycle."""
    seen: set[str] = set()
    todo = list(graph[start])
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo.extend(graph[node])
    return frozenset(seen)


def without_cycles(graph: Graph, required: Graph) -> dict[str, set[str]]:
    """Drop as few optional edges as a greedy choice allows, so that no cycle is left.

    `required` is an acyclic part of `graph` whose edges stay. Only edges within a cycle are dropped.
    """
    left: dict[str, set[str]] = {node: set(deps) for node, deps in graph.items()}
    kept: dict[str, set[str]] = {node: set() for node in graph}
    while left:
        node = _next(left, required)
        for other, deps in left.items():
            if node in deps:
                deps.discard(node)
                if other != node:
                    kept[other].add(node)
        del left[node]
    return kept


def _next(left: Mapping[str, set[str]], required: Graph) -> str:
    """Choose the next node: free, else the one in a cycle at the bottom that loses the fewest edges."""
    free = sorted(node for node, deps in left.items() if not deps)
    if free:
        return free[0]
    reach = {node: reachable(left, node) for node in left}
    bottom = [n for n in left if n in reach[n] and all(n in reach[m] for m in reach[n])]
    candidates = [n for n in bottom if not (required[n] & left.keys() - {n})]
    return min(candidates, key=lambda n: (len(left[n]), n))

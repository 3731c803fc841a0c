"""How near a run came to the shortest time that its plan allows. Pure.

A task's work lasts from its last claim to its submission; the time until its commit has landed is the gates'.
No schedule can be shorter than the heaviest chain of dependencies, nor than all work spread evenly over the
agents. The greater of both, divided by the time that passed, is the efficiency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

from swarmrun.core import graph

#: Weights of the graph are integers.
_TICKS: Final = 10
_REPAIR: Final = "fix."


@dataclass(frozen=True)
class Efficiency:
    """Seconds, but for the shares (0 to 1)."""

    makespan: float
    work: float
    chain: float
    #: The chain when each task also waits until it has landed: what agents alone cannot make shorter.
    chain_landed: float
    agents: int

    @property
    def share(self) -> float:
        """Lower bound from the agents' work alone, per makespan."""
        return max(self.chain, self.work / self.agents) / self.makespan

    @property
    def share_landed(self) -> float:
        """The same with gates and landing as part of the chain."""
        return max(self.chain_landed, self.work / self.agents) / self.makespan


def _lasted(task: Mapping[str, Any], end: str) -> float:
    start, stop = task["claimedAfter"], task[end]
    return 0.0 if start is None or stop is None else max(0.0, float(stop) - float(start))


def _chain(needs: Mapping[str, AbstractSet[str]], seconds: Mapping[str, float]) -> float:
    weights = {node: round(seconds.get(node, 0.0) * _TICKS) for node in needs}
    return max(graph.remaining(needs, weights).values(), default=0) / _TICKS


def efficiency(
    tasks: Sequence[Mapping[str, Any]], needs: Mapping[str, AbstractSet[str]], agents: int
) -> Efficiency:
    """Compute the efficiency from the report's task lines and the plan's dependencies.

    Of a task that was tried more than once the records hold the last claim only, so a run with retries looks
    less efficient than it was. A repair counts as work, and prolongs the task that it mends.

    Raises:
        ValueError: no task was claimed and finished.
    """
    work = {t["id"]: _lasted(t, "submittedAfter") for t in tasks}
    landed = {t["id"]: _lasted(t, "finishedAfter") for t in tasks}
    claims = [t["claimedAfter"] for t in tasks if t["claimedAfter"] is not None]
    ends = [t["finishedAfter"] for t in tasks if t["finishedAfter"] is not None]
    if not claims or not ends or max(ends) <= min(claims):
        raise ValueError("the report has no task that was claimed and finished")
    # A repaired task is finished when its repair is, so only its work is prolonged.
    mended = {node: work.get(node, 0.0) + work.get(_REPAIR + node, 0.0) for node in needs}
    return Efficiency(
        makespan=max(ends) - min(claims),
        work=sum(work.values()),
        chain=_chain(needs, mended),
        chain_landed=_chain(needs, landed),
        agents=agents,
    )

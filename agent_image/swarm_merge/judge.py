"""Runs the gates on a commit and survives their absence: only a tree that was judged gets a verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Final

from swarm_merge.gates import GatesClient, GatesLost, GatesUnavailable
from swarm_merge.metrics import MergeMetrics
from swarm_merge.reporter import Reporter
from swarm_merge.verdict import Green, Red, Verdict, expected_tests, judge, run_spec, unmet_promises
from swarmrun.core.profile import Profile
from swarmrun.core.task import Failure, FailureKind, Task
from swarmrun.vcs.repo import Mirror

#: Times that one tree may take the runner down before the tree itself is held to be the cause.
MAX_LOST: Final = 3
_TRIES: Final = 8
_REMEMBERED: Final = 64


@dataclass(slots=True)
class Judge:
    """The gates of a run. `pause` waits some seconds, or less when the process ends."""

    mirror: Mirror
    client: GatesClient
    profile: Profile
    commands: Sequence[str]
    reporter: Reporter
    metrics: MergeMetrics
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    _lost: dict[str, int] = field(default_factory=dict)
    #: The last green run, so that a push that failed is not paid for twice: same tree, tests and steps.
    _last: tuple[str, frozenset[str], Green] | None = None

    async def judge(self, commit: str, paths: frozenset[str], candidates: Sequence[Task]) -> Verdict:
        """Judge the tree of `commit` (its files are `paths`), which holds the work of `candidates`.

        Raises:
            GatesUnavailable: the gates stayed away for minutes; nothing was judged.
        """
        if unmet := unmet_promises(paths, candidates):
            return Red(
                Failure(
                    kind=FailureKind.GATE,
                    step="tests",
                    message=f"no file of the tree matches {', '.join(unmet[:10])}"[:1000],
                )
            )
        tree = await self.mirror.tree_id(commit)
        expected = expected_tests(self.profile, paths, candidates)
        if self._last is not None and self._last[:2] == (tree, expected):
            return replace(self._last[2], totals=self._last[2].totals.model_copy(update={"commit": commit}))
        started = time.monotonic()
        verdict = await self._run(commit, tree, expected)
        if isinstance(verdict, Green):
            self._last = (tree, expected, verdict)
        outcome = "green" if isinstance(verdict, Green) else "red"
        self.metrics.gate_run(time.monotonic() - started, outcome, len(candidates))
        return verdict

    async def _run(self, commit: str, tree: str, expected: frozenset[str]) -> Verdict:
        spec = run_spec(self.profile, self.commands)

        async def export(target: IO[bytes]) -> None:
            await self.mirror.export(commit, target, prefix="tree/")

        for attempt in range(_TRIES):
            try:
                result = await self.client.run(spec, export)
            except GatesLost as error:
                if self._suspect(tree) >= MAX_LOST:
                    return Red(_killer(str(error)))
                problem: Exception = error
            except GatesUnavailable as error:
                problem = error
            else:
                await self.reporter.signal("gates", ok=True, reason="Ready")
                return judge(self.profile, result, expected, commit=commit)
            self.metrics.failed_round(type(problem).__name__)
            await self.reporter.signal("gates", ok=False, reason="GatesUnavailable", message=str(problem))
            await self.pause(min(30.0, 2.0**attempt))
        raise GatesUnavailable("the gates gave no verdict in several tries")

    def _suspect(self, tree: str) -> int:
        count = self._lost.pop(tree, 0) + 1
        self._lost[tree] = count
        while len(self._lost) > _REMEMBERED:
            self._lost.pop(next(iter(self._lost)))
        return count


def _killer(detail: str) -> Failure:
    return Failure(
        kind=FailureKind.GATE,
        step="gates",
        message=f"the gate runner did not survive this tree {MAX_LOST} times in a row"[:1000],
        output=detail[:2000],
    )

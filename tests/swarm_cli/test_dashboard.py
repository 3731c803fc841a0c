"""What a run looks like, and what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.text import Text

from swarm_cli import watching
from swarm_cli.dashboard import Style, duration, lines, next_command, outcome
from swarm_cli.kubectl import KubectlError

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def a_run(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "demo", "namespace": "team", "generation": 2},
        "spec": {"numAgents": 12, "budget": {"maxCostUSD": "150.00"}},
        "status": {"observedGeneration": 2, "phase": "Running", **status},
    }


def condition(kind: str, status: str, reason: str = "Because") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": ""}


BUSY = a_run(
    tasks={
        "total": 47,
        "completed": 23,
        "pending": 18,
        "inProgress": 6,
        "merging": 0,
        "failed": 0,
        "blocked": 0,
    },
    agents={"desired": 12, "ready": 12, "idle": 3, "working": 9},
    tests={"passing": 45, "total": 52, "coveragePercent": 82},
    cost={
        "spentUSD": "61.20",
        "limitUSD": "150.00",
        "reservedUSD": "1.10",
        "calls": 1247,
        "tokensIn": 3_000_000,
        "tokensOut": 456_789,
    },
    estimatedCompletion="2026-11-24T14:15:00Z",
    conditions=[
        condition("Ready", "True"),
        condition("Stalled", "False"),
        condition("BudgetAvailable", "True"),
    ],
    recentActivity=[
        {
            "verb": "completed",
            "agent": "agent-3",
            "task": "api.projects.read",
            "title": "Implement GET /api/projects/:id",
        },
        {
            "verb": "claimed",
            "agent": "agent-1",
            "task": "api.tasks.create",
            "title": "Implement POST /api/tasks",
        },
    ],
)


def screen(run: dict[str, Any], *, unicode: bool = True) -> str:
    return "\n".join(Text.from_markup(line).plain for line in lines(run, Style(unicode=unicode), AT))


def test_the_dashboard_answers_everything_on_one_screen() -> None:
    text = screen(BUSY)
    for expected in (
        "team/demo  Running",
        "Tasks: 23/47 completed (49%)",
        "Pending: 18  In Progress: 6",
        "Agents: 12/12 active  Idle: 3  Working: 9",
        "Tests: 45/52 passing",
        "Coverage: 82%",
        "Cost: $61.20 of $150.00",
        "reserved $1.10, 1,247 calls, 3,456,789 tokens",
        "Estimated completion: 2h 15m",
        "✅ agent-3: Implement GET /api/projects/:id",
        "🔄 agent-1: Implement POST /api/tasks",
        "✔ BudgetAvailable   True",
        "Next: kubectl swarmrun status demo -n team --watch",
    ):
        assert expected in text, text
    assert len(text.splitlines()) <= 24


def test_it_also_speaks_ascii() -> None:
    assert screen(BUSY, unicode=False).isascii()


def test_a_run_nobody_has_looked_at_says_so() -> None:
    text = screen({"metadata": {"name": "demo", "namespace": "default"}, "spec": {"numAgents": 2}})
    assert "the operator has not looked at this run" in text
    assert "Next: kubectl describe swr demo" in text
    assert "Agents: 0/2 active" in text


def test_words_of_a_model_stay_words() -> None:
    hostile = {"verb": "completed", "agent": "[red]x[/]", "task": "t", "title": "\x1b[2J\u202e[bold]boo"}
    text = screen(a_run(recentActivity=[hostile], recentFailures=[{"task": "t", "message": "[/] \x1b[31m"}]))
    assert "[red]x[/]: [2J[bold]boo" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (a_run(phase="AwaitingApproval", plan={"hash": "abc"}), "swarmrun.dev/approved-plan=abc"),
        (a_run(conditions=[condition("PlanReady", "False")]), "kubectl swarmrun lint -f FILE"),
        (
            a_run(conditions=[condition("BudgetAvailable", "False")]),
            "kubectl swarmrun topup demo -n team --usd 5",
        ),
        (a_run(conditions=[condition("Ready", "True")], escalations=2), "kubectl get swe -n team"),
        (a_run(phase="Succeeded"), "kubectl swarmrun report demo -n team"),
        ({**a_run(), "spec": {"suspend": True}}, "kubectl swarmrun resume demo -n team"),
    ],
)
def test_the_next_command_moves_the_run_on(run: dict[str, Any], expected: str) -> None:
    assert expected in next_command(run)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (a_run(), ""),
        (a_run(phase="Succeeded"), "succeeded"),
        (a_run(phase="Failed"), "failed"),
        (a_run(phase="Cancelled"), "cancelled"),
        (a_run(phase="Succeeded", observedGeneration=1), ""),
        (
            a_run(
                phase="Finishing", conditions=[condition("Finished", "True"), condition("Succeeded", "True")]
            ),
            "succeeded",
        ),
        ({"metadata": {"generation": 1}}, ""),
    ],
)
def test_the_outcome_is_known_only_for_the_present_generation(run: dict[str, Any], expected: str) -> None:
    assert outcome(run) == expected


def test_durations_read_as_people_write_them() -> None:
    assert [duration(s) for s in (-3, 12, 250, 8100)] == ["0s", "12s", "4m 10s", "2h 15m"]


# ── following a run, in virtual time ──


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> watching.Clock:
        return watching.Clock(seconds=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


def looks(*answers: dict[str, Any] | Exception) -> Callable[[], dict[str, Any]]:
    queue: Iterator[dict[str, Any] | Exception] = iter(answers)

    def get() -> dict[str, Any]:
        answer = next(queue)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return get


def test_following_ends_with_the_run() -> None:
    done = a_run(phase="Succeeded")
    seen = list(watching.observe(looks(a_run(), a_run(), done), Time().clock(), 100))
    assert seen == [a_run(), a_run(), done]


def test_following_survives_an_api_server_that_restarts() -> None:
    broken = [KubectlError("connection refused")] * (watching.PATIENCE - 1)
    assert list(watching.observe(looks(*broken, a_run(phase="Failed")), Time().clock(), 100))


def test_following_gives_up_when_the_api_server_stays_away() -> None:
    with pytest.raises(KubectlError, match="refused"):
        list(watching.observe(looks(*[KubectlError("refused")] * 99), Time().clock(), 1000))


def test_a_missing_run_ends_the_following_at_once() -> None:
    with pytest.raises(KubectlError):
        list(watching.observe(looks(KubectlError("Error (NotFound)")), Time().clock(), 100))


def test_following_ends_at_its_timeout() -> None:
    time = Time()
    assert len(list(watching.observe(looks(*[a_run()] * 99), time.clock(), 10))) == 6
    assert time.now == 10

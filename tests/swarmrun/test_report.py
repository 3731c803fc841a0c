"""The execution report reads as people expect it."""

from __future__ import annotations

from operator_support import snapshot, task
from swarmrun.core.report import Facts, build_report, duration_text, render_markdown
from swarmrun.core.task import Specialization, TaskState
from swarmrun.queue.port import AgentView, TestTotals, Totals

FACTS = Facts(
    name="todo",
    namespace="team",
    project="Task Management API",
    model="gpt-4-turbo",
    repository="git@git.example.com:team/todo.git",
    branch="main",
    started=1_000.0,
    finished=1_000.0 + 3 * 3600 + 24 * 60,
    epoch=1,
    planned_tasks=3,
    estimate_micro_usd=(1_000_000, 9_000_000),
    verdict="Succeeded",
    reason="AllTasksCompleted",
    message="Every task is on the target branch",
    human_interventions=1,
)

SEEN = snapshot(
    task("scaffold", TaskState.COMPLETED),
    task("users.get", TaskState.COMPLETED, failures=1),
    task("users.put", TaskState.SKIPPED, failures=2),
    task("fix.users.get", TaskState.COMPLETED, fix_of="users.get"),
    agents=(
        AgentView(agent="agent-10", pod="p", specialization=Specialization.TESTING, completed=5, failed=1),
        AgentView(agent="agent-2", pod="p", specialization=Specialization.TESTING, completed=4),
    ),
    totals=Totals(
        limit_micro_usd=150_000_000,
        spent_micro_usd=127_430_000,
        calls=1247,
        tokens_in=3_000_000,
        tokens_out=456_789,
    ),
    tests=TestTotals(passing=52, total=52, coverage_percent=87.0),
    documents={
        "code": {
            "lines": 2847,
            "maintainability_index": 76.0,
            "complexity_average": 4.2,
            "technical_debt_minutes": 135,
        }
    },
)


def test_the_report_for_people_has_every_figure() -> None:
    text = render_markdown(build_report(SEEN.model_dump(mode="json"), FACTS))
    for line in (
        "- Duration: 3h 24m",
        "- Tasks Completed: 2/3 (67%), 1 skipped",
        "- Tests Written: 52 (52 passing)",
        "- Test Coverage: 87%",
        "- agent-2: 4 tasks, 100% success rate",
        "- agent-10: 5 tasks, 83% success rate (1 failure)",
        "- Total API Calls: 1,247",
        "- Total Tokens: 3,456,789",
        "- Total Cost: $127.43 of $150.00",
        "- Lines of Code: 2,847",
        "- Maintainability Index: 76/100",
        "- Cyclomatic Complexity: 4.2 (average)",
        "- Technical Debt: 2h 15m",
        "Human Interventions: 1",
        "Status: ✅ SUCCESS: Every task is on the target branch",
    ):
        assert line in text
    assert text.index("agent-2:") < text.index("agent-10:")
    assert "(fixed)" in text
    assert "(not fixed)" in text


def test_a_failed_run_says_so_and_a_rebuilt_queue_is_noted() -> None:
    facts = FACTS.model_copy(update={"verdict": "Failed", "message": "too late", "epoch": 2})
    report = build_report(snapshot().model_dump(mode="json"), facts)
    text = render_markdown(report)
    assert "Status: ❌ FAILED: too late" in text
    assert len(report["notes"]) == 1
    assert "## Notes" in text


def test_repairs_are_counted_apart_from_planned_tasks() -> None:
    summary = build_report(SEEN.model_dump(mode="json"), FACTS)["summary"]
    assert (summary["planned"], summary["repairs"], summary["open"]) == (3, 1, 0)


def test_durations_are_said_as_people_say_them() -> None:
    assert [duration_text(s) for s in (40, 725, 900, 12240)] == ["40s", "12m 5s", "15m", "3h 24m"]


def test_each_task_says_when_it_was_claimed_submitted_and_finished_since_the_start() -> None:
    seen = snapshot(
        task("scaffold", TaskState.COMPLETED, claimed_at=1_002.04, submitted_at=1_005.5, finished_at=1_010.0),
        task("users.get", TaskState.PENDING),
        # The store's clock may be a little behind the operator's.
        task("users.put", TaskState.LEASED, claimed_at=999.8),
    )
    lines = build_report(seen.model_dump(mode="json"), FACTS)["tasks"]
    assert [(t["claimedAfter"], t["submittedAfter"], t["finishedAfter"]) for t in lines] == [
        (2.0, 5.5, 10.0),
        (None, None, None),
        (0.0, None, None),
    ]

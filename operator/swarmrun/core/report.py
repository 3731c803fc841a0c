"""The execution report of a run: from the queue's last snapshot to a JSON document and to Markdown. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from swarmrun.core.money import format_usd
from swarmrun.core.task import Frozen

Json = dict[str, Any]

#: Bounds of the lists in the report.
MAX_ISSUES: Final = 100
MAX_TASKS: Final = 2000
_MINUTE: Final = 60
_HOUR: Final = 3600


class Facts(Frozen):
    """What the report needs beside the snapshot. Times are seconds since the epoch."""

    name: str
    namespace: str
    project: str
    model: str
    repository: str
    branch: str
    started: float
    finished: float
    epoch: int
    planned_tasks: int
    #: Low and high estimate of the plan.
    estimate_micro_usd: tuple[int, int]
    verdict: str
    reason: str
    message: str
    human_interventions: int


def duration_text(seconds: float) -> str:
    """Render a duration as people say it: 3h 24m, 12m 5s, 40s."""
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // _HOUR, whole % _HOUR // _MINUTE, whole % _MINUTE
    if hours:
        return f"{hours}h {minutes}m"
    if minutes:
        return f"{minutes}m {rest}s" if rest else f"{minutes}m"
    return f"{rest}s"


def percent(part: int, whole: int) -> int:
    """Whole percent, 0 of nothing."""
    return round(100 * part / whole) if whole else 0


def _tasks(tasks: Sequence[Mapping[str, Any]]) -> Json:
    own = [t for t in tasks if not t["fix_of"]]
    states = Counter(t["state"] for t in own)
    return {
        "planned": len(own),
        "completed": states["completed"],
        "skipped": states["skipped"],
        "open": len(own) - states["completed"] - states["skipped"],
        "repairs": len(tasks) - len(own),
        "percent": percent(states["completed"], len(own)),
        "byType": dict(sorted(Counter(t["type"] for t in own if t["state"] == "completed").items())),
    }


def _agents(agents: Sequence[Mapping[str, Any]]) -> list[Json]:
    def index(agent: Mapping[str, Any]) -> tuple[int, str]:
        tail = str(agent["agent"]).rpartition("-")[2]
        return (int(tail) if tail.isdigit() else 0, str(agent["agent"]))

    return [
        {
            "agent": a["agent"],
            "specialization": a["specialization"],
            "tasks": a["completed"],
            "failures": a["failed"],
            "successPercent": percent(a["completed"], a["completed"] + a["failed"]),
        }
        for a in sorted(agents, key=index)
    ]


def _issues(tasks: Sequence[Mapping[str, Any]]) -> list[Json]:
    issues = []
    for task in tasks:
        if task["fix_of"]:
            continue
        for failure in task["failures"][-3:]:
            what = " ".join(filter(None, (failure["step"], failure["message"])))
            issues.append(
                {
                    "task": task["id"],
                    "title": task["title"],
                    "kind": failure["kind"],
                    "message": what[:300],
                    "fixed": task["state"] == "completed",
                }
            )
    return issues[:MAX_ISSUES]


def _cost(totals: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], facts: Facts) -> Json:
    by_type: Counter[str] = Counter()
    for task in tasks:
        by_type[task["type"]] += task["cost_micro_usd"]
    low, high = facts.estimate_micro_usd
    return {
        "calls": totals["calls"],
        "tokens": totals["tokens_in"] + totals["tokens_out"],
        "tokensIn": totals["tokens_in"],
        "tokensCached": totals["tokens_cached"],
        "tokensOut": totals["tokens_out"],
        "spentUSD": format_usd(totals["spent_micro_usd"]),
        "limitUSD": format_usd(totals["limit_micro_usd"]),
        "estimatedLowUSD": format_usd(low),
        "estimatedHighUSD": format_usd(high),
        "byTaskTypeUSD": {k: format_usd(v) for k, v in sorted(by_type.items()) if v},
    }


def _after(at: float, started: float) -> float | None:
    """Seconds from the run's start to a moment; None for what has not happened."""
    return round(max(0.0, at - started), 1) if at else None


def _task_lines(tasks: Sequence[Mapping[str, Any]], started: float) -> list[Json]:
    return [
        {
            "id": t["id"],
            "type": t["type"],
            "title": t["title"],
            "state": t["state"],
            "agent": t["agent"],
            "attempts": t["attempt"],
            "failures": len(t["failures"]),
            "commit": t["commit"],
            "seconds": round(max(0.0, t["finished_at"] - t["claimed_at"]), 1)
            if t["finished_at"] and t["claimed_at"]
            else None,
            # Of the last claim. A repaired task is finished when its repair has landed.
            "claimedAfter": _after(t["claimed_at"], started),
            "submittedAfter": _after(t["submitted_at"], started),
            "finishedAfter": _after(t["finished_at"], started),
            "costUSD": format_usd(t["cost_micro_usd"]),
        }
        for t in tasks[:MAX_TASKS]
    ]


def build_report(snapshot: Mapping[str, Any], facts: Facts) -> Json:
    """Build the report.

    Args:
        snapshot: `swarmrun.queue.port.Snapshot` as JSON (mode "json").
        facts: what the snapshot does not know.
    """
    tasks = snapshot["tasks"]
    tests, documents = snapshot["tests"], snapshot["documents"]
    notes = []
    if facts.epoch > 1:
        notes.append(
            "The store was lost or restarted during the run, and the queue was opened again. Where content "
            "was lost, figures of agents and cost count from then on; the branch holds all finished work."
        )
    return {
        "run": facts.name,
        "namespace": facts.namespace,
        "project": facts.project,
        "model": facts.model,
        "repository": facts.repository,
        "branch": facts.branch,
        "durationSeconds": round(max(0.0, facts.finished - facts.started)),
        "duration": duration_text(facts.finished - facts.started),
        "tasks": _task_lines(tasks, facts.started),
        "summary": _tasks(tasks),
        "tests": {
            "written": tests["total"],
            "passing": tests["passing"],
            "coveragePercent": round(tests["coverage_percent"], 1),
            "commit": tests["commit"],
        },
        "agents": _agents(snapshot["agents"]),
        "cost": _cost(snapshot["totals"], tasks, facts),
        "code": documents.get("code") or {},
        "issues": _issues(tasks),
        "humanInterventions": facts.human_interventions,
        "verdict": facts.verdict,
        "reason": facts.reason,
        "message": facts.message,
        "notes": notes,
    }


#: Code figures as the merger's document names them: key, label, how to show the value.
CODE_LINES: Final[tuple[tuple[str, str, Callable[[Any], str]], ...]] = (
    ("lines", "Lines of Code", lambda v: f"{v:,}"),
    ("maintainability_index", "Maintainability Index", lambda v: f"{v:g}/100"),
    ("complexity_average", "Cyclomatic Complexity", lambda v: f"{v:g} (average)"),
    ("technical_debt_minutes", "Technical Debt", lambda v: duration_text(v * _MINUTE)),
)


def _code_lines(code: Mapping[str, Any]) -> list[str]:
    return [
        f"- {label}: {show(code[key])}"
        for key, label, show in CODE_LINES
        if isinstance(code.get(key), int | float)
    ]


def _agent_line(agent: Mapping[str, Any]) -> str:
    failures = agent["failures"]
    tail = "" if not failures else f" ({failures} failure{'s' if failures != 1 else ''})"
    return f"- {agent['agent']}: {agent['tasks']} tasks, {agent['successPercent']}% success rate{tail}"


def render_markdown(report: Mapping[str, Any]) -> str:
    """Render the report for people."""
    summary, tests, cost = report["summary"], report["tests"], report["cost"]
    good = report["verdict"] == "Succeeded"
    issues = [
        f"- {i['title'] or i['task']}: {i['message']} ({'fixed' if i['fixed'] else 'not fixed'})"
        for i in report["issues"]
    ]
    blocks = [
        [f"# Swarm execution report: {report['project'] or report['run']}"],
        [
            f"- Duration: {report['duration']}",
            f"- Tasks Completed: {summary['completed']}/{summary['planned']} ({summary['percent']}%)"
            + (f", {summary['skipped']} skipped" if summary["skipped"] else ""),
            f"- Tests Written: {tests['written']} ({tests['passing']} passing)",
            f"- Test Coverage: {tests['coveragePercent']:g}%",
        ],
        ["## Agent Performance", "", *([_agent_line(a) for a in report["agents"]] or ["- none"])],
        [
            "## Cost Analysis",
            "",
            f"- Total API Calls: {cost['calls']:,}",
            f"- Total Tokens: {cost['tokens']:,}",
            f"- Total Cost: ${cost['spentUSD']} of ${cost['limitUSD']}",
            f"- Estimated Cost: ${cost['estimatedLowUSD']} to ${cost['estimatedHighUSD']}",
        ],
        ["## Code Quality", "", *(_code_lines(report["code"]) or ["- not measured"])],
        ["## Issues Found", "", *(issues or ["- none"])],
        [f"Human Interventions: {report['humanInterventions']}"],
        *([["## Notes", "", *(f"- {note}" for note in report["notes"])]] if report["notes"] else []),
        [f"Status: {'✅ SUCCESS' if good else '❌ ' + report['verdict'].upper()}: {report['message']}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"

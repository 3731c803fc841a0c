"""The run on one screen, from its object alone. Pure: the same object gives the same lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rich.markup import escape

from swarmrun.core.status import TERMINAL
from swarmrun.core.words import clean

#: Verb of an activity → (symbol, ASCII symbol).
_SYMBOLS: Final = {
    "completed": ("✅", "+"),
    "claimed": ("🔄", ">"),
    "submitted": ("📤", "^"),
    "fixing": ("🔧", "~"),
    "returned": ("↩", "<"),
    "failed": ("❌", "x"),
    "blocked": ("🚫", "!"),
}
_GOOD: Final = frozenset(
    {
        "Ready",
        "Succeeded",
        "Finished",
        "PlanReady",
        "QueueReady",
        "RepositoryReady",
        "AgentsAvailable",
        "BudgetAvailable",
    }
)
#: Neither value is good or bad.
_NEUTRAL: Final = frozenset({"Finished", "Reconciling"})
_ACTIVITY_LINES: Final = 5
_FAILURE_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Style:
    """How to write: with Unicode symbols or in ASCII."""

    unicode: bool = True

    def pick(self, symbol: str, plain: str) -> str:
        """Choose the form of a symbol."""
        return symbol if self.unicode else plain


def outcome(run: dict[str, Any]) -> str:
    """Tell how a run ended: succeeded, failed, cancelled, or nothing while it goes on.

    A status about an older generation says nothing about the present one.
    """
    status = run.get("status") or {}
    if status.get("observedGeneration", -1) < run.get("metadata", {}).get("generation", 0):
        return ""
    finished = any(
        c.get("type") == "Finished" and c.get("status") == "True" for c in status.get("conditions", ())
    )
    phase = str(status.get("phase", ""))
    if not finished and phase not in {p.value for p in TERMINAL}:
        return ""
    succeeded = any(
        c.get("type") == "Succeeded" and c.get("status") == "True" for c in status.get("conditions", ())
    )
    if phase == "Cancelled":
        return "cancelled"
    return "succeeded" if succeeded or phase == "Succeeded" else "failed"


def lines(run: dict[str, Any], style: Style, at: datetime) -> list[str]:
    """Render a run in Rich markup, a line each. Everything a run says is escaped: it may quote a model."""
    status = run.get("status") or {}
    metadata = run.get("metadata", {})
    phase = status.get("phase", "Pending")
    out = [
        f"[bold]{_text(metadata.get('namespace', ''))}/{_text(metadata.get('name', '?'))}[/]  {_phase(phase)}"
    ]
    for section in (_tasks, _agents, _tests, _cost):
        out += section(run, style)
    out += _times(run, at)
    out += ["", "[bold]Recent Activity[/]", *_activity(status, style)]
    if status.get("recentFailures"):
        out += ["", "[bold]Last Failures[/]", *_failures(status)]
    out += ["", "[bold]Conditions[/]", *_conditions(status, style)]
    out += ["", f"[bold]Next:[/] {_text(next_command(run))}"]
    return out


def _text(value: Any) -> str:
    return escape(clean(str(value))[:300])


def _phase(phase: str) -> str:
    colour = {
        "Succeeded": "green",
        "Running": "green",
        "Failed": "red",
        "Cancelled": "red",
        "BudgetExhausted": "yellow",
    }
    return f"[{colour.get(phase, 'cyan')}]{_text(phase)}[/]"


def _bar(part: float, style: Style, width: int = 24) -> str:
    filled = min(width, int(width * max(0.0, min(1.0, part))))
    return style.pick("█", "#") * filled + style.pick("░", ".") * (width - filled)


def _tasks(run: dict[str, Any], style: Style) -> list[str]:
    tasks = (run.get("status") or {}).get("tasks") or {}
    total, done = tasks.get("total", 0), tasks.get("completed", 0)
    percent = round(100 * done / total) if total else 0
    rest = [
        ("Pending", "pending"),
        ("In Progress", "inProgress"),
        ("Merging", "merging"),
        ("Failed", "failed"),
        ("Blocked", "blocked"),
    ]
    return [
        "",
        f"[bold]Tasks:[/] {done}/{total} completed ({percent}%)  {_bar(done / total if total else 0, style)}",
        "  "
        + "  ".join(
            f"{label}: {_count(tasks.get(key, 0), warn=key in {'failed', 'blocked'})}" for label, key in rest
        ),
    ]


def _count(value: Any, *, warn: bool) -> str:
    return f"[red]{value}[/]" if warn and value else str(value)


def _agents(run: dict[str, Any], _: Style) -> list[str]:
    agents = (run.get("status") or {}).get("agents") or {}
    desired = agents.get("desired", run.get("spec", {}).get("numAgents", 0))
    doing = f"Idle: {agents.get('idle', 0)}  Working: {agents.get('working', 0)}"
    return [f"[bold]Agents:[/] {agents.get('ready', 0)}/{desired} active  {doing}"]


def _tests(run: dict[str, Any], _: Style) -> list[str]:
    tests = (run.get("status") or {}).get("tests") or {}
    if not tests.get("total"):
        return ["[bold]Tests:[/] none yet", "[bold]Coverage:[/] none yet"]
    return [
        f"[bold]Tests:[/] {tests.get('passing', 0)}/{tests['total']} passing",
        f"[bold]Coverage:[/] {tests.get('coveragePercent', 0)}%",
    ]


def _cost(run: dict[str, Any], style: Style) -> list[str]:
    cost = (run.get("status") or {}).get("cost") or {}
    limit = cost.get("limitUSD") or run.get("spec", {}).get("budget", {}).get("maxCostUSD", "?")
    spent = cost.get("spentUSD", "0.00")
    try:
        share = float(spent) / float(limit)
    except (ValueError, ZeroDivisionError):
        share = 0.0
    tokens = cost.get("tokensIn", 0) + cost.get("tokensOut", 0)
    reserved = _text(cost.get("reservedUSD", "0.00"))
    more = f"reserved ${reserved}, {cost.get('calls', 0):,} calls, {tokens:,} tokens"
    return [f"[bold]Cost:[/] ${_text(spent)} of ${_text(limit)}  {_bar(share, style)}  {more}"]


def _times(run: dict[str, Any], at: datetime) -> list[str]:
    status = run.get("status") or {}
    if status.get("completionTime"):
        return [f"[bold]Completed:[/] {_text(status['completionTime'])}{_took(status)}"]
    eta = status.get("eta") or (
        "" if not status.get("estimatedCompletion") else _span(status["estimatedCompletion"], at)
    )
    return [f"[bold]Estimated completion:[/] {_text(eta or 'not known yet')}"]


def _took(status: dict[str, Any]) -> str:
    start, end = _time(status.get("startTime")), _time(status.get("completionTime"))
    return f", after {duration((end - start).total_seconds())}" if start and end else ""


def _span(text: str, at: datetime) -> str:
    when = _time(text)
    return duration((when - at).total_seconds()) if when else ""


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def duration(seconds: float) -> str:
    """Write a time span as people do: 2h 15m, 4m 10s, 12s."""
    left = max(0, int(seconds))
    hours, minutes, rest = left // 3600, left % 3600 // 60, left % 60
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"


def _activity(status: dict[str, Any], style: Style) -> Iterable[str]:
    entries = status.get("recentActivity") or []
    if not entries:
        yield "  none yet"
    for entry in entries[:_ACTIVITY_LINES]:
        verb = str(entry.get("verb", ""))
        symbol = style.pick(*_SYMBOLS.get(verb, ("·", "-")))
        who = entry.get("agent") or "merger"
        what = _text(entry.get("title") or entry.get("task", ""))
        yield f"  {symbol} {_text(who)}: {what} [dim]({_text(verb)})[/]"


def _failures(status: dict[str, Any]) -> Iterable[str]:
    for entry in status["recentFailures"][:_FAILURE_LINES]:
        what = f"attempt {entry.get('attempt', 0)}, {entry.get('kind', '')}: {entry.get('message', '')}"
        yield f"  [red]{_text(entry.get('task', '?'))}[/] {_text(what)}"


def _conditions(status: dict[str, Any], style: Style) -> Iterable[str]:
    conditions = status.get("conditions") or []
    if not conditions:
        yield "  none yet: the operator has not looked at this run; is it installed and running?"
    for entry in conditions:
        kind, value = str(entry.get("type", "?")), str(entry.get("status", "Unknown"))
        fine = value == ("True" if kind in _GOOD else "False")
        if value == "Unknown" or kind in _NEUTRAL:
            colour, mark = "dim", style.pick("·", "-")
        else:
            colour, mark = ("green", style.pick("✔", "+")) if fine else ("yellow", style.pick("✗", "x"))
        why = f"{_text(entry.get('reason', ''))}  {_text(entry.get('message', ''))}"
        yield f"  [{colour}]{mark} {_text(kind):<17} {value:<7}[/] {why}"


# ── what to do next ─────────────────────────────────────────────────────────────────────────────────────


def where(run: Mapping[str, Any]) -> str:
    """Name the run's namespace as an option, unless it is the default."""
    namespace = run.get("metadata", {}).get("namespace")
    return f" -n {namespace}" if namespace and namespace != "default" else ""


def next_command(run: dict[str, Any]) -> str:
    """Name the one command that moves this run on, or shows most of it."""
    status = run.get("status") or {}
    name = run.get("metadata", {}).get("name", "NAME")
    false = {c.get("type") for c in status.get("conditions", ()) if c.get("status") == "False"}
    for applies, command in _NEXT:
        if applies(run, status, false):
            chosen = (status.get("plan") or {}).get("hash", "HASH")
            return command.format(name=name, where=where(run), hash=chosen)
    return f"kubectl swarmrun status {name}{where(run)} --watch"


_Rule = Callable[[dict[str, Any], dict[str, Any], set[Any]], bool]
_NEXT: Final[tuple[tuple[_Rule, str], ...]] = (
    (lambda run, _, __: bool(outcome(run)), "kubectl swarmrun report {name}{where}"),
    (
        lambda _, status, __: status.get("phase") == "AwaitingApproval",
        "kubectl annotate swr {name}{where} swarmrun.dev/approved-plan={hash}",
    ),
    (
        lambda _, __, false: "PlanReady" in false,
        "mend the specification, check it with kubectl swarmrun lint -f FILE, apply it",
    ),
    (lambda _, __, false: "BudgetAvailable" in false, "kubectl swarmrun topup {name}{where} --usd 5"),
    (lambda run, _, __: bool(run.get("spec", {}).get("suspend")), "kubectl swarmrun resume {name}{where}"),
    (
        lambda _, status, __: bool(status.get("escalations")),
        "kubectl get swe{where} -o yaml, then patch spec.resolution: Retry, Skip or Fail",
    ),
    (lambda _, status, __: not status.get("conditions"), "kubectl describe swr {name}{where}"),
)

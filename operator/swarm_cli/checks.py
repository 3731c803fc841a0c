"""Does what a run says of itself agree? From its object alone, and pure: the same object, the same verdicts.

The operator audits the store each minute and tells the outcome by condition QueueReady; here it is read, with
the sums and states that anybody can verify.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from rich.markup import escape

from swarm_cli import dashboard
from swarmrun.core.money import format_usd, parse_usd
from swarmrun.core.status import TERMINAL, ConditionType, Phase
from swarmrun.core.words import clean

_STATES: Final = ("pending", "inProgress", "merging", "completed", "failed", "blocked")
#: Phases in which the operator restates every condition at each look; in others, those that it knows.
_ALL_RESTATED: Final = frozenset({Phase.RUNNING, Phase.BUDGET_EXHAUSTED})
#: Reason of QueueReady when the audit found a fault.
_BROKEN: Final = "InvariantBroken"
#: What the conditions must say in a phase.
_PHASES: Final[Mapping[Phase, Mapping[ConditionType, str]]] = {
    Phase.PENDING: {},
    Phase.PLANNING: {ConditionType.PLAN_READY: "False"},
    Phase.AWAITING_APPROVAL: {ConditionType.PLAN_READY: "True", ConditionType.READY: "False"},
    Phase.PROVISIONING: {ConditionType.PLAN_READY: "True"},
    Phase.RUNNING: {ConditionType.PLAN_READY: "True", ConditionType.SUSPENDED: "False"},
    Phase.SUSPENDED: {ConditionType.SUSPENDED: "True"},
    Phase.BUDGET_EXHAUSTED: {ConditionType.BUDGET_AVAILABLE: "False"},
    Phase.FINISHING: {ConditionType.READY: "True"},
    Phase.SUCCEEDED: {ConditionType.SUCCEEDED: "True", ConditionType.READY: "True"},
    Phase.FAILED: {ConditionType.SUCCEEDED: "False", ConditionType.STALLED: "True"},
    Phase.CANCELLED: {ConditionType.SUCCEEDED: "False"},
}
#: Columns of a terminal that the table fits into.
_WIDTH: Final = 80


class Result(StrEnum):
    """Outcome of a check."""

    OK = "ok"
    FAIL = "FAIL"
    #: There is nothing to judge yet, or nobody who could tell.
    UNKNOWN = "-"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, its outcome, and the figures behind it."""

    name: str
    result: Result
    detail: str

    @property
    def failed(self) -> bool:
        """Tell whether something is wrong."""
        return self.result is Result.FAIL


@dataclass(frozen=True, slots=True)
class _Subject:
    """A run as the checks read it."""

    run: Mapping[str, Any]

    @property
    def status(self) -> Mapping[str, Any]:
        return self.run.get("status") or {}

    @property
    def generation(self) -> int:
        return int(self.run.get("metadata", {}).get("generation", 0))

    @property
    def conditions(self) -> Mapping[str, Mapping[str, Any]]:
        return {str(c.get("type")): c for c in self.status.get("conditions") or ()}

    def state(self, type_: ConditionType) -> str:
        return str(self.conditions.get(type_, {}).get("status", "Unknown"))

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", Phase.PENDING))


def checks(run: Mapping[str, Any]) -> list[Check]:
    """Judge a run."""
    subject = _Subject(run)
    out = []
    for name, judge in _CHECKS.items():
        result, detail = judge(subject)
        out.append(Check(name, result, detail))
    return out


_Verdict = tuple[Result, str]


def _judged(faults: Sequence[str], fine: str) -> _Verdict:
    return (Result.FAIL, "; ".join(faults)) if faults else (Result.OK, fine)


def _conditions(subject: _Subject) -> _Verdict:
    """All are there, and about the present spec."""
    found, wanted = subject.conditions, subject.generation
    if not found:
        return Result.FAIL, "there are none: the operator has not looked at this run"
    faults = []
    if missing := [t.value for t in ConditionType if t not in found]:
        faults.append(f"missing: {', '.join(missing)}")
    observed = subject.status.get("observedGeneration", -1)
    if observed != wanted:
        faults.append(f"the status is about generation {observed}, the spec is at {wanted}")
    elif old := [
        t for t in _restated(subject) if found.get(t, {}).get("observedGeneration", wanted) != wanted
    ]:
        faults.append(f"not about generation {wanted}: {', '.join(old)}")
    return _judged(faults, f"all {len(found)} there, about generation {wanted}")


def _restated(subject: _Subject) -> Sequence[ConditionType]:
    """Conditions that must be about the present spec: what a run that is over said stays as it was."""
    if subject.state(ConditionType.FINISHED) == "True":
        return ()
    return tuple(ConditionType) if subject.phase in _ALL_RESTATED else (ConditionType.READY,)


def _queue(subject: _Subject) -> _Verdict:
    """The store answers, and has not lost the queue."""
    queue = subject.conditions.get(ConditionType.QUEUE_READY, {})
    state, reason = queue.get("status", "Unknown"), str(queue.get("reason", ""))
    if state == "True" or reason == _BROKEN:
        return Result.OK, "open"
    if state == "False":
        return Result.FAIL, f"{reason}: {queue.get('message', '')}"
    return Result.UNKNOWN, "not open yet"


def _audit(subject: _Subject) -> _Verdict:
    """The store agrees with itself, by the operator's word of the last minute."""
    queue = subject.conditions.get(ConditionType.QUEUE_READY, {})
    message = str(queue.get("message", ""))
    if queue.get("reason") == _BROKEN:
        return Result.FAIL, message
    if queue.get("status") == "True" and message:
        return Result.OK, message
    return Result.UNKNOWN, "not audited yet"


def _tasks(subject: _Subject) -> _Verdict:
    """The states sum up to the total: no task is in no state, and none in two."""
    tasks = subject.status.get("tasks")
    if not tasks:
        return Result.UNKNOWN, "none queued yet"
    total, counts = tasks.get("total", 0), [tasks.get(state, 0) for state in _STATES]
    if sum(counts) != total:
        return Result.FAIL, f"the states sum to {sum(counts)}, and total is {total}"
    shown = ", ".join(f"{n} {state}" for state, n in zip(_STATES, counts, strict=True) if n)
    return Result.OK, f"{total} in all: {shown or 'none'}"


def _progress(subject: _Subject) -> _Verdict:
    """The column says what the counts say."""
    tasks = subject.status.get("tasks")
    if not tasks:
        return Result.UNKNOWN, "none queued yet"
    wanted, shown = f"{tasks.get('completed', 0)}/{tasks.get('total', 0)}", subject.status.get("progress", "")
    return _judged([f"it says {shown!r}, the counts {wanted}"] if shown != wanted else [], wanted)


def _cost(subject: _Subject) -> _Verdict:
    """What is spent and held stays within the limit."""
    cost = subject.status.get("cost")
    if not cost:
        return Result.UNKNOWN, "nothing spent yet"
    try:
        spent, held, limit = (
            parse_usd(cost.get(f"{kind}USD", "0")) for kind in ("spent", "reserved", "limit")
        )
    except ValueError as error:
        return Result.FAIL, f"status.cost {error}"
    figures = f"${format_usd(spent)} spent + ${format_usd(held)} reserved, limit ${format_usd(limit)}"
    return (Result.OK if spent + held <= limit else Result.FAIL), figures


def _agents(subject: _Subject) -> _Verdict:
    """No more agents than wanted, and each works or is idle."""
    agents = subject.status.get("agents")
    if not agents:
        return Result.UNKNOWN, "none wanted yet"
    desired, ready, working, idle = (int(agents.get(k, 0)) for k in ("desired", "ready", "working", "idle"))
    faults = []
    if ready > desired:
        faults.append(f"{ready} ready, {desired} desired: do pods still stop?")
    if working + idle != ready:
        faults.append(f"{working} working + {idle} idle, {ready} ready")
    return _judged(faults, f"{ready} of {desired} ready: {working} working, {idle} idle")


def _phase(subject: _Subject) -> _Verdict:
    """The summary for people agrees with the conditions."""
    phase = subject.phase
    if phase not in _PHASES:
        return Result.FAIL, f"{phase} is no phase that this version knows"
    wanted = {ConditionType.FINISHED: "True" if phase in TERMINAL else "False", **_PHASES[Phase(phase)]}
    faults = [
        f"{type_} is {subject.state(type_)}"
        for type_, state in wanted.items()
        if subject.state(type_) != state
    ]
    if not subject.conditions:
        return Result.UNKNOWN, phase
    return _judged([f"{phase}, and {fault}" for fault in faults], phase)


_CHECKS: Final[Mapping[str, Callable[[_Subject], _Verdict]]] = {
    "conditions": _conditions,
    "queue": _queue,
    "audit": _audit,
    "tasks": _tasks,
    "progress": _progress,
    "cost": _cost,
    "agents": _agents,
    "phase": _phase,
}
_SYSTEM: Final = "kubectl -n swarmrun-system get pods"
#: What to do about a check that failed; those without an entry are about figures.
_ADVICE: Final[Mapping[str, str]] = {
    "conditions": f"is the operator running? {_SYSTEM}",
    "queue": f"is Redis running? {_SYSTEM}",
    "audit": "the run goes on; report a fault with: kubectl get swr {name}{where} -o yaml",
}
_FIGURES: Final = "check again in 10 s; if it stays, report: kubectl get swr {name}{where} -o yaml"


def next_step(run: Mapping[str, Any], found: Sequence[Check]) -> str:
    """Say what to do next: mend the first fault, or what the run itself needs."""
    failed = next((check for check in found if check.failed), None)
    if failed is None:
        return dashboard.next_command(dict(run))
    name = run.get("metadata", {}).get("name", "NAME")
    return _ADVICE.get(failed.name, _FIGURES).format(name=name, where=dashboard.where(run))


def table(run: Mapping[str, Any], found: Sequence[Check]) -> Iterator[str]:
    """Render the checks in Rich markup: a row each, long details wrapped, the next step last."""
    width = max(len(check.name) for check in found)
    indent = width + 10
    yield f"{'CHECK':<{width}}   RESULT DETAIL"
    for check in found:
        text = clean(check.detail) or "-"
        first, *rest = textwrap.wrap(text, _WIDTH - indent) or ["-"]
        mark = f"{check.result:<6}"
        yield f"{check.name:<{width}}   {f'[red]{mark}[/]' if check.failed else mark} {escape(first)}"
        yield from (" " * indent + escape(line) for line in rest)
    yield ""
    yield f"Next: {escape(clean(next_step(run, found)))}"


def value(run: Mapping[str, Any], found: Sequence[Check]) -> dict[str, Any]:
    """Give the same to programs."""
    metadata = run.get("metadata", {})
    return {
        "namespace": metadata.get("namespace", ""),
        "name": metadata.get("name", ""),
        "ok": not any(check.failed for check in found),
        "checks": [{"check": c.name, "result": c.result.value, "detail": c.detail} for c in found],
        "next": next_step(run, found),
    }

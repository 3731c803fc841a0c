"""From Redis' flat hashes to a `Snapshot`. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarmrun.core.task import Failure, TaskState, TaskType, specialization_of
from swarmrun.queue.keys import RECORD
from swarmrun.queue.port import (
    Activity,
    AgentView,
    RunState,
    Signal,
    Snapshot,
    TaskView,
    TestTotals,
    Totals,
)
from swarmrun.queue.rules import ACTIVITY_LENGTH, CostLine


@dataclass(frozen=True)
class RawSnapshot:
    """What Redis answered, key by key."""

    run: Mapping[str, str]
    tasks: Mapping[str, str]
    evidence: Mapping[str, str]
    agents: Mapping[str, str]
    ledger: Mapping[str, str]
    signals: Mapping[str, str]
    documents: Mapping[str, str]
    #: (stream id, fields), newest first.
    events: Sequence[tuple[str, Mapping[str, str]]]
    server_time: float


def decode(raw: RawSnapshot) -> Snapshot:
    """Build the snapshot; a run that is not open reads as epoch 0, paused, empty."""
    tests = raw.run.get("tests")
    tasks = {task_id: record(line) for task_id, line in sorted(raw.tasks.items())}
    return Snapshot(
        epoch=int(raw.run.get("epoch", 0)),
        plan_hash=raw.run.get("plan_hash", ""),
        state=RunState(raw.run.get("state", RunState.PAUSED)),
        server_time=raw.server_time,
        tasks=tuple(
            _task(task_id, facts, failures(raw.evidence.get(task_id, ""))) for task_id, facts in tasks.items()
        ),
        agents=_agents(raw.agents),
        activity=_activity(raw.events, tasks),
        totals=totals(raw.ledger, raw.run),
        tests=TestTotals.model_validate_json(tests) if tests else TestTotals(),
        signals={name: Signal.model_validate_json(text[1:]) for name, text in sorted(raw.signals.items())},
        documents={name: json.loads(text) for name, text in sorted(raw.documents.items())},
    )


def failures(lines: str) -> tuple[Failure, ...]:
    """Parse stored evidence, oldest first."""
    return tuple(Failure.model_validate_json(line) for line in lines.split("\n") if line)


def totals(ledger: Mapping[str, str], stops: Mapping[str, str | None]) -> Totals:
    """Parse the ledger's sums. `stops`: `refused` and `refused_fix` of the run, where there is one."""
    return Totals(
        limit_micro_usd=int(ledger.get("limit", 0)),
        fix_reserve_micro_usd=int(ledger.get("fix_reserve", 0)),
        spent_micro_usd=int(ledger.get("spent", 0)),
        reserved_micro_usd=int(ledger.get("reserved", 0)),
        max_tokens=int(ledger["max_tokens"]) if "max_tokens" in ledger else None,
        tokens_in=int(ledger.get("tokens_in", 0)),
        tokens_out=int(ledger.get("tokens_out", 0)),
        tokens_cached=int(ledger.get("tokens_cached", 0)),
        tokens_unknown=int(ledger.get("tokens_unknown", 0)),
        reserved_tokens=int(ledger.get("reserved_tokens", 0)),
        calls=int(ledger.get("calls", 0)),
        exhausted=bool(stops.get("refused") or stops.get("refused_fix")),
        exhausted_for_fixes=bool(stops.get("refused_fix")),
    )


def cost_lines(cost: Mapping[str, str]) -> tuple[CostLine, ...]:
    """Parse the counters by task type and model, sorted."""
    counters: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for field, value in cost.items():
        metric, kind, model = field.split("\t", 2)
        counters[model, kind][metric] = int(value)
    return tuple(
        CostLine.model_validate({"model": model, "task_type": kind, **counts})
        for (model, kind), counts in sorted(counters.items())
    )


def seconds(milliseconds: str | None) -> float:
    """Convert a stored time; 0 when it has not happened."""
    return int(milliseconds) / 1000 if milliseconds else 0.0


def record(line: str) -> dict[str, str]:
    """Parse a task's record; empty fields are left out."""
    values = line.split("\t", len(RECORD) - 1)
    return {name: value for name, value in zip(RECORD, values, strict=True) if value}


def agent_name(index: str) -> str:
    """Name an agent by its index, as on leases and commits."""
    return f"agent-{index}" if index else ""


def _task(task_id: str, facts: Mapping[str, str], evidence: tuple[Failure, ...]) -> TaskView:
    return TaskView(
        id=task_id,
        type=TaskType(facts["type"]),
        title=facts.get("title", ""),
        state=TaskState(facts["state"]),
        agent=agent_name(facts.get("agent", "")),
        attempt=int(facts.get("attempt", 0)),
        failures=evidence,
        fix_of=facts.get("fix_of"),
        commit=facts.get("commit", ""),
        claimed_at=seconds(facts.get("claimed")),
        submitted_at=seconds(facts.get("submitted")),
        finished_at=seconds(facts.get("finished")),
        cost_micro_usd=int(facts.get("cost", 0)),
    )


def _agents(fields: Mapping[str, str]) -> tuple[AgentView, ...]:
    indexes = sorted(int(field) for field in fields if field.isdigit())
    return tuple(agent_view(index, fields[str(index)].split("\t")) for index in indexes)


def held_amount(call: str | None) -> int | None:
    """Read the worst case from the record of a call, "<state> <micro-dollars> …"; None without one."""
    return int(call.split(" ", 2)[1]) if call else None


def working(fields: Mapping[str, str]) -> dict[str, str]:
    """Map the index of each agent that has a task to that task."""
    views = {agent.agent: agent.task_id for agent in _agents(fields)}
    return {name: task_id for name, task_id in views.items() if task_id}


def agent_view(index: int, facts: Sequence[str]) -> AgentView:
    """Build one agent's view from pod, last seen, task, completed, failed."""
    pod, seen, task, completed, failed = facts
    return AgentView(
        agent=f"agent-{index}",
        pod=pod,
        specialization=specialization_of(index),
        task_id=task,
        last_seen=seconds(seen),
        completed=int(completed),
        failed=int(failed),
    )


def _activity(
    events: Sequence[tuple[str, Mapping[str, str]]], tasks: Mapping[str, Mapping[str, str]]
) -> tuple[Activity, ...]:
    """Parse the newest events, newest first; one entry holds all that one script did, in order."""
    titles = {task_id: facts.get("title", "") for task_id, facts in tasks.items()}
    found: list[Activity] = []
    for at, fields in events:
        for line in reversed(fields["e"].split("\n")):
            verb, index, task_id = line.split("\t", 2)
            when, title = seconds(at.partition("-")[0]), titles.get(task_id, "")
            found.append(Activity(at=when, agent=agent_name(index), verb=verb, task_id=task_id, title=title))
    return tuple(found[:ACTIVITY_LENGTH])

"""From the spec to the plan, or to every fault that keeps it from being one. Pure; results are cached."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import yaml
from pydantic import ValidationError

from swarm_operator.observed import ProjectSource, Run
from swarm_operator.reasons import Reason
from swarmrun.core.api import SwarmRunSpec
from swarmrun.core.api_base import MAX_SPEC_BYTES
from swarmrun.core.errors import Invalid, Problem, Stalled
from swarmrun.core.task import Task

#: Bounds of what a condition's message lists.
MAX_PROBLEMS: Final = 20
MAX_PROBLEM_TEXT: Final = 7500
#: Plans kept whole; they are large, and a plan is needed again only when its queue must be filled.
KEPT_PLANS: Final = 16
#: Outcomes kept without their tasks: about a kilobyte each.
KEPT_OUTCOMES: Final = 4096


@dataclass(frozen=True)
class PlanFacts:
    """A plan in figures."""

    hash: str
    tasks: int
    critical_path: int
    low_micro_usd: int
    high_micro_usd: int
    profile: str
    project_name: str
    coverage_percent: float | None = None


@dataclass(frozen=True)
class Refusal:
    """Why there is no plan. `waiting` means that the missing thing may appear by itself."""

    reason: str
    message: str
    waiting: bool = False


@dataclass(frozen=True)
class Planned:
    """The outcome: a valid spec with its plan, or a refusal (with the spec, if at least that is valid)."""

    spec: SwarmRunSpec | None
    facts: PlanFacts | None = None
    refusal: Refusal | None = None


class Builder(Protocol):
    """Makes a plan of a project. Raises `Invalid` or `Stalled`."""

    def build(self, spec: SwarmRunSpec, project: Mapping[str, Any]) -> tuple[PlanFacts, Sequence[Task]]:
        """Return the plan's figures and its tasks."""


def say(problems: Sequence[Problem]) -> str:
    """Render problems one a line: at most 20, at most 7.5 kB, and how many more there are."""
    lines: list[str] = []
    room = MAX_PROBLEM_TEXT
    for problem in problems[:MAX_PROBLEMS]:
        line = str(problem)[:1000]
        if len(line.encode()) + 1 > room:
            break
        lines.append(line)
        room -= len(line.encode()) + 1
    if more := len(problems) - len(lines):
        lines.append(f"and {more} more")
    return "\n".join(lines)


def _spec_problems(error: ValidationError) -> list[Problem]:
    return [
        Problem(
            path="spec." + ".".join(str(part) for part in fault["loc"]),
            value=repr(fault.get("input"))[:80],
            rule=fault["msg"],
            fix="see kubectl explain swarmrun.spec",
        )
        for fault in error.errors(include_url=False, include_context=False)
    ]


class Planner:
    """Plans runs and remembers the outcomes by content, so that an unchanged run is planned once."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._outcomes: OrderedDict[tuple[str, int, str], PlanFacts | Refusal] = OrderedDict()
        self._tasks: OrderedDict[str, Sequence[Task]] = OrderedDict()

    def plan(self, run: Run, source: ProjectSource | None) -> Planned:
        """Plan a run; the outcome depends on its spec and the text of `projectFrom` alone."""
        try:
            spec = _spec(run)
        except Invalid as error:
            return Planned(None, refusal=_refusal(error))
        if source is not None and source.missing:
            return Planned(spec, refusal=Refusal(Reason.CONFIG_MAP_NOT_FOUND, source.missing, waiting=True))
        key = (run.uid, run.generation, _digest(source))
        outcome = self._outcomes.get(key)
        if outcome is None:
            outcome = self._outcomes[key] = self._build(run, spec, source)
            if len(self._outcomes) > KEPT_OUTCOMES:
                self._outcomes.popitem(last=False)
        self._outcomes.move_to_end(key)
        if isinstance(outcome, Refusal):
            return Planned(spec, refusal=outcome)
        return Planned(spec, facts=outcome)

    def tasks(self, run: Run, source: ProjectSource | None) -> Sequence[Task]:
        """Return the tasks of a run that has a plan, building them again if they were dropped."""
        outcome = self.plan(run, source)
        if outcome.spec is None or outcome.facts is None:
            return ()
        key = f"{run.uid}/{outcome.facts.hash}"
        if key not in self._tasks:
            project = _project(outcome.spec, source)
            self._keep(key, self._builder.build(outcome.spec, project)[1])
        self._tasks.move_to_end(key)
        return self._tasks[key]

    def forget(self, uid: str) -> None:
        """Drop what is known of a run that is gone."""
        for outcome_key in [k for k in self._outcomes if k[0] == uid]:
            del self._outcomes[outcome_key]
        for tasks_key in [k for k in self._tasks if k.startswith(f"{uid}/")]:
            del self._tasks[tasks_key]

    def _keep(self, key: str, tasks: Sequence[Task]) -> None:
        self._tasks[key] = tasks
        if len(self._tasks) > KEPT_PLANS:
            self._tasks.popitem(last=False)

    def _build(self, run: Run, spec: SwarmRunSpec, source: ProjectSource | None) -> PlanFacts | Refusal:
        try:
            facts, tasks = self._builder.build(spec, _project(spec, source))
        except (Invalid, Stalled) as error:
            return _refusal(error)
        self._keep(f"{run.uid}/{facts.hash}", tasks)
        return facts


def _digest(source: ProjectSource | None) -> str:
    return hashlib.sha256((source.text or "").encode()).hexdigest()[:16] if source else ""


def _refusal(error: Invalid | Stalled) -> Refusal:
    if isinstance(error, Stalled):
        return Refusal(error.reason, error.message)
    paths = [p.path for p in error.problems]
    text = say(error.problems)
    if any(p.startswith("spec") and not p.startswith("spec.project.") for p in paths):
        return Refusal(Reason.SPEC_TOO_LARGE if paths == ["spec"] else Reason.INVALID_SPEC, text)
    stack = all(p.startswith(_STACK_PATHS) for p in paths)
    return Refusal(Reason.UNSUPPORTED_STACK if stack else Reason.INVALID_PROJECT, text)


_STACK_PATHS: Final = ("spec.project.architecture.", "project.architecture.")


def _spec(run: Run) -> SwarmRunSpec:
    """Validate the spec.

    Raises:
        Invalid: it is too large, or a field is wrong.
    """
    size = len(json.dumps(run.spec, separators=(",", ":")).encode())
    if size > MAX_SPEC_BYTES:
        rule = f"must have at most {MAX_SPEC_BYTES} bytes as JSON"
        fix = "keep the project in a ConfigMap and name it in spec.projectFrom"
        raise Invalid([Problem(path="spec", value=f"{size} bytes", rule=rule, fix=fix)])
    try:
        return SwarmRunSpec.model_validate(run.spec)
    except ValidationError as error:
        raise Invalid(_spec_problems(error)) from error


def _project(spec: SwarmRunSpec, source: ProjectSource | None) -> Mapping[str, Any]:
    """Return the project specification, from the spec or from the ConfigMap's text.

    Raises:
        Invalid: the ConfigMap's text is not a YAML mapping.
    """
    if spec.project is not None:
        return spec.project
    text = (source.text if source else None) or ""
    if len(text.encode()) > MAX_SPEC_BYTES * 4:
        rule = f"must have at most {MAX_SPEC_BYTES * 4} bytes"
        raise Invalid([Problem(path="projectFrom", value=str(len(text)), rule=rule, fix="shorten it")])
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = Problem(
            path="projectFrom",
            value=str(getattr(error, "problem_mark", "") or "text")[:200],
            rule="must be valid YAML",
            fix="correct the ConfigMap's text",
        )
        raise Invalid([problem]) from error
    if not isinstance(data, dict):
        rule = "must be a YAML mapping with project_name, architecture and resources"
        raise Invalid([Problem(path="projectFrom", value=type(data).__name__, rule=rule, fix="correct it")])
    return data

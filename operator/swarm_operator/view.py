"""One look at a run, as the stages of a decision share it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from swarm_operator.conditions import Fact, update
from swarm_operator.manifests.build import Blueprint, Platform, RunTokens
from swarm_operator.names import labels
from swarm_operator.observed import Observed
from swarm_operator.planning import PlanFacts, Planner
from swarmrun.core.api import SwarmRunSpec
from swarmrun.core.money import format_usd, parse_usd
from swarmrun.core.status import PlanStatus, SwarmRunStatus
from swarmrun.core.task import LEAST_RUNGS
from swarmrun.queue.port import RunState, Snapshot


@dataclass(frozen=True)
class Context:
    """What is the same for all runs."""

    platform: Platform
    planner: Planner
    #: Derives a run's tokens from its uid.
    tokens: Callable[[str], RunTokens]


@dataclass(frozen=True)
class View:
    """A run with a valid plan, at one moment."""

    observed: Observed
    context: Context
    now: float
    spec: SwarmRunSpec
    plan: PlanFacts

    @property
    def status(self) -> SwarmRunStatus:
        """The stored status."""
        return self.observed.run.status

    @property
    def snapshot(self) -> Snapshot | None:
        """The queue, if it answered."""
        return self.observed.queue.snapshot

    @property
    def wanted_state(self) -> RunState:
        """Whether work may be claimed."""
        return RunState.PAUSED if self.spec.suspend else RunState.ACTIVE

    @property
    def limit_micro_usd(self) -> int:
        """The budget."""
        return parse_usd(self.spec.budget.max_cost_usd)

    @property
    def fix_reserve_micro_usd(self) -> int:
        """The part of the budget that only repairs may use."""
        return self.limit_micro_usd * self.spec.budget.fix_reserve_percent // 100

    @property
    def rungs(self) -> int:
        """Ways to try a task: as planned, with more context, with each stronger model."""
        policy = self.spec.model_policy
        return LEAST_RUNGS + (len(policy.escalation) if policy else 0)

    @property
    def coverage_wanted(self) -> float | None:
        """Least test coverage of the finished project in percent: the run's own wish, else the project's."""
        own = self.spec.gates.coverage_percent if self.spec.gates else None
        return self.plan.coverage_percent if own is None else own

    @property
    def replicas(self) -> int:
        """Wanted agent pods: none while suspended; a run without budget keeps its warm agents."""
        return 0 if self.spec.suspend else self.spec.num_agents

    def blueprint(self) -> Blueprint:
        """Inputs of the manifest builders."""
        run = self.observed.run
        return Blueprint(
            platform=self.context.platform,
            namespace=run.namespace,
            run=run.name,
            uid=run.uid,
            spec=self.spec,
            project_name=self.plan.project_name,
            profile=self.plan.profile,
            plan_hash=self.plan.hash,
            coverage_percent=self.plan.coverage_percent,
            tokens=self.context.tokens(run.uid),
        )


def plan_status(plan: PlanFacts) -> PlanStatus:
    """Show the plan in figures."""
    return PlanStatus(
        hash=plan.hash,
        tasks=plan.tasks,
        critical_path=plan.critical_path,
        estimated_cost_low_usd=format_usd(plan.low_micro_usd),
        estimated_cost_high_usd=format_usd(plan.high_micro_usd),
    )


def selector_text(run: str) -> str:
    """Label selector of the agent pods, as the scale subresource shows it."""
    chosen = labels(run, "agents")
    keys = ("swarmrun.dev/run", "app.kubernetes.io/component")
    return ",".join(f"{key}={chosen[key]}" for key in keys)


def next_status(observed: Observed, now: float, facts: Sequence[Fact], **changes: Any) -> SwarmRunStatus:
    """Derive the next status from the stored one: new facts, changed fields, the rest as it was."""
    run = observed.run
    return run.status.model_copy(
        update={
            "observed_generation": run.generation,
            "conditions": update(run.status.conditions, facts, generation=run.generation, now=now),
            "selector": selector_text(run.name),
            **changes,
        }
    )

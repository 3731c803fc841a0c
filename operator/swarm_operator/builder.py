"""Plans as the operator makes them: parse, check prices, build, estimate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from swarm_operator.planning import PlanFacts
from swarmrun.core.api import SwarmRunSpec
from swarmrun.core.errors import Stalled
from swarmrun.core.estimate import Estimate, TokenPrice, estimate
from swarmrun.core.plan import Plan, build_plan
from swarmrun.core.project import parse_project
from swarmrun.core.task import Task
from swarmrun.prices import lookup_price, unpriced_models
from swarmrun.profiles import load, names
from swarmrun.runconfig import ModelPolicy, ProviderConfig
from swarmrun.specmodels import models_of, provider_of

_COVERAGE: Final = re.compile(
    r"(?P<before>\d{1,3}(?:\.\d+)?)\s*%[^.;%]{0,40}coverage|coverage[^.;%]{0,40}?(?P<after>\d{1,3}(?:\.\d+)?)\s*%",
    re.IGNORECASE,
)
_WHOLE: Final = 100.0


class PlanBuilder:
    """The builder behind the planner."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    @staticmethod
    def warm() -> None:
        """Load profiles and prices now, so that the first run does not wait for them."""
        for name in names():
            load(name)
        unpriced_models(["gpt-4o"], ProviderConfig(type="OpenAI"), at=datetime.fromtimestamp(0, UTC))

    def build(self, spec: SwarmRunSpec, project: Mapping[str, Any]) -> tuple[PlanFacts, Sequence[Task]]:
        """Return the plan's figures and its tasks.

        Raises:
            Invalid: the project is wrong.
            Stalled: a model has no price.
        """
        root = "spec.project" if spec.project is not None else "project"
        parsed = parse_project(dict(project), profiles=[load(name) for name in names()], root=root)
        profile = load(parsed.profile)
        provider, policy = provider_of(spec), models_of(spec)
        at = datetime.fromtimestamp(self._clock(), UTC)
        if missing := unpriced_models(policy.models(), provider, at=at):
            raise Stalled(
                "PriceUnknown",
                f"no price is known for {', '.join(missing)}; declare it under spec.provider.prices "
                "(0 is allowed for a local model), or name another model",
            )
        plan = build_plan(parsed, profile)
        cost = _estimate(plan, policy, provider, at)
        facts = PlanFacts(
            hash=plan.hash,
            tasks=len(plan.tasks),
            critical_path=len(plan.critical_path),
            low_micro_usd=cost.low_micro_usd,
            high_micro_usd=cost.high_micro_usd,
            profile=profile.name,
            project_name=parsed.name,
            coverage_percent=coverage_wanted(r.text for r in parsed.requirements),
        )
        return facts, plan.tasks


def coverage_wanted(requirements: Iterable[str]) -> float | None:
    """Read the least coverage in percent that the specification asks for; the highest if it asks twice."""
    found = [
        float(match["before"] or match["after"])
        for text in requirements
        if (match := _COVERAGE.search(text)) is not None
    ]
    return max((f for f in found if f <= _WHOLE), default=None)


def _estimate(plan: Plan, policy: ModelPolicy, provider: ProviderConfig, at: datetime) -> Estimate:
    def price(model: str) -> TokenPrice:
        base = lookup_price(model, provider, at=at).base
        return TokenPrice(input_usd=base.input, output_usd=base.output)

    return estimate(plan, price(policy.default), {t: price(m) for t, m in policy.by_task_type.items()})

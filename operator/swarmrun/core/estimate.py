"""What a plan will probably cost, before the first call: a range in micro-dollars.

The assumptions are constants on purpose: a person can read them, judge them and compare them with a report.
The promise is the budget, not this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from swarmrun.core.money import cost_micro_usd
from swarmrun.core.plan import Plan
from swarmrun.core.task import Frozen, Task, TaskType

#: Characters of JSON and code per token, on the low side for English and TypeScript.
CHARS_PER_TOKEN: Final = 4
#: Tokens of rules, answer format and conventions, the same in every prompt.
PROMPT_TOKENS: Final = 3_500


@dataclass(frozen=True, slots=True)
class Assumption:
    """Expected effort of one task: tokens of files shown per call, tokens answered per call, model calls."""

    context: tuple[int, int]
    output: tuple[int, int]
    calls: tuple[int, int]


#: (low, high) per type. Low: the first answer passes. High: two repair rounds and one more attempt.
ASSUMPTIONS: Final[dict[TaskType, Assumption]] = {
    TaskType.SCAFFOLD: Assumption(context=(500, 3_000), output=(2_000, 7_000), calls=(1, 4)),
    TaskType.IMPLEMENT_DATABASE: Assumption(context=(500, 3_000), output=(600, 2_000), calls=(1, 3)),
    TaskType.IMPLEMENT_ENDPOINT: Assumption(context=(1_500, 8_000), output=(800, 2_500), calls=(1, 4)),
    TaskType.WRITE_TESTS: Assumption(context=(2_000, 9_000), output=(1_500, 4_500), calls=(1, 4)),
    TaskType.IMPLEMENT_REQUIREMENT: Assumption(context=(2_000, 10_000), output=(1_000, 4_000), calls=(1, 4)),
    TaskType.WRITE_DOCS: Assumption(context=(2_000, 8_000), output=(1_000, 2_500), calls=(1, 2)),
    TaskType.FIX_BUG: Assumption(context=(2_000, 10_000), output=(800, 3_000), calls=(1, 4)),
    TaskType.REFACTOR: Assumption(context=(2_000, 10_000), output=(1_000, 4_000), calls=(1, 3)),
}


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """US dollars per million tokens."""

    input_usd: Decimal
    output_usd: Decimal


class Estimate(Frozen):
    """Low and high estimate in micro-dollars and tokens, and the micro-dollars by task type."""

    low_micro_usd: int
    high_micro_usd: int
    low_tokens: int
    high_tokens: int
    by_type: dict[TaskType, tuple[int, int]]


def estimate(plan: Plan, price: TokenPrice, by_type: Mapping[TaskType, TokenPrice] | None = None) -> Estimate:
    """Estimate a plan's cost at `price`, or at the price of a type's own model where `by_type` names one."""
    prices = by_type or {}
    tokens = [0, 0]
    costs: dict[TaskType, list[int]] = {}
    for task in plan.tasks:
        rate = prices.get(task.type, price)
        sums = costs.setdefault(task.type, [0, 0])
        for bound in (0, 1):
            taken, given = _tokens(task, bound)
            tokens[bound] += taken + given
            sums[bound] += cost_micro_usd(taken, rate.input_usd) + cost_micro_usd(given, rate.output_usd)
    return Estimate(
        low_micro_usd=sum(low for low, _ in costs.values()),
        high_micro_usd=sum(high for _, high in costs.values()),
        low_tokens=tokens[0],
        high_tokens=tokens[1],
        by_type={kind: (low, high) for kind, (low, high) in costs.items()},
    )


def _tokens(task: Task, bound: int) -> tuple[int, int]:
    """Input and output tokens of one task; bound 0 is low, 1 is high."""
    assumed = ASSUMPTIONS[task.type]
    prompt = PROMPT_TOKENS + len(json.dumps(task.spec, separators=(",", ":"))) // CHARS_PER_TOKEN
    calls = assumed.calls[bound]
    # Each repair round sends the answers before it again.
    again = assumed.output[bound] * calls * (calls - 1) // 2
    return calls * (prompt + assumed.context[bound]) + again, calls * assumed.output[bound]

"""The price book of one run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from swarmrun.core.pricing import Price
from swarmrun.prices import lookup_price, unpriced_models
from swarmrun.runconfig import ModelPolicy, RunConfig


def allowed_models(policy: ModelPolicy) -> frozenset[str]:
    """Every model that the run's policy names; calls of others are refused."""
    return frozenset({policy.default, *policy.by_task_type.values(), *policy.escalation})


class PriceBook:
    """Answers at today's prices: a table may hold a price that begins or ends while the run goes on."""

    def __init__(self, config: RunConfig, now: Callable[[], float]) -> None:
        self._config, self._now = config, now

    def price(self, model: str) -> Price:
        """Return the model's price.

        Raises:
            PriceUnknown: neither the run's configuration nor the table knows it.
        """
        return lookup_price(model, self._config.provider, at=self._at())

    def missing(self) -> tuple[str, ...]:
        """Models of the run's policy without a price."""
        return unpriced_models(
            sorted(allowed_models(self._config.models)), self._config.provider, at=self._at()
        )

    def _at(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)

"""The price book of one run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from swarmrun.core.pricing import Price
from swarmrun.prices import lookup_price, unpriced_models
from swarmrun.runconfig import RunConfig

#: Prices change with a date; looking one up takes longer than all else of a call.
_LASTS_SECONDS: Final = 10.0


class PriceBook:
    """Answers at today's prices: a table may hold a price that begins or ends while the run goes on."""

    def __init__(self, config: RunConfig, now: Callable[[], float]) -> None:
        self._config, self._now = config, now
        self._known: dict[str, tuple[float, Price]] = {}

    def price(self, model: str) -> Price:
        """Return the price of one of the run's models.

        Raises:
            PriceUnknown: neither the run's configuration nor the table knows it.
        """
        until, price = self._known.get(model, (0.0, None))
        if price is None or self._now() >= until:
            price = lookup_price(model, self._config.provider, at=self._at())
            self._known[model] = (self._now() + _LASTS_SECONDS, price)
        return price

    def missing(self) -> tuple[str, ...]:
        """Models of the run's policy without a price."""
        return unpriced_models(self._config.models.models(), self._config.provider, at=self._at())

    def _at(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)

"""The price book of one provider."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from swarmrun.core.pricing import Price
from swarmrun.prices import lookup_price
from swarmrun.runconfig import ProviderEndpoint

#: Prices change with a date; looking one up takes longer than all else of a call.
_LASTS_SECONDS: Final = 10.0


class PriceBook:
    """Answers at today's prices: a table may hold a price that begins or ends while the run goes on."""

    def __init__(self, provider: ProviderEndpoint, now: Callable[[], float]) -> None:
        self._provider, self._now = provider, now
        self._known: dict[str, tuple[float, Price]] = {}

    def price(self, model: str) -> Price:
        """Return the price of a model.

        Raises:
            PriceUnknown: neither the run's configuration nor the table knows it.
        """
        until, price = self._known.get(model, (0.0, None))
        if price is None or self._now() >= until:
            price = lookup_price(model, self._provider, at=datetime.fromtimestamp(self._now(), UTC))
            self._known[model] = (self._now() + _LASTS_SECONDS, price)
        return price

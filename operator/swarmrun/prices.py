"""Prices of models: the run's own overrides first, then the table of genai-prices as installed.

The table is data of the pinned library; nothing is fetched. Unknown is an error, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from genai_prices.data_snapshot import get_snapshot

from swarmrun.core.pricing import Price, PriceUnknown, Rates, Tier
from swarmrun.runconfig import PriceOverride, ProviderConfig, ProviderEndpoint

_VENDOR: Final = {"OpenAI": "openai", "Anthropic": "anthropic"}
_FIELDS: Final = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_long": "cache_write_1h_mtok",
}
_FIX: Final = "declare it under spec.provider.prices (0 is allowed for a local model), or name another model"


def lookup_price(model: str, provider: ProviderEndpoint, *, at: datetime) -> Price:
    """Find the price of `model` as valid at a point in time.

    An OpenAICompatible server is looked up by its base URL: the same model name may cost anything there.

    Raises:
        PriceUnknown: neither the overrides nor the table know the model.
    """
    for override in provider.prices:
        if override.model == model:
            return _from_override(override)
    snapshot = get_snapshot()
    vendor = _VENDOR.get(provider.type)
    if vendor is None and not provider.base_url:
        raise PriceUnknown(model, _FIX)
    try:
        found = snapshot.find_provider(None, vendor, None if vendor else provider.base_url)
        _, info = snapshot.find_provider_model(model, found, None, None)
    except LookupError:
        raise PriceUnknown(model, _FIX) from None
    return _from_table(model, info.get_prices(at))


def unpriced_models(models: Iterable[str], provider: ProviderConfig, *, at: datetime) -> tuple[str, ...]:
    """Return those of `models` whose price is unknown, there or at the fallback, each once, in order."""
    wanted = list(dict.fromkeys(models))
    endpoints = (provider, provider.fallback) if provider.fallback else (provider,)
    missing: list[str] = []
    for endpoint in endpoints:
        for model in (endpoint.models.get(name, name) for name in wanted):
            try:
                lookup_price(model, endpoint, at=at)
            except PriceUnknown:
                missing.append(model)
    return tuple(dict.fromkeys(missing))


def _from_override(override: PriceOverride) -> Price:
    return Price(
        base=Rates(
            input=override.input_usd,
            output=override.output_usd,
            cache_read=override.cache_read_usd,
            cache_write=override.cache_write_usd,
        )
    )


def _from_table(model: str, prices: Any) -> Price:
    """Convert a ModelPrice: each of its fields is None, a Decimal, or a base with tiers."""
    fields = {ours: getattr(prices, theirs, None) for ours, theirs in _FIELDS.items()}
    if fields["input"] is None or fields["output"] is None:
        raise PriceUnknown(model, _FIX)
    thresholds = sorted({tier.start for value in fields.values() for tier in getattr(value, "tiers", ())})
    return Price(
        base=Rates(**{name: _rate(value, 0) for name, value in fields.items()}),
        tiers=tuple(
            Tier(
                above_tokens=start,
                rates=Rates(**{name: _rate(value, start + 1) for name, value in fields.items()}),
            )
            for start in thresholds
        ),
    )


def _rate(value: Any, input_tokens: int) -> Decimal | None:
    if value is None or isinstance(value, Decimal):
        return value
    rate: Decimal = value.base
    for tier in value.tiers:
        if input_tokens > tier.start:
            rate = tier.price
    return rate

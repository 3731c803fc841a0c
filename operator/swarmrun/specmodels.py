"""From a run's spec to what hub and price table read: its provider, and which model does what."""

from __future__ import annotations

from decimal import Decimal

from swarmrun.core.api import SwarmRunSpec
from swarmrun.core.api_provider import Price
from swarmrun.runconfig import ModelPolicy, PriceOverride, ProviderConfig, ProviderEndpoint, SoftThreshold


def _price(price: Price) -> PriceOverride:
    def decimal(value: int | str | None) -> Decimal | None:
        return None if value is None else Decimal(str(value))

    return PriceOverride(
        model=price.model,
        input_usd=Decimal(str(price.input_usd)),
        output_usd=Decimal(str(price.output_usd)),
        cache_read_usd=decimal(price.cache_read_usd),
        cache_write_usd=decimal(price.cache_write_usd),
    )


def provider_of(spec: SwarmRunSpec) -> ProviderConfig:
    """Translate the provider and its fallback, which has the provider's prices after its own."""
    prices, fallback = tuple(_price(p) for p in spec.provider.prices), spec.provider.fallback
    return ProviderConfig(
        type=spec.provider.type,
        base_url=spec.provider.base_url or "",
        prices=prices,
        fallback=fallback
        and ProviderEndpoint(
            type=fallback.type,
            base_url=fallback.base_url or "",
            prices=(*(_price(p) for p in fallback.prices), *prices),
            models=dict(fallback.models),
        ),
    )


def models_of(spec: SwarmRunSpec) -> ModelPolicy:
    """Translate which model does what."""
    policy = spec.model_policy
    return ModelPolicy(
        default=spec.model,
        by_task_type=dict(policy.by_task_type) if policy else {},
        escalation=tuple(policy.escalation) if policy else (),
        soft_thresholds=tuple(
            SoftThreshold(percent=t.percent, model=t.model)
            for t in (policy.soft_thresholds if policy else ())
        ),
    )

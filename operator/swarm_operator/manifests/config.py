"""ConfigMap `<run>-config`: the run's configuration as its pods read it. It holds no secret."""

from __future__ import annotations

from decimal import Decimal

from swarm_operator.manifests.build import PORT_API, PORT_SANDBOX, Blueprint, Json, metadata
from swarm_operator.names import child
from swarmrun.core.api import SwarmRunSpec
from swarmrun.core.api_provider import Price
from swarmrun.runconfig import (
    GateOverrides,
    ModelPolicy,
    PriceOverride,
    ProviderConfig,
    ProviderEndpoint,
    RunConfig,
    SoftThreshold,
)


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


def run_config(b: Blueprint) -> RunConfig:
    """Translate the spec into what hub, merger and agents read."""
    spec, gates = b.spec, b.spec.gates

    def url(suffix: str, port: int) -> str:
        return f"http://{child(b.run, suffix)}.{b.namespace}.svc:{port}"

    coverage: float | None = gates.coverage_percent if gates else None
    return RunConfig(
        namespace=b.namespace,
        name=b.run,
        uid=b.uid,
        project_name=b.project_name,
        profile=b.profile,
        plan_hash=b.plan_hash,
        provider=provider_of(spec),
        models=models_of(spec),
        repository_url=spec.repository.url,
        branch=spec.repository.branch,
        max_attempts=spec.max_attempts,
        task_timeout_seconds=spec.task_timeout_seconds,
        gates=GateOverrides(
            commands=tuple(gates.commands) if gates else (),
            coverage_percent=b.coverage_percent if coverage is None else coverage,
        ),
        hub_url=url("hub", PORT_API),
        merger_url=url("merger", PORT_API),
        gates_url=url("gates", PORT_SANDBOX),
    )


def config_map(b: Blueprint) -> Json:
    """Build the ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(b, "config"),
        "data": {"run.json": run_config(b).model_dump_json(indent=1)},
    }

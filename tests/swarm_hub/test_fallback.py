"""Two real providers, two keys: when the hub goes from one to the other, and what is told of it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from hub_support import COST, MODEL, PROVIDER_KEY, Provider, RunningHub, running_hub, running_provider
from swarm_hub.routes import all_refused, joint
from swarmrun.queue.port import Signal
from swarmrun.runconfig import PriceOverride, ProviderEndpoint, ProviderType

SECOND_KEY = "second-key-5678"
QUOTA = {"error": {"message": f"insufficient_quota for {PROVIDER_KEY}", "code": "insufficient_quota"}}


@pytest.fixture
async def second() -> AsyncIterator[Provider]:
    async with running_provider() as server:
        server.key = SECOND_KEY
        yield server


@asynccontextmanager
async def with_both(
    first: Provider, second: Provider, kind: ProviderType = "OpenAI", **changes: Any
) -> AsyncIterator[RunningHub]:
    base_url = second.url if kind == "Anthropic" else f"{second.url}/v1"
    fallback = ProviderEndpoint(type=kind, base_url=base_url, models=changes.pop("models_there", {}))
    prices = changes.pop("prices_there", ())
    values: dict[str, Any] = {"fallback_key": SECOND_KEY, **changes}
    there = fallback.model_copy(update={"prices": prices})
    async with running_hub(first, kind, fallback=there, **values) as hub:
        yield hub


def answer(provider: Provider, status: int, body: Any = None, headers: Any = None) -> None:
    """Let the provider answer all calls in this way."""

    async def behave(_: web.Request) -> web.StreamResponse:
        return web.json_response(body or {}, status=status, headers=headers)

    provider.behave = behave


async def call(hub: RunningHub, url: str, **fields: Any) -> tuple[int, str]:
    async with hub.http.post(url, json=hub.request("ok", **fields)) as response:
        return response.status, await response.text()


async def told(hub: RunningHub) -> Signal:
    await hub.hub.close(5)
    signal: Signal = (await hub.queue.snapshot()).signals["provider"]
    return signal


@pytest.mark.parametrize("kind", ["OpenAI", "Anthropic"])
@pytest.mark.parametrize(
    ("refusal", "reason"),
    [((429, QUOTA), "ProviderQuotaExhausted"), ((401, {}), "ProviderUnauthorized")],
)
async def test_a_refused_call_and_all_after_it_go_through_the_fallback(
    provider: Provider, second: Provider, kind: ProviderType, refusal: tuple[int, Any], reason: str
) -> None:
    async with with_both(provider, second, kind) as hub:
        url = hub.endpoint(await hub.lease())
        assert (await call(hub, url))[0] == 200
        answer(provider, *refusal)
        assert [(await call(hub, url, stream=True))[0] for _ in range(3)] == [200] * 3
        assert (len(provider.requests), len(second.requests)) == (2, 3)
        assert all(PROVIDER_KEY not in str(headers) for headers, _ in second.requests)
        assert all(SECOND_KEY not in str(headers) for headers, _ in provider.requests)
        totals = await hub.queue.totals()
        assert (totals.spent_micro_usd, totals.reserved_micro_usd) == (4 * COST[kind], 0)
        assert not hub.hub.routes[1].health.refused.is_set()
        signal = await told(hub)
        assert (signal.ok, signal.reason) == (True, "ProviderFallback")
        assert signal.message.startswith(f"{reason}: ")
        assert signal.message.endswith("; calls go through spec.provider.fallback")


async def test_many_calls_at_once_all_arrive_when_the_first_key_ends(
    provider: Provider, second: Provider
) -> None:
    async with with_both(provider, second) as hub:
        url = hub.endpoint(await hub.lease())
        answer(provider, 402)
        answers = await asyncio.gather(*(call(hub, url, stream=True) for _ in range(20)))
        assert {status for status, _ in answers} == {200}
        assert (len(provider.requests), len(second.requests)) == (1, 20)


async def test_when_both_are_exhausted_the_run_stops_and_the_hub_ends_as_with_one(
    provider: Provider, second: Provider
) -> None:
    async with with_both(provider, second) as hub:
        url = hub.endpoint(await hub.lease())
        answer(provider, 429, QUOTA)
        answer(second, 402, {"error": {"message": "pay first"}})
        status, text = await call(hub, url)
        assert (status, json.loads(text)["error"]["message"]) == (402, "pay first")
        status, text = await call(hub, url)
        assert (status, json.loads(text)["error"]["code"]) == (429, "provider_refused")
        assert (len(provider.requests), len(second.requests)) == (1, 1)
        await asyncio.wait_for(all_refused(hub.hub.routes), 5)
        assert (await hub.queue.totals()).spent_micro_usd == 0
        signal = await told(hub)
        assert (signal.ok, signal.reason) == (False, "ProviderQuotaExhausted")
        assert "spec.provider.fallback: ProviderQuotaExhausted: pay first" in signal.message


async def test_a_pause_that_is_too_long_sends_calls_to_the_fallback_until_it_is_over(
    provider: Provider, second: Provider
) -> None:
    async with with_both(provider, second, patience_seconds=0.0) as hub:
        url = hub.endpoint(await hub.lease())
        answer(provider, 429, {}, {"Retry-After": "30"})
        assert (await call(hub, url))[0] == 429
        assert (await call(hub, url))[0] == 200
        answer(second, 429, {}, {"Retry-After": "30"})
        assert (await call(hub, url))[0] == 429
        status, text = await call(hub, url)
        assert (status, json.loads(text)["error"]["code"]) == (429, "rate_limited")
        assert (len(provider.requests), len(second.requests)) == (1, 2)
        assert (await told(hub)).ok


async def test_what_passes_by_itself_is_told_rather_than_the_fallbacks_refusal(
    provider: Provider, second: Provider
) -> None:
    async with with_both(provider, second, patience_seconds=0.0, fallback_key="") as hub:
        url = hub.endpoint(await hub.lease())
        answer(provider, 429, {}, {"Retry-After": "30"})
        await call(hub, url)
        status, text = await call(hub, url)
        assert (status, json.loads(text)["error"]["code"]) == (429, "rate_limited")
        assert second.requests == []
        signal = await told(hub)
        assert signal.ok
        assert "set it in the Secret of spec.provider.fallback.credentialsSecretRef" in signal.message


async def test_after_a_while_one_call_looks_whether_the_first_key_is_taken_again(
    provider: Provider, second: Provider
) -> None:
    async with with_both(provider, second, look_again_seconds=0.0) as hub:
        url = hub.endpoint(await hub.lease())
        answer(provider, 402)
        assert [(await call(hub, url))[0] for _ in range(2)] == [200, 200]
        provider.behave = None
        assert [(await call(hub, url))[0] for _ in range(2)] == [200, 200]
        assert len(second.requests) == 2
        signal = await told(hub)
        assert (signal.ok, signal.reason) == (True, "Available")


async def test_a_model_is_called_and_paid_as_it_is_named_and_priced_there(
    provider: Provider, second: Provider
) -> None:
    price = PriceOverride(model="other", input_usd=Decimal(1), output_usd=Decimal(100))
    names = {MODEL["OpenAI"]: "other"}
    async with with_both(provider, second, models_there=names, prices_there=(price,)) as hub:
        url = hub.endpoint(await hub.lease())
        answer(provider, 402)
        assert (await call(hub, url, stream=True))[0] == 200
        assert second.requests[0][1]["model"] == "other"
        totals = await hub.queue.totals()
        assert (totals.spent_micro_usd, totals.reserved_micro_usd) == (100 * 1 + 10 * 100, 0)
        async with aiohttp.ClientSession() as http, http.get(f"{hub.metrics_url}/metrics") as scraped:
            text = await scraped.text()
    labels = 'model="{}",namespace="demo",outcome="{}",provider="{}",run="shop"'
    assert labels.format("gpt-4-turbo", "http_402", "OpenAI") + "} 1.0" in text
    assert labels.format("other", "ok", "OpenAI fallback") + "} 1.0" in text


async def test_a_model_without_a_price_at_the_fallback_is_reported_at_the_start(
    provider: Provider, second: Provider
) -> None:
    async with with_both(provider, second, models_there={MODEL["OpenAI"]: "nameless"}) as hub:
        signal = await told(hub)
        assert (signal.ok, signal.reason) == (False, "PriceUnknown")
        assert "nameless" in signal.message


async def test_neither_key_shows_in_logs_errors_or_signals(
    provider: Provider, second: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="swarm_hub")
    async with with_both(provider, second) as hub:
        url = hub.endpoint(await hub.lease())
        answer(provider, 401, {"error": {"message": f"Incorrect API key provided: {PROVIDER_KEY}"}})
        answer(second, 401, {"error": {"message": f"Incorrect API key provided: {SECOND_KEY}"}})
        answers = [await call(hub, url) for _ in range(3)]
        seen = f"{answers} {await told(hub)} {hub.hub.routes} {caplog.text} {hub.config.model_dump_json()}"
        assert "Incorrect API key provided: [redacted]" in seen
        assert PROVIDER_KEY not in seen
        assert SECOND_KEY not in seen


def test_a_missing_price_is_not_hidden_by_the_fallback() -> None:
    unpriced = Signal(ok=False, reason="PriceUnknown", message="x")
    assert joint(
        {"spec.provider": unpriced, "spec.provider.fallback": Signal(ok=True, reason="Available")}
    ) == (unpriced)

import asyncio
import json
from typing import Any

import anthropic
import openai
import pytest

from hub_support import AGENT_TOKEN, COST, PROVIDER_KEY, Provider, RunningHub, running_hub
from swarmrun.core.task import Lease
from swarmrun.queue.port import RunState
from swarmrun.runconfig import ModelPolicy, ProviderType

KINDS: list[ProviderType] = ["OpenAI", "Anthropic", "OpenAICompatible"]


async def call(hub: RunningHub, what: str, **fields: Any) -> tuple[int, dict[str, Any]]:
    claimed = await hub.lease()
    return await post(hub, hub.endpoint(claimed), hub.request(what, **fields))


async def post(hub: RunningHub, url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with hub.http.post(url, json=body) as answer:
        return answer.status, json.loads(await answer.read())


def code_of(body: dict[str, Any]) -> str:
    error = body["error"]
    return str(error.get("code") or error["type"])


@pytest.mark.parametrize("kind", ["OpenAI", "OpenAICompatible"])
async def test_the_openai_sdk_works_through_the_hub(provider: Provider, kind: ProviderType) -> None:
    async with running_hub(provider, kind) as hub:
        base_url = hub.base_url(await hub.lease())
        async with openai.AsyncOpenAI(base_url=base_url, api_key=AGENT_TOKEN, max_retries=0) as client:
            whole = await client.chat.completions.create(**hub.request("ok"))
            stream = await client.chat.completions.create(**hub.request("ok", stream=True))
            parts = [chunk async for chunk in stream]
        assert whole.choices[0].message.content == "hello wörld"
        text = "".join(c.choices[0].delta.content or "" for c in parts if c.choices)
        assert text == 'hello "usage": { wörld'
        totals = await hub.queue.totals()
        assert (totals.spent_micro_usd, totals.reserved_micro_usd) == (2 * COST[kind], 0)
        assert (totals.calls, totals.tokens_out) == (2, 20)


async def test_the_anthropic_sdk_works_through_the_hub(provider: Provider) -> None:
    async with running_hub(provider, "Anthropic") as hub:
        base_url = hub.base_url(await hub.lease())
        async with anthropic.AsyncAnthropic(base_url=base_url, api_key=AGENT_TOKEN, max_retries=0) as client:
            whole = await client.messages.create(**hub.request("ok"))
            async with client.messages.stream(**hub.request("ok")) as stream:
                final = await stream.get_final_message()
        assert [block.text for block in whole.content if block.type == "text"] == ["hello wörld"]
        assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 10)
        totals = await hub.queue.totals()
        assert (totals.spent_micro_usd, totals.reserved_micro_usd) == (2 * COST["Anthropic"], 0)
        headers, _ = provider.requests[0]
        assert headers["Authorization"] == f"Bearer {PROVIDER_KEY}"
        assert headers["User-Agent"].startswith("AsyncAnthropic")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_provider_sees_its_key_and_never_the_agents(provider: Provider, kind: ProviderType) -> None:
    async with running_hub(provider, kind) as hub:
        assert (await call(hub, "ok"))[0] == 200
    headers, _ = provider.requests[0]
    assert PROVIDER_KEY in str(headers)
    assert AGENT_TOKEN not in str(headers)


async def test_answers_pass_byte_for_byte(hub: RunningHub) -> None:
    claimed = await hub.lease()
    body = hub.request("ok", stream=True)
    async with hub.http.post(hub.endpoint(claimed), json=body) as through:
        passed = await through.read()
    headers = {"Authorization": f"Bearer {PROVIDER_KEY}"}
    async with hub.http.post(f"{hub.provider.url}/v1/chat/completions", json=body, headers=headers) as direct:
        assert passed == await direct.read()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [False, True])
async def test_unknown_usage_spends_the_whole_hold(
    provider: Provider, kind: ProviderType, stream: bool
) -> None:
    async with running_hub(provider, kind) as hub:
        claimed = await hub.lease()
        async with hub.http.post(
            hub.endpoint(claimed), json=hub.request("no-usage", stream=stream)
        ) as answer:
            await answer.read()
        assert await hub.queue.settled.get() is None
        totals = await hub.queue.totals()
        assert totals.reserved_micro_usd == 0
        assert totals.spent_micro_usd > COST[kind] or kind == "OpenAICompatible"


@pytest.mark.parametrize("kind", ["OpenAI", "Anthropic"])
@pytest.mark.parametrize("what", ["cut", "early-end"])
async def test_a_stream_that_breaks_off_spends_the_whole_hold(
    provider: Provider, kind: ProviderType, what: str
) -> None:
    async with running_hub(provider, kind) as hub:
        claimed = await hub.lease()
        broke = False
        try:
            async with hub.http.post(hub.endpoint(claimed), json=hub.request(what, stream=True)) as answer:
                await answer.read()
        except ConnectionError:
            broke = True
        except Exception as error:  # noqa: BLE001 — aiohttp has several for a cut body
            broke = "Payload" in type(error).__name__ or "Disconnected" in type(error).__name__
        assert broke == (what == "cut")
        assert await hub.queue.settled.get() is None


async def test_a_caller_that_leaves_mid_stream_spends_the_whole_hold(hub: RunningHub) -> None:
    claimed = await hub.lease()
    async with hub.http.post(hub.endpoint(claimed), json=hub.request("slow", stream=True)) as answer:
        await answer.content.readany()
        await hub.provider.begun.wait()
        answer.close()
    assert await hub.queue.settled.get() is None
    totals = await hub.queue.totals()
    assert totals.spent_micro_usd > COST["OpenAI"]
    assert totals.reserved_micro_usd == 0


@pytest.mark.parametrize("status", [400, 408, 413, 429, 500, 503, 529])
async def test_provider_errors_pass_through_and_cost_nothing(hub: RunningHub, status: int) -> None:
    claimed = await hub.lease()
    async with hub.http.post(hub.endpoint(claimed), json=hub.request(str(status), stream=True)) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (status, "7")
        assert answer.headers["x-request-id"] == "r-1"
        assert f"no luck: {status}" in await answer.text()
    await hub.queue.cancelled.get()
    totals = await hub.queue.totals()
    assert (totals.spent_micro_usd, totals.reserved_micro_usd) == (0, 0)
    assert (await hub.queue.snapshot()).signals.get("provider", None) is None or (
        await hub.queue.snapshot()
    ).signals["provider"].ok


async def test_a_gateway_timeout_keeps_the_hold(hub: RunningHub) -> None:
    assert (await call(hub, "504"))[0] == 504
    assert await hub.queue.settled.get() is None


async def test_an_unreachable_provider_costs_nothing(hub: RunningHub, provider: Provider) -> None:
    provider.url = "http://127.0.0.1:1"
    async with running_hub(provider) as away:
        status, body = await call(away, "ok")
        assert (status, code_of(body)) == (502, "provider_unreachable")
        await away.queue.cancelled.get()
        assert (await away.queue.totals()).spent_micro_usd == 0


@pytest.mark.parametrize("kind", ["OpenAI", "Anthropic"])
async def test_a_refused_key_is_reported_and_tried_once(provider: Provider, kind: ProviderType) -> None:
    async with running_hub(provider, kind, key="wrong-key-9876") as hub:
        claimed = await hub.lease()
        calls = [post(hub, hub.endpoint(claimed), hub.request("ok", stream=True)) for _ in range(12)]
        answers = await asyncio.gather(*calls)
        assert {status for status, _ in answers} == {401}
        assert "wrong-key-9876" not in json.dumps(answers)
        assert len(provider.requests) == 1
        await asyncio.wait_for(hub.hub.health.refused.wait(), 5)
        await hub.hub.close(5)
        signal = (await hub.queue.snapshot()).signals["provider"]
        assert (signal.ok, signal.reason) == (False, "ProviderUnauthorized")
        assert signal.message == "Incorrect API key provided: [redacted]"
        assert (await hub.queue.totals()).spent_micro_usd == 0


@pytest.mark.parametrize(
    ("what", "reason"),
    [("404", "ModelNotFound"), ("402", "ProviderQuotaExhausted"), ("no-credit", "ProviderQuotaExhausted")],
)
async def test_what_only_a_person_can_mend_is_reported(hub: RunningHub, what: str, reason: str) -> None:
    await call(hub, what)
    await hub.hub.close(5)
    signal = (await hub.queue.snapshot()).signals["provider"]
    assert (signal.ok, signal.reason) == (False, reason)


async def test_an_empty_key_is_reported_without_a_call(provider: Provider) -> None:
    async with running_hub(provider, key="") as hub:
        await hub.hub.close(5)
        signal = (await hub.queue.snapshot()).signals["provider"]
        assert (signal.ok, signal.reason) == (False, "ProviderUnauthorized")
        assert "credentialsSecretRef" in signal.message
    assert provider.requests == []


async def test_an_unpriced_model_of_the_policy_is_reported_at_the_start(provider: Provider) -> None:
    models = ModelPolicy(default="gpt-4-turbo", escalation=("gpt-nonesuch",))
    async with running_hub(provider, models=models) as hub:
        await hub.hub.close(5)
        signal = (await hub.queue.snapshot()).signals["provider"]
        assert (signal.ok, signal.reason) == (False, "PriceUnknown")
        assert "gpt-nonesuch" in signal.message
        assert "spec.provider.prices" in signal.message


async def test_an_unpriced_model_is_refused(provider: Provider) -> None:
    models = ModelPolicy(default="gpt-4-turbo", escalation=("gpt-nonesuch",))
    async with running_hub(provider, models=models) as hub:
        await hub.hub.close(5)
        url = f"{hub.url}/llm/task-0/1-1/openai/v1/chat/completions"
        status, body = await post(hub, url, hub.request("ok", model="gpt-nonesuch"))
        assert (status, code_of(body)) == (403, "price_unknown")
    assert provider.requests == []


@pytest.mark.parametrize("kind", ["OpenAI", "Anthropic"])
async def test_a_model_outside_the_policy_is_refused(provider: Provider, kind: ProviderType) -> None:
    async with running_hub(provider, kind) as hub:
        status, body = await call(hub, "ok", model="o1-pro")
        assert (status, code_of(body)) == (403, "model_not_allowed")
    assert provider.requests == []


@pytest.mark.parametrize("kind", ["OpenAI", "Anthropic"])
async def test_a_stale_lease_cannot_spend(provider: Provider, kind: ProviderType) -> None:
    async with running_hub(provider, kind) as hub:
        claimed = await hub.lease()
        await hub.queue.release(claimed.lease, "test")
        status, body = await post(hub, hub.endpoint(claimed), hub.request("ok"))
        assert (status, code_of(body)) == (409, "stale_lease")
        forged = Lease(task_id="task-0", token="9-999", agent="a", attempt=1, ttl_seconds=60)
        url = hub.endpoint(claimed.model_copy(update={"lease": forged}))
        assert (await post(hub, url, hub.request("ok")))[0] == 409
    assert provider.requests == []


async def test_a_token_that_is_none_is_stale(hub: RunningHub) -> None:
    url = f"{hub.url}/llm/task-0/abc/openai/v1/chat/completions"
    status, body = await post(hub, url, hub.request("ok"))
    assert (status, code_of(body)) == (409, "stale_lease")


async def test_a_paused_run_makes_no_calls(hub: RunningHub) -> None:
    claimed = await hub.lease()
    await hub.queue.set_state(RunState.PAUSED)
    async with hub.http.post(hub.endpoint(claimed), json=hub.request("ok")) as answer:
        assert answer.status == 503
        assert code_of(await answer.json()) == "run_paused"
        assert "Retry-After" in answer.headers
    assert hub.provider.requests == []


@pytest.mark.parametrize("kind", ["OpenAI", "Anthropic"])
async def test_an_exhausted_budget_refuses_with_the_fix(provider: Provider, kind: ProviderType) -> None:
    async with running_hub(provider, kind, limit_micro_usd=100) as hub:
        status, body = await call(hub, "ok")
        assert (status, code_of(body)) == (402, "budget_exhausted")
        assert "spec.budget.maxCostUSD" in body["error"]["message"]
        assert (await hub.queue.totals()).exhausted
    assert provider.requests == []


async def test_the_official_sdks_raise_their_own_errors(provider: Provider) -> None:
    async with running_hub(provider, "Anthropic", limit_micro_usd=100) as hub:
        base_url = hub.base_url(await hub.lease())
        async with anthropic.AsyncAnthropic(base_url=base_url, api_key=AGENT_TOKEN, max_retries=0) as client:
            with pytest.raises(anthropic.APIStatusError) as caught:
                await client.messages.create(**hub.request("ok"))
    assert caught.value.status_code == 402


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nope"}, {"Authorization": AGENT_TOKEN}])
async def test_a_wrong_agent_token_makes_no_calls(hub: RunningHub, headers: dict[str, str]) -> None:
    claimed = await hub.lease()
    del hub.http.headers["Authorization"]
    async with hub.http.post(hub.endpoint(claimed), json=hub.request("ok"), headers=headers) as answer:
        assert answer.status == 401
    assert hub.provider.requests == []


async def test_older_anthropic_clients_send_the_token_as_x_api_key(provider: Provider) -> None:
    async with running_hub(provider, "Anthropic") as hub:
        claimed = await hub.lease()
        headers = {"x-api-key": AGENT_TOKEN, "Authorization": "", "anthropic-version": "2023-06-01"}
        async with hub.http.post(hub.endpoint(claimed), json=hub.request("ok"), headers=headers) as answer:
            assert answer.status == 200
    assert provider.requests[0][0]["x-api-key"] == PROVIDER_KEY


async def test_the_other_dialect_is_named(hub: RunningHub) -> None:
    status, body = await post(hub, f"{hub.url}/llm/task-0/1-1/anthropic/v1/messages", {})
    assert (status, body["error"]["type"]) == (404, "wrong_dialect")
    assert "openai" in body["error"]["message"]


@pytest.mark.parametrize("body", [b"{", b'{"model":"gpt-4-turbo"}', b'{"n":2}'])
async def test_a_bad_request_names_what_is_wrong(hub: RunningHub, body: bytes) -> None:
    claimed = await hub.lease()
    async with hub.http.post(hub.endpoint(claimed), data=body) as answer:
        assert answer.status == 400
        error = (await answer.json())["error"]
    assert error["code"] == "invalid_request"
    assert "must" in error["message"]


async def test_a_body_that_is_too_large_is_refused(hub: RunningHub) -> None:
    claimed = await hub.lease()
    status, _ = await post(hub, hub.endpoint(claimed), hub.request("x" * 9_000_000))
    assert status == 413


async def test_figures_appear_without_task_ids(hub: RunningHub) -> None:
    assert (await call(hub, "ok", stream=False))[0] == 200
    claimed = await hub.lease()
    await post(hub, hub.endpoint(claimed), hub.request("429"))
    async with hub.http.get(f"{hub.metrics_url}/metrics") as answer:
        text = await answer.text()
    labels = 'model="gpt-4-turbo",namespace="demo",outcome="{}",provider="OpenAI",run="shop"'
    assert "swarmrun_llm_requests_total{" + labels.format("ok") + "} 1.0" in text
    assert "swarmrun_llm_requests_total{" + labels.format("http_429") + "} 1.0" in text
    assert 'swarmrun_llm_tokens_total{kind="cache_read",namespace="demo",run="shop"} 40.0' in text
    assert 'task_type="implement_endpoint"} 0.0013' in text
    assert 'swarmrun_budget_usd{kind="limit",namespace="demo",run="shop"} 10.0' in text
    assert "task-0" not in text


async def test_a_model_is_never_asked_for_more_than_it_can_write(hub: RunningHub) -> None:
    await call(hub, "ok", max_tokens=16_000)
    assert hub.provider.requests[0][1]["max_tokens"] == 4_096

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from hub_support import COST, Provider, RunningHub, running_hub, running_redis
from swarm_hub.dialects import OpenAIDialect
from swarmrun.core.pricing import worst_case_micro_usd
from swarmrun.prices import lookup_price
from swarmrun.queue.port import Claimed

CALLERS = int(os.environ.get("SWARM_TEST_CALLERS", "200"))
#: What calls meet: most are fine, some are never counted, some cost nothing.
FATES = ("ok", "ok", "ok", "ok", "500", "ok", "no-usage", "ok", "early-end", "cut", "hang", "leave")
REAL = COST["OpenAI"]


def worst_of(hub: RunningHub) -> int:
    body = json.dumps(hub.request("ok", stream=True)).encode()
    call = OpenAIDialect(vendor=True).parse(body, max_output=lambda _: 4096)
    price = lookup_price("gpt-4-turbo", hub.config.provider, at=datetime(2026, 11, 24, tzinfo=UTC))
    return worst_case_micro_usd(price, call.input_tokens_bound, call.max_output_tokens)


async def statuses(hub: RunningHub, claimed: Claimed) -> list[int]:
    async def once() -> int:
        async with hub.http.post(hub.endpoint(claimed), json=hub.request("ok", stream=True)) as answer:
            await answer.read()
            return answer.status

    return list(await asyncio.gather(*(once() for _ in range(CALLERS))))


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def near_limit(
    request: pytest.FixtureRequest, provider: Provider, tmp_path: Path
) -> AsyncIterator[RunningHub]:
    async with AsyncExitStack() as stack:
        store = None
        if request.param == "redis":
            store, _ = await stack.enter_async_context(running_redis(tmp_path))
        yield await stack.enter_async_context(
            running_hub(provider, store=store, limit_micro_usd=1, silence_seconds=2.0)
        )


async def test_many_callers_near_the_limit_spend_all_they_may_and_never_more(near_limit: RunningHub) -> None:
    hub, affordable = near_limit, 25
    # After 25 calls the rest is one micro-dollar short of another worst case.
    limit = worst_of(hub) - 1 + affordable * REAL
    await hub.queue.set_limit(limit)
    answers = await statuses(hub, await hub.lease())
    totals = await hub.queue.totals()
    assert hub.queue.most_held <= limit
    assert answers.count(200) == affordable
    assert answers.count(402) == CALLERS - affordable
    assert (totals.spent_micro_usd, totals.reserved_micro_usd) == (affordable * REAL, 0)


async def test_calls_that_fit_one_after_the_other_are_never_refused(near_limit: RunningHub) -> None:
    hub = near_limit
    await hub.queue.set_limit(worst_of(hub) + (CALLERS - 1) * REAL)
    answers = await statuses(hub, await hub.lease())
    totals = await hub.queue.totals()
    assert answers == [200] * CALLERS
    assert not totals.exhausted
    assert totals.spent_micro_usd == CALLERS * REAL


async def fate(hub: RunningHub, claimed: Claimed, what: str) -> int:
    """Make one call; 0 when its answer broke off or its caller left."""
    body = hub.request("slow" if what == "leave" else what, stream=True)
    try:
        async with hub.http.post(hub.endpoint(claimed), json=body) as answer:
            if what == "leave" and answer.status == 200:
                await answer.content.readany()
                answer.close()
                return 0
            await answer.read()
            return answer.status
    except (aiohttp.ClientError, ConnectionError):
        return 0


async def test_whatever_becomes_of_calls_the_limit_holds_and_none_is_refused_while_there_is_money(
    near_limit: RunningHub,
) -> None:
    hub, worst = near_limit, worst_of(near_limit)
    limit = 12 * worst
    await hub.queue.set_limit(limit)
    claimed = await hub.lease()
    calls = [fate(hub, claimed, FATES[number % len(FATES)]) for number in range(CALLERS)]
    answers = await asyncio.gather(*calls)
    async with asyncio.timeout(10):
        while (totals := await hub.queue.totals()).reserved_micro_usd:
            await asyncio.wait({asyncio.ensure_future(hub.queue.settled.get())}, timeout=0.1)
    assert hub.queue.most_held <= limit
    assert hub.queue.false_refusals == 0
    assert answers.count(402) > 0
    assert totals.spent_micro_usd <= limit < totals.spent_micro_usd + worst


async def test_a_call_that_waits_too_long_is_told_to_come_again(provider: Provider) -> None:
    async with running_hub(provider, patience_seconds=0.0) as hub:
        await hub.queue.set_limit(worst_of(hub) + 1000)
        claimed = await hub.lease()
        async with hub.http.post(hub.endpoint(claimed), json=hub.request("slow", stream=True)) as first:
            await first.content.readany()
            async with hub.http.post(hub.endpoint(claimed), json=hub.request("ok", stream=True)) as second:
                assert second.status == 503
                assert second.headers["Retry-After"] == "5"
                assert (await second.json())["error"]["code"] == "budget_held"
            provider.proceed.set()
            await first.read()
        assert not (await hub.queue.totals()).exhausted


async def test_a_caller_that_leaves_while_it_waits_holds_nothing(provider: Provider) -> None:
    async with running_hub(provider) as hub:
        await hub.queue.set_limit(worst_of(hub) + 1000)
        claimed = await hub.lease()
        async with hub.http.post(hub.endpoint(claimed), json=hub.request("slow", stream=True)) as first:
            await first.content.readany()
            with pytest.raises(asyncio.TimeoutError):
                async with asyncio.timeout(0.2):
                    await hub.http.post(hub.endpoint(claimed), json=hub.request("ok", stream=True))
            provider.proceed.set()
            await first.read()
        totals = await hub.queue.totals()
        assert (totals.spent_micro_usd, totals.reserved_micro_usd) == (REAL, 0)
    assert len(provider.requests) == 1


async def test_a_limit_of_tokens_refuses_calls_that_cost_nothing(provider: Provider) -> None:
    async with running_hub(provider, "OpenAICompatible") as hub:
        claimed = await hub.lease()
        body = json.dumps(hub.request("ok")).encode()
        call = OpenAIDialect(vendor=False).parse(body, max_output=lambda _: 4096)
        # The first call really uses 110 tokens, so the second is one short.
        await hub.queue.set_limit(1, max_tokens=call.input_tokens_bound + call.max_output_tokens + 109)
        answers = []
        for _ in range(2):
            async with hub.http.post(hub.endpoint(claimed), data=body) as answer:
                answers.append((answer.status, (await answer.json()).get("error", {}).get("code")))
        assert answers == [(200, None), (402, "budget_exhausted")]
        totals = await hub.queue.totals()
        assert (totals.spent_tokens, totals.reserved_tokens, totals.exhausted) == (110, 0, True)
    assert len(provider.requests) == 1

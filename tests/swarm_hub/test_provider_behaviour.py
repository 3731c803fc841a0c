"""How the hub bears a provider that limits, refuses, hangs or forgets to count."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from hub_support import COST, Provider, RunningHub, running_hub
from swarmrun.runconfig import ProviderType

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


async def post(hub: RunningHub, url: str, **fields: Any) -> tuple[int, dict[str, str], Any]:
    async with hub.http.post(url, json=hub.request(**fields)) as answer:
        text = await answer.read()
        body = json.loads(text) if answer.content_type == "application/json" else None
        return answer.status, dict(answer.headers), body


def once(status: int, headers: dict[str, str], body: Any = None) -> Behaviour:
    """Answer the first call in this way, and leave the others alone."""
    calls = 0

    async def behave(_: web.Request) -> web.StreamResponse | None:
        nonlocal calls
        calls += 1
        return web.json_response(body or {}, status=status, headers=headers) if calls == 1 else None

    return behave


async def test_after_a_rate_limit_all_calls_wait_and_then_come_back_one_by_one(hub: RunningHub) -> None:
    arrivals: list[tuple[float, int]] = []
    inside = 0

    async def behave(_: web.Request) -> web.StreamResponse | None:
        nonlocal inside
        inside += 1
        arrivals.append((time.monotonic(), inside))
        try:
            if len(arrivals) == 1:
                return web.json_response({}, status=429, headers={"Retry-After": "1"})
            await asyncio.sleep(0.01)  # a provider that thinks: calls that come together are seen together
            return None
        finally:
            inside -= 1

    url = hub.endpoint(await hub.lease())
    hub.provider.behave = behave
    assert (await post(hub, url, what="ok"))[0] == 429
    answers = await asyncio.gather(*(post(hub, url, what="ok", stream=True) for _ in range(30)))
    assert [status for status, _, _ in answers] == [200] * 30
    first = arrivals[0][0]
    assert arrivals[1][0] - first >= 0.9
    # The first comes alone, and each success lets one more go at a time.
    assert all(together <= number for number, (_, together) in enumerate(arrivals[1:], start=1))
    assert arrivals[1][1] == 1


async def test_who_would_wait_too_long_is_answered_by_the_hub_and_holds_nothing(provider: Provider) -> None:
    async with running_hub(provider, patience_seconds=0.0) as hub:
        url = hub.endpoint(await hub.lease())
        provider.behave = once(429, {"Retry-After": "30"})
        await post(hub, url, what="ok")
        for _ in range(5):
            status, headers, body = await post(hub, url, what="ok")
            assert (status, body["error"]["code"]) == (429, "rate_limited")
            assert 29 <= int(headers["Retry-After"]) <= 36
        assert (await hub.queue.totals()).reserved_micro_usd == 0
    assert len(provider.requests) == 1


async def test_a_pause_of_an_hour_is_cut_to_a_minute(provider: Provider) -> None:
    async with running_hub(provider, patience_seconds=0.0) as hub:
        url = hub.endpoint(await hub.lease())
        provider.behave = once(429, {"Retry-After": "3600"})
        await post(hub, url, what="ok")
        _, headers, _ = await post(hub, url, what="ok")
    assert 59 <= int(headers["Retry-After"]) <= 66


@pytest.mark.parametrize(
    ("kind", "names", "reset"),
    [
        ("OpenAI", ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"), "30s"),
        ("OpenAI", ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"), "0m30s"),
        ("Anthropic", ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"), ""),
    ],
)
async def test_an_exhausted_window_stops_calls_before_a_429_does(
    provider: Provider, kind: ProviderType, names: tuple[str, str], reset: str
) -> None:
    async with running_hub(provider, kind, patience_seconds=0.0) as hub:
        url = hub.endpoint(await hub.lease())
        in_time = datetime.fromtimestamp(time.time() + 30, UTC).isoformat()
        provider.behave = once(200, {names[0]: "0", names[1]: reset or in_time})
        assert (await post(hub, url, what="ok"))[0] == 200
        status, headers, _ = await post(hub, url, what="ok")
        assert status == 429
        assert 25 <= int(headers["Retry-After"]) <= 36
    assert len(provider.requests) == 1


async def test_a_window_with_calls_left_stops_nothing(hub: RunningHub) -> None:
    url = hub.endpoint(await hub.lease())
    hub.provider.behave = once(
        200, {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "1h"}
    )
    assert [(await post(hub, url, what="ok"))[0] for _ in range(2)] == [200, 200]


async def test_a_refused_request_is_not_sent_again_unless_it_changes(hub: RunningHub) -> None:
    url = hub.endpoint(await hub.lease())
    hub.provider.behave = once(400, {}, {"error": {"code": "content_policy_violation", "message": "no"}})
    assert (await post(hub, url, what="ok"))[2]["error"]["code"] == "content_policy_violation"
    status, _, body = await post(hub, url, what="ok")
    assert (status, body["error"]["code"]) == (400, "refused_before")
    assert len(hub.provider.requests) == 1
    assert (await post(hub, url, what="ok", temperature=0.5))[0] == 200
    assert (await hub.queue.totals()).reserved_micro_usd == 0


async def test_an_answer_stopped_by_a_policy_is_not_asked_for_again(hub: RunningHub) -> None:
    async def behave(request: web.Request) -> web.StreamResponse | None:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        event = {"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]}
        await response.write(f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n".encode())
        return response

    url = hub.endpoint(await hub.lease())
    hub.provider.behave = behave
    assert (await post(hub, url, what="ok", stream=True))[0] == 200
    assert (await post(hub, url, what="ok", stream=True))[0] == 400
    assert len(hub.provider.requests) == 1


async def test_a_provider_that_falls_silent_ends_the_call_and_keeps_the_hold(provider: Provider) -> None:
    async with running_hub(provider, silence_seconds=0.2) as hub:
        url = hub.endpoint(await hub.lease())
        with pytest.raises(Exception, match=r"(?i)payload|disconnect|reset"):
            await post(hub, url, what="hang", stream=True)
        assert await asyncio.wait_for(hub.queue.settled.get(), 10) is None
        totals = await hub.queue.totals()
        assert totals.spent_micro_usd > COST["OpenAI"]
        assert totals.reserved_micro_usd == 0


async def test_a_provider_that_never_answers_ends_the_call_and_keeps_the_hold(provider: Provider) -> None:
    async with running_hub(provider, silence_seconds=0.2) as hub:
        url = hub.endpoint(await hub.lease())

        async def behave(_: web.Request) -> web.StreamResponse | None:
            await provider.proceed.wait()
            return None

        provider.behave = behave
        status, _, body = await post(hub, url, what="ok", stream=True)
        assert (status, body["error"]["code"]) == (502, "provider_failed")
        assert await asyncio.wait_for(hub.queue.settled.get(), 10) is None
        provider.proceed.set()


async def test_the_hold_of_a_long_stream_is_renewed_until_it_is_settled(provider: Provider) -> None:
    async with running_hub(provider, hold_seconds=1) as hub:
        url = hub.endpoint(await hub.lease())
        call = asyncio.create_task(post(hub, url, what="slow", stream=True))
        for _ in range(5):  # three a second, so the hold has outlived its own time
            await asyncio.wait_for(hub.queue.renewed.get(), 10)
        assert await hub.queue.reap() == 0
        assert (await hub.queue.totals()).reserved_micro_usd > 0
        provider.proceed.set()
        assert (await call)[0] == 200
        totals = await hub.queue.totals()
        assert (totals.spent_micro_usd, totals.reserved_micro_usd) == (COST["OpenAI"], 0)
        assert hub.queue.renewed.empty()

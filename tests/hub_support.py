"""A model provider that answers from the request, and a hub that runs in front of it, both over real HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import aiohttp
from aiohttp import web

from swarm_hub.hub import Hub
from swarmrun.core.task import Lease, Reply, Task, TaskType
from swarmrun.queue.memory import MemoryQueue
from swarmrun.queue.port import Claimed, ReserveOutcome, RunState, Usage, WorkQueue
from swarmrun.queue.redis import RedisQueue, connect
from swarmrun.runconfig import (
    ModelPolicy,
    PriceOverride,
    ProviderConfig,
    ProviderEndpoint,
    ProviderType,
    RunConfig,
)

AGENT_TOKEN = "agent-token"
PROVIDER_KEY = "provider-key-1234"
MODEL = {"OpenAI": "gpt-4-turbo", "Anthropic": "claude-sonnet-5-5", "OpenAICompatible": "local"}
#: What the provider reports for each call: 60 + 40 cached in, 10 out.
COST = {"OpenAI": 100 * 10 + 10 * 30, "Anthropic": 220, "OpenAICompatible": 0}


@dataclass
class Provider:
    """Behaves as the last message says: ok, slow, cut, early-end, no-usage, or an HTTP status."""

    key: str = PROVIDER_KEY
    requests: list[tuple[Mapping[str, str], dict[str, Any]]] = field(default_factory=list)
    #: Lets a slow answer go on.
    proceed: asyncio.Event = field(default_factory=asyncio.Event)
    #: Set when a slow answer has begun.
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    #: Asked first: it may answer in its own way, or leave the answer to the last message.
    behave: Callable[[web.Request], Awaitable[web.StreamResponse | None]] | None = None
    url: str = ""

    async def openai(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, _openai_events, _openai_whole)

    async def anthropic(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, _anthropic_events, _anthropic_whole)

    async def _answer(self, request: web.Request, events: Any, whole: Any) -> web.StreamResponse:
        body = await request.json()
        self.requests.append((request.headers.copy(), body))
        if self.behave is not None and (own := await self.behave(request)) is not None:
            return own
        what = body["messages"][-1]["content"]
        given = request.headers.get("x-api-key") or request.headers.get("Authorization", "").removeprefix(
            "Bearer "
        )
        if given != self.key:
            return _error(401, f"Incorrect API key provided: {given}")
        if what.isdigit():
            return _error(int(what), f"no luck: {what}", {"Retry-After": "7", "x-request-id": "r-1"})
        if what == "no-credit":
            return _error(429, "insufficient_quota: check your plan")
        if not body.get("stream"):
            return web.json_response(whole(what != "no-usage"))
        return await self._stream(request, what, events(what != "no-usage"))

    async def _stream(self, request: web.Request, what: str, events: Sequence[bytes]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for index, event in enumerate(events):
            if index == 2:
                self.begun.set()
                if what in ("slow", "hang"):
                    await self.proceed.wait()
                if what == "cut" and request.transport is not None:
                    request.transport.abort()
                    return response
                if what == "early-end":
                    break
            # In two pieces, so that readers meet events cut anywhere.
            await response.write(event[: len(event) // 2])
            await response.write(event[len(event) // 2 :])
        await response.write_eof()
        return response


class WatchedQueue:
    """A queue that tells the test when holds end and claims come back, and can stop a claim halfway."""

    def __init__(self, inner: MemoryQueue | RedisQueue) -> None:
        self._inner = inner
        self.settled: asyncio.Queue[Usage | None] = asyncio.Queue()
        self.cancelled: asyncio.Queue[str] = asyncio.Queue()
        self.released: asyncio.Queue[str] = asyncio.Queue()
        self.renewed: asyncio.Queue[str] = asyncio.Queue()
        self.claims = 0
        self.claiming = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.most_held = 0
        #: Refusals although the call would have fitted once others had settled.
        self.false_refusals = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def claim(self, pod: str, *, ttl_seconds: int) -> Any:
        self.claims += 1
        answer = await self._inner.claim(pod, ttl_seconds=ttl_seconds)
        self.claiming.set()
        await self.gate.wait()
        return answer

    async def reserve(self, *args: Any, **kwargs: Any) -> Any:
        outcome = await self._inner.reserve(*args, **kwargs)
        totals = await self._inner.totals()
        self.most_held = max(self.most_held, totals.spent_micro_usd + totals.reserved_micro_usd)
        worst = (kwargs["worst_micro_usd"], kwargs["worst_tokens"])
        if outcome is ReserveOutcome.BUDGET and totals.fits(*worst, fix=False, held=False):
            self.false_refusals += 1
        return outcome

    async def settle(self, call_id: str, usage: Usage | None) -> Reply:
        reply = await self._inner.settle(call_id, usage)
        self.settled.put_nowait(usage)
        return reply

    async def cancel_reservation(self, call_id: str) -> Reply:
        reply = await self._inner.cancel_reservation(call_id)
        self.cancelled.put_nowait(call_id)
        return reply

    async def renew_reservation(self, call_id: str, *, ttl_seconds: int) -> Reply:
        reply = await self._inner.renew_reservation(call_id, ttl_seconds=ttl_seconds)
        self.renewed.put_nowait(call_id)
        return reply

    async def release(self, lease: Lease, reason: str) -> Reply:
        reply = await self._inner.release(lease, reason)
        self.released.put_nowait(lease.task_id)
        return reply


@dataclass
class RunningHub:
    """A hub under test and all around it."""

    hub: Hub
    queue: WatchedQueue
    provider: Provider
    config: RunConfig
    url: str
    metrics_url: str
    http: aiohttp.ClientSession

    async def lease(self) -> Claimed:
        """Claim a task as an agent would."""
        async with self.http.post(f"{self.url}/v1/claim", json={"pod": "pod-0", "wait_seconds": 0}) as answer:
            return Claimed.model_validate((await answer.json())["claimed"])

    def base_url(self, claimed: Claimed) -> str:
        """Base URL for the official SDK."""
        dialect = "anthropic" if self.config.provider.type == "Anthropic" else "openai/v1"
        return f"{self.url}/llm/{claimed.lease.task_id}/{claimed.lease.token}/{dialect}"

    def endpoint(self, claimed: Claimed) -> str:
        """URL of a bare model call."""
        tail = "/v1/messages" if self.config.provider.type == "Anthropic" else "/chat/completions"
        return self.base_url(claimed) + tail

    def request(self, what: str, **fields: Any) -> dict[str, Any]:
        """Body of a bare model call."""
        model = MODEL[self.config.provider.type]
        return {"model": model, "messages": [{"role": "user", "content": what}], "max_tokens": 100, **fields}


def tasks(count: int) -> list[Task]:
    return [
        Task(id=f"task-{number}", type=TaskType.IMPLEMENT_ENDPOINT, title=f"Task {number}")
        for number in range(count)
    ]


def run_config(provider: ProviderType, base_url: str, **changes: Any) -> RunConfig:
    free = PriceOverride(model="local", input_usd=Decimal(0), output_usd=Decimal(0))
    values: dict[str, Any] = {
        "namespace": "demo",
        "name": "shop",
        "uid": "uid-1",
        "project_name": "Shop",
        "profile": "express",
        "plan_hash": "abc",
        "provider": ProviderConfig(type=provider, base_url=base_url, prices=(free,)),
        "models": ModelPolicy(default=MODEL[provider]),
        "repository_url": "https://git.example/shop.git",
        "branch": "main",
    }
    return RunConfig(**{**values, **changes})


@asynccontextmanager
async def serve(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def process(*argv: str, env: dict[str, str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as sink:
        child = await asyncio.create_subprocess_exec(*argv, env=env, stdout=sink, stderr=sink)
        try:
            yield child
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()


@asynccontextmanager
async def running_redis(folder: Path) -> AsyncIterator[tuple[RedisQueue, str]]:
    port = free_port()
    argv = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    async with process(*argv, env={}, log=folder / "redis.log"):
        async with asyncio.timeout(10):
            while not await listens(port):
                pass
        url = f"redis://127.0.0.1:{port}/0"
        client = connect(url)
        yield RedisQueue(client, "uid-1"), url
        await client.aclose()


@asynccontextmanager
async def running_provider() -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", provider.openai)
    app.router.add_post("/v1/messages", provider.anthropic)
    async with serve(app) as url:
        provider.url = url
        yield provider
        provider.proceed.set()


@asynccontextmanager
async def running_hub(
    provider: Provider,
    kind: ProviderType = "OpenAI",
    *,
    key: str = PROVIDER_KEY,
    limit_micro_usd: int = 10_000_000,
    patience_seconds: float = 20.0,
    silence_seconds: float = 300.0,
    hold_seconds: int = 120,
    store: RedisQueue | None = None,
    fallback: ProviderEndpoint | None = None,
    fallback_key: str = "",
    look_again_seconds: float = 600.0,
    **changes: Any,
) -> AsyncIterator[RunningHub]:
    queue = WatchedQueue(store or MemoryQueue(time.time))
    await queue.open(1)
    await queue.enqueue(tasks(3), plan_hash="abc", max_attempts=9, landed={}, rungs=9)
    await queue.set_limit(limit_micro_usd)
    await queue.set_state(RunState.ACTIVE)
    config = run_config(kind, provider.url if kind == "Anthropic" else f"{provider.url}/v1", **changes)
    with_fallback = config.provider.model_copy(update={"fallback": fallback})
    config = config.model_copy(update={"provider": with_fallback})
    hub = Hub(
        config,
        cast("WorkQueue", queue),
        agent_token=AGENT_TOKEN,
        provider_key=key,
        fallback_key=fallback_key,
        look_again_seconds=look_again_seconds,
        now=time.time,
        patience_seconds=patience_seconds,
        silence_seconds=silence_seconds,
        hold_seconds=hold_seconds,
    )
    headers = {"Authorization": f"Bearer {AGENT_TOKEN}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        serve(hub.api) as url,
        serve(hub.metrics_app) as metrics_url,
        aiohttp.ClientSession(headers=headers, connector=connector) as http,
    ):
        hub.begin()
        yield RunningHub(hub, queue, provider, config, url, metrics_url, http)
        hub.claims.drain()
    await hub.close(5.0)


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    error = {"type": "error", "error": {"message": message, "type": "provider_error", "code": "nope"}}
    return web.json_response(error, status=status, headers=headers)


def _sse(event: Mapping[str, Any], name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


_OPENAI_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 10,
    "total_tokens": 110,
    "prompt_tokens_details": {"cached_tokens": 40},
}


def _openai_chunk(choices: list[dict[str, Any]], usage: Mapping[str, Any] | None) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return _sse({**chunk, "usage": usage})


def _openai_events(with_usage: bool) -> list[bytes]:
    def choice(delta: Mapping[str, str], finish: str | None = None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": delta, "finish_reason": finish}]

    events = [
        _openai_chunk(choice({"role": "assistant", "content": ""}), None),
        _openai_chunk(choice({"content": 'hello "usage": {'}), None),
        _openai_chunk(choice({"content": " wörld"}), None),
        _openai_chunk(choice({}, "stop"), None),
    ]
    return [*events, *([_openai_chunk([], _OPENAI_USAGE)] if with_usage else []), b"data: [DONE]\n\n"]


def _openai_whole(with_usage: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": "hello wörld"}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {**answer, "choices": choices, **({"usage": _OPENAI_USAGE} if with_usage else {})}


_ANTHROPIC_USAGE = {"input_tokens": 40, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 16}


def _anthropic_events(with_usage: bool) -> list[bytes]:
    start: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**_ANTHROPIC_USAGE, "output_tokens": 1},
    }
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    end: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
    }
    if with_usage:
        end["usage"] = {"output_tokens": 10}

    def delta(text: str) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}

    events = (
        {"type": "message_start", "message": start},
        block,
        delta("hello"),
        delta(" wörld"),
        {"type": "content_block_stop", "index": 0},
        end,
        {"type": "message_stop"},
    )
    return [_sse(event, str(event["type"])) for event in events]


def _anthropic_whole(with_usage: bool) -> dict[str, Any]:
    answer = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
    content = [{"type": "text", "text": "hello wörld"}]
    usage = {"usage": {**_ANTHROPIC_USAGE, "output_tokens": 10}} if with_usage else {}
    return {**answer, "content": content, "stop_sequence": None, **usage}

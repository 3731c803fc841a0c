"""The hub's two HTTP applications: the API for agents, and metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from swarm_hub.background import STORE_ERRORS
from swarm_hub.claims import Claims, TooManyWaitingError
from swarm_hub.dialects import AnthropicDialect, Dialect, OpenAIDialect
from swarm_hub.gateway import ModelGateway
from swarm_hub.metrics import HubMetrics
from swarm_hub.queue_api import QueueApi
from swarm_hub.wire import BodyTooLargeError, error_response, is_authorized
from swarmrun.core.errors import Invalid, SwarmError
from swarmrun.queue.port import WorkQueue

_LOG: Final = logging.getLogger(__name__)
_STORE_SECONDS: Final = 3.0
_PREFIX: Final = "/llm/{task_id}/{token}"
_PATHS: Final = {"openai": "/openai/v1/chat/completions", "anthropic": "/anthropic/v1/messages"}


def build_api(
    *,
    queue: WorkQueue,
    queue_api: QueueApi,
    gateway: ModelGateway,
    dialect: Dialect,
    claims: Claims,
    metrics: HubMetrics,
    agent_token: str,
) -> web.Application:
    """Assemble the API that agents talk to."""
    app = web.Application(middlewares=[_observe(metrics), _guard(agent_token)])
    app.add_routes(queue_api.routes())
    for other in (OpenAIDialect(vendor=True), AnthropicDialect()):
        handler = gateway.handle if other.name == dialect.name else _wrong_dialect(other, dialect)
        app.router.add_post(_PREFIX + _PATHS[other.name], handler)
    app.router.add_get("/healthz", _alive)
    app.router.add_get("/readyz", _ready(queue, claims))
    return app


def build_metrics(queue: WorkQueue, metrics: HubMetrics) -> web.Application:
    """Assemble the application that Prometheus scrapes."""

    async def scrape(_: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                metrics.budget(await queue.totals())
        except STORE_ERRORS:
            _LOG.warning("metrics without a fresh ledger: the store does not answer")
        return web.Response(body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/metrics", scrape)
    app.router.add_get("/healthz", _alive)
    return app


def _observe(metrics: HubMetrics) -> Middleware:
    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        began, code = loop.time(), 499  # what is not answered was left by the client
        try:
            response = await handler(request)
            code = response.status
        except Exception as error:
            code = error.status if isinstance(error, web.HTTPException) else 500
            raise
        else:
            return response
        finally:
            resource = request.match_info.route.resource
            route = resource.canonical if resource is not None else "none"
            metrics.served(route, code, loop.time() - began)

    return observe


def _guard(agent_token: str) -> Middleware:
    """Demand the token on the queue's routes, and turn exceptions into answers. The gateway has its own."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/v1/"):
            return await handler(request)
        if not is_authorized(request.headers, agent_token):
            return error_response(401, "unauthorized", "the agent token is wrong; use the run's own")
        try:
            return await handler(request)
        except ConnectionResetError:
            raise  # the caller is gone; nobody to tell
        except (SwarmError, *STORE_ERRORS) as error:
            return _answer_to(error)

    return guard


def _answer_to(error: Exception) -> web.Response:
    if isinstance(error, Invalid):
        return error_response(400, "invalid_request", str(error), problems=error.problems)
    if isinstance(error, BodyTooLargeError):
        return error_response(413, "request_too_large", str(error))
    if isinstance(error, TooManyWaitingError):
        return error_response(503, "busy", "too many claims wait; come again", retry_after=5)
    _LOG.warning("the store does not answer", extra={"error": type(error).__name__})
    return error_response(
        503, "store_unavailable", "the queue's store does not answer; come again", retry_after=5
    )


def _wrong_dialect(asked: Dialect, spoken: Dialect) -> Callable[[web.Request], Awaitable[web.Response]]:
    message = f"this run's provider speaks the {spoken.name} dialect; use {_PREFIX}/{spoken.name}"
    body = asked.error_body(404, "wrong_dialect", message)

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=404, body=body, content_type="application/json")

    return refuse


async def _alive(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _ready(queue: WorkQueue, claims: Claims) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def ready(_: web.Request) -> web.Response:
        if claims.draining:
            return web.Response(status=503, text="draining\n")
        try:
            async with asyncio.timeout(_STORE_SECONDS):
                await queue.totals()
        except STORE_ERRORS:
            return web.Response(status=503, text="the store does not answer\n")
        return web.Response(text="ok\n")

    return ready

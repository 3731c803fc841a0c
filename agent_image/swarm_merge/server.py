"""The merger's HTTP face: the git server, health and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web
from prometheus_client import generate_latest

from swarm_merge.gitserver import GitServer
from swarm_merge.metrics import MergeMetrics


def application(
    git_server: GitServer, *, alive: Callable[[], bool], ready: Callable[[], bool]
) -> web.Application:
    """Build the application of the listen port."""
    app = web.Application(client_max_size=0)

    async def healthz(_: web.Request) -> web.Response:
        return (
            web.Response(text="ok\n") if alive() else web.Response(status=503, text="the merge loop ended\n")
        )

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if ready() else web.Response(status=503, text="no mirror yet\n")

    app.add_routes([*git_server.routes(), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    return app


def metrics_application(metrics: MergeMetrics) -> web.Application:
    """Build the application of the metrics port."""
    app = web.Application()

    async def scrape(_: web.Request) -> web.Response:
        body = await asyncio.to_thread(generate_latest, metrics.registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    app.add_routes([web.get("/metrics", scrape)])
    return app


async def serve(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Start listening. Bodies stay as sent: git decompresses its own."""
    runner = web.AppRunner(
        app, auto_decompress=False, access_log=None, handler_cancellation=True, shutdown_timeout=2
    )
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner

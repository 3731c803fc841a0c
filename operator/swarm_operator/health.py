"""HTTP server of /metrics, /healthz (a restart would help) and /readyz (the operator works)."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest


def application(
    registry: CollectorRegistry, *, alive: Callable[[], str], ready: Callable[[], str]
) -> web.Application:
    """Build the server. `alive` and `ready` return what is wrong, or nothing."""

    def check(problem: Callable[[], str]) -> Callable[[web.Request], object]:
        async def handler(_: web.Request) -> web.Response:
            found = problem()
            return web.Response(status=503 if found else 200, text=f"{found or 'ok'}\n")

        return handler

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/healthz", check(alive))  # type: ignore[arg-type]  # a handler, typed loosely above
    app.router.add_get("/readyz", check(ready))  # type: ignore[arg-type]  # a handler, typed loosely above
    return app


async def serve(app: web.Application, listen: str) -> web.AppRunner:
    """Listen on host:port."""
    host, _, port = listen.rpartition(":")
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, int(port)).start()
    return runner

"""GET /healthz: 200 while the worker's loop turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from aiohttp import web

#: Seconds without a turn. The longest silence of a healthy loop is one long poll or one heartbeat interval.
STALE_AFTER: Final = 180.0


class Pulse:
    """Remembers when the loop last turned; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Say that the loop has turned."""
        self._last = self._clock()

    @property
    def alive(self) -> bool:
        """Tell whether the loop turned recently."""
        return self._clock() - self._last < STALE_AFTER


def health_app(pulse: Pulse) -> web.Application:
    """Build the application."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response(
            {"status": "ok"} if pulse.alive else {"status": "stuck"}, status=200 if pulse.alive else 503
        )

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    return app

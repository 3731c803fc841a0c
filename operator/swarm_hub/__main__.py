"""Entry point of the hub: `python -m swarm_hub`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import time
from typing import Final

import uvloop
from aiohttp import web
from pydantic import ValidationError

from swarm_hub.hub import Hub
from swarm_hub.routes import all_refused
from swarm_hub.settings import HubSettings, load_settings, read_secret, split_address
from swarm_hub.wire import problems_of
from swarmrun.queue.redis import RedisQueue
from swarmrun.runconfig import load_run_config
from swarmrun.telemetry import configure_logging

_LOG: Final = logging.getLogger("swarm_hub")
_DRAIN_SECONDS: Final = 25.0
_SETTLE_SECONDS: Final = 3.0
#: A call makes and drops thousands of objects, hardly any in cycles. With Python's own thresholds, looking
#: for those costs a fifth of a call.
_GC_THRESHOLDS: Final = (50_000, 50, 100)


async def run(settings: HubSettings) -> None:
    """Serve until SIGTERM, SIGINT, or a while after the provider has refused the key."""
    config = load_run_config(settings.config_file)
    store = settings.store()
    hub = Hub(
        config,
        RedisQueue(store.run(config.uid), config.uid),
        agent_token=read_secret(settings.agent_token_file),
        provider_key=settings.provider_api_key.get_secret_value().strip(),
        fallback_key=settings.fallback_api_key.get_secret_value().strip(),
        now=time.time,
    )
    # A handler is cancelled when its client leaves: claims are given back, streams are ended.
    api = web.AppRunner(hub.api, handler_cancellation=True, shutdown_timeout=_DRAIN_SECONDS, access_log=None)
    metrics = web.AppRunner(hub.metrics_app, shutdown_timeout=1.0, access_log=None)
    try:
        await _listen(api, settings.listen)
        await _listen(metrics, settings.metrics_listen)
        hub.begin()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        _LOG.info("hub serves", extra={"run": config.name, "namespace": config.namespace})
        await _until_the_end(hub, settings.refused_grace_seconds)
    finally:
        hub.claims.drain()
        await api.cleanup()
        await hub.close(_SETTLE_SECONDS)
        await metrics.cleanup()
        await store.aclose()
        _LOG.info("hub ends")


async def _listen(runner: web.AppRunner, address: str) -> None:
    await runner.setup()
    host, port = split_address(address)
    await web.TCPSite(runner, host, port).start()


async def _until_the_end(hub: Hub, grace_seconds: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    refused = asyncio.ensure_future(all_refused(hub.routes))
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({refused, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not stopped.done():
        _LOG.warning("the provider refuses the key; restarting soon to read the Secret again")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped, grace_seconds)
    for task in (refused, stopped):
        task.cancel()


def main() -> None:
    """Run the hub; a fault of the settings ends it with status 2 and names every variable."""
    configure_logging()
    try:
        settings = load_settings()
    except ValidationError as error:
        for problem in problems_of(error):
            # The value is left out: it may be the key.
            _LOG.error(
                "bad setting", extra={"variable": problem.path, "rule": problem.rule, "fix": problem.fix}
            )
        sys.exit(2)
    uvloop.run(run(settings))


if __name__ == "__main__":
    main()

"""Entry point of the worker: `python -m swarm_agent`."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from typing import Final

import aiohttp
from aiohttp import web
from pydantic import ValidationError

from swarm_agent.attempt import Attempt, Tools
from swarm_agent.check import Sandbox
from swarm_agent.health import Pulse, health_app
from swarm_agent.hub import HubClient
from swarm_agent.model import Model, make_model
from swarm_agent.model.patient import PatientModel
from swarm_agent.settings import Settings
from swarm_agent.worker import Worker
from swarmrun import profiles
from swarmrun.core.errors import Invalid
from swarmrun.core.profile import Profile
from swarmrun.runconfig import ClaimResponse, RunConfig, load_run_config
from swarmrun.telemetry import configure_logging
from swarmrun.vcs.workspace import Workspace

_LOG: Final = logging.getLogger("swarm_agent")


class Bench:
    """The tools of all attempts. The model's SDK is imported by the first claim that needs it."""

    def __init__(
        self, config: RunConfig, profile: Profile, token: str, workspace: Workspace, sandbox: Sandbox
    ) -> None:
        self._config, self._profile, self._token = config, profile, token
        self._workspace, self._sandbox = workspace, sandbox
        self._models: dict[str, Model] = {}

    def begin(self, response: ClaimResponse) -> Attempt:
        """Make the attempt for a claim."""
        if response.claimed is None:
            raise ValueError("response.claimed: must be there (found None); claim first")
        if response.dialect not in self._models:
            self._models[response.dialect] = make_model(
                response.dialect,
                hub_url=self._config.hub_url.rstrip("/"),
                token=self._token,
                vendor=self._config.provider.type == "OpenAI",
            )
        model = PatientModel(self._models[response.dialect])
        tools = Tools(self._config, self._profile, self._workspace, model, self._sandbox)
        return Attempt(tools, response.claimed, response.model)

    async def aclose(self) -> None:
        """Close the models' connections."""
        for model in self._models.values():
            await model.aclose()


async def run(settings: Settings, config: RunConfig, profile: Profile, stop: asyncio.Event) -> None:
    """Work until `stop` is set."""
    token, pulse = settings.token(), Pulse()
    runner = web.AppRunner(health_app(pulse), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    host, port = settings.address()
    await web.TCPSite(runner, host, port).start()
    workspace = Workspace(
        settings.swarm_work_dir / "repo.git",
        url=f"{config.merger_url.rstrip('/')}/repo.git",
        branch=config.branch,
        token=token,
    )
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        sandbox = Sandbox(session, config.sandbox_url.rstrip("/"))
        bench = Bench(config, profile, token, workspace, sandbox)
        worker = Worker(HubClient(session, config.hub_url, token), settings.pod_name, bench.begin, pulse)
        gc.freeze()
        _LOG.info("agent works", extra={"run": config.name, "namespace": config.namespace})
        try:
            await worker.run(stop)
        finally:
            await bench.aclose()
            await runner.cleanup()
            _LOG.info("agent ends")


async def _serve(settings: Settings, config: RunConfig, profile: Profile) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run(settings, config, profile, stop)


def main() -> None:
    """Run the worker; a fault of its settings ends it with status 2."""
    configure_logging()
    for name in ("httpx", "httpx2", "openai", "anthropic"):
        logging.getLogger(name).setLevel(logging.WARNING)  # they log addresses, which hold lease tokens
    try:
        settings = Settings()
        config = load_run_config(settings.swarm_run_config)
        profile = profiles.load(config.profile)
    except (ValidationError, Invalid, OSError, ValueError) as error:
        found = (
            error.errors(include_url=False, include_input=False)
            if isinstance(error, ValidationError)
            else str(error)
        )
        _LOG.error("bad setting", extra={"problems": str(found)[:2000]})
        sys.exit(2)
    asyncio.run(_serve(settings, config, profile))


if __name__ == "__main__":
    main()

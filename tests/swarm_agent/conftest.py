from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agent_support import PROFILE, TOKEN, World, sandbox, world
from swarm_agent.__main__ import run
from swarm_agent.settings import Settings

RunAgent = Callable[[World], AbstractAsyncContextManager[asyncio.Event]]


@pytest.fixture(scope="session")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with sandbox(tmp_path_factory.mktemp("sandbox")) as url:
        yield url


@pytest.fixture
async def swarm(tmp_path: Path, sandbox_url: str) -> AsyncIterator[World]:
    async with world(tmp_path, sandbox_url) as running:
        yield running


def settings(place: World) -> Settings:
    token = place.work / "token"
    token.write_text(f"{TOKEN}\n")
    return Settings(
        pod_name="pod-0",
        swarm_agent_token_file=token,
        swarm_work_dir=place.work,
        swarm_listen="127.0.0.1:0",
    )


@pytest.fixture
def agent() -> RunAgent:
    """Run an agent in this process for as long as the block lasts; yields its stop event."""

    @contextlib.asynccontextmanager
    async def running(place: World) -> AsyncIterator[asyncio.Event]:
        stop = asyncio.Event()
        task = asyncio.ensure_future(run(settings(place), place.config, PROFILE, stop))
        try:
            yield stop
        finally:
            stop.set()
            async with asyncio.timeout(15):
                await task

    return running

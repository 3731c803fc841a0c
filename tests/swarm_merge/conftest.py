from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from git_upstream import GitServer
from merge_world import UID, AnyQueue, World, free_port, sandbox
from swarmrun.queue.memory import MemoryQueue
from swarmrun.queue.redis import RedisQueue, connect


@pytest.fixture(scope="session")
def gates_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real gate runner for all tests: it keeps nothing between runs."""
    with sandbox(tmp_path_factory.mktemp("gates") / "work") as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis server."""
    program = shutil.which("redis-server")
    assert program is not None
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if b"Ready to accept connections" in line:
            break
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.communicate(timeout=10)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def queue(request: pytest.FixtureRequest) -> AsyncIterator[AnyQueue]:
    """Each backend in turn."""
    if request.param == "memory":
        yield MemoryQueue(time.time)
        return
    client = connect(request.getfixturevalue("redis_url"))
    found = RedisQueue(client, UID)
    yield found
    await found.purge()
    await client.aclose()


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[GitServer]:
    """The user's git server with an empty repository `app`."""
    with GitServer(tmp_path / "upstream") as server:
        server.create("app")
        yield server


@pytest.fixture
def world(tmp_path: Path, upstream: GitServer, queue: AnyQueue, gates_url: str) -> World:
    """Everything put together."""
    return World(tmp_path, upstream, queue, gates_url)

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from git_upstream import GitServer
from merge_values import PROFILE
from swarm_merge.gates import GatesClient, GatesUnavailable
from swarm_merge.judge import Judge
from swarm_merge.metrics import MergeMetrics
from swarm_merge.reporter import Reporter
from swarm_merge.server import serve
from swarm_merge.verdict import Red, Verdict
from swarmrun.queue.memory import MemoryQueue
from swarmrun.vcs.git import Git
from swarmrun.vcs.repo import Mirror


class Gates:
    """A runner in trouble: says what it is told to, or dies with the request in its hands."""

    def __init__(self) -> None:
        self.status = 503
        self.dies = False
        self.requests = 0

    async def run(self, request: web.Request) -> web.Response:
        self.requests += 1
        await request.read()
        if self.dies:
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=self.status, text="in trouble")


@pytest.fixture
def gates() -> Gates:
    return Gates()


@pytest.fixture
async def judge(tmp_path: Path, gates: Gates) -> AsyncIterator[Judge]:
    app = web.Application(client_max_size=0)
    app.add_routes([web.post("/v1/run", gates.run)])
    runner = await serve(app, "127.0.0.1", 0)
    with GitServer(tmp_path / "upstream") as server:
        server.auth = False
        server.create("app", {"a": "1\n"})
        mirror = Mirror(tmp_path / "mirror.git", url=server.url("app"), branch="main", git=Git())
        await mirror.open()
        await mirror.sync()

    async def no_pause(seconds: float) -> None:
        await asyncio.sleep(0)

    async with aiohttp.ClientSession() as session:
        yield Judge(
            mirror,
            GatesClient(session, f"http://127.0.0.1:{runner.addresses[0][1]}"),
            PROFILE,
            (),
            Reporter(MemoryQueue(lambda: 0.0), lambda: 0.0),
            MergeMetrics(namespace="n", run="r"),
            no_pause,
        )
    await runner.cleanup()


async def verdict(judge: Judge) -> Verdict:
    return await judge.judge(await judge.mirror.head(), frozenset({"a"}), ())


@pytest.mark.parametrize("status", [200, 400, 500, 503])
async def test_an_answer_without_a_result_is_no_verdict(judge: Judge, gates: Gates, status: int) -> None:
    gates.status = status
    with pytest.raises(GatesUnavailable):
        await verdict(judge)
    assert gates.requests == 8


async def test_a_tree_that_kills_the_runner_each_time_is_red(judge: Judge, gates: Gates) -> None:
    gates.dies = True
    found = await verdict(judge)
    assert isinstance(found, Red)
    assert found.failure.step == "gates"
    assert gates.requests == 3

"""What the agent does when the hub or the sandbox is not there, refuses, or dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import IO, Any

import aiohttp
import pytest
from aiohttp import web

from agent_support import served
from swarm_agent.backoff import Backoff
from swarm_agent.check import Sandbox
from swarm_agent.errors import AttemptFailedError, GiveBackError, HubRefusedError, HubUnavailable
from swarm_agent.health import Pulse
from swarm_agent.hub import HubClient
from swarm_agent.worker import Worker
from swarmrun.core.sandbox import RunSpec, Step
from swarmrun.core.task import ChangeSet, FailureKind, FileEdit, Lease, Reply, Task, TaskType
from swarmrun.queue.port import Claimed, Empty, EmptyReason
from swarmrun.runconfig import ClaimResponse

QUICK = Backoff(base=0.001, cap=0.01)
LEASE = Lease(task_id="t", token="1-1", agent="agent-0", attempt=1, ttl_seconds=60)
CHANGE = ChangeSet(base="", edits=(FileEdit(path="a"),))
SPEC = RunSpec(steps=(Step(name="s", argv=("true",)),))
OK = {"reply": "OK"}


class Server:
    """Answers each call with the next (status, body); None drops the connection."""

    def __init__(self, *answers: tuple[int, Any] | None) -> None:
        self.answers, self.calls = list(answers), list[tuple[str, Any]]()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.calls.append((request.path, body))
        answer = self.answers.pop(0)
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response(answer[1], status=answer[0])

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", self.handle)
        return app


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def export(file: IO[bytes]) -> None:
    file.write(b"\0" * 10_240)


async def test_a_result_is_offered_until_the_hub_takes_it(session: aiohttp.ClientSession) -> None:
    server = Server((503, {}), None, (429, {}), (200, "no object"), (200, OK))
    async with served(server.app()) as url:
        assert await HubClient(session, url, "token", backoff=QUICK).submit(LEASE, CHANGE) is Reply.OK
    assert {path for path, _ in server.calls} == {"/v1/submit"}
    assert len(server.calls) == 5


async def test_a_stale_answer_is_an_answer(session: aiohttp.ClientSession) -> None:
    async with served(Server((409, {"reply": "STALE"})).app()) as url:
        assert await HubClient(session, url, "token").heartbeat(LEASE) is Reply.STALE


async def test_a_request_that_the_hub_refuses_is_not_repeated(session: aiohttp.ClientSession) -> None:
    server = Server((400, {"error": {"message": "edits: too long"}}))
    async with served(server.app()) as url:
        with pytest.raises(HubRefusedError, match="edits: too long"):
            await HubClient(session, url, "token", backoff=QUICK).submit(LEASE, CHANGE)
    assert len(server.calls) == 1


async def test_a_release_is_given_up_in_time(session: aiohttp.ClientSession) -> None:
    client = HubClient(session, "http://127.0.0.1:9", "token", backoff=QUICK)
    with pytest.raises(HubUnavailable):
        await client.release(LEASE, "draining", seconds=0.05)


@pytest.mark.parametrize("answers", [[(503, {})] * 8, [(400, {"error": "links"})]])
async def test_a_sandbox_that_does_not_serve_gives_the_claim_back(
    session: aiohttp.ClientSession, answers: list[tuple[int, Any]]
) -> None:
    server = Server(*answers)
    async with served(server.app()) as url:
        with pytest.raises(GiveBackError, match="sandbox"):
            await Sandbox(session, url, QUICK).run(SPEC, export)
    assert server.answers == []


async def test_a_busy_sandbox_is_waited_for(session: aiohttp.ClientSession) -> None:
    result = {"steps": [{"name": "s", "exit_code": 0}], "artifacts": {}}
    server = Server((503, {}), None, (200, result))
    async with served(server.app()) as url:
        assert (await Sandbox(session, url, QUICK).run(SPEC, export)).passed
    assert all(b"run.json" in body for _, body in server.calls)


async def test_a_tree_that_kills_the_sandbox_twice_has_failed_its_check(
    session: aiohttp.ClientSession,
) -> None:
    async with served(Server(None, None).app()) as url:
        with pytest.raises(AttemptFailedError) as caught:
            await Sandbox(session, url, QUICK).run(SPEC, export)
    assert caught.value.failure.kind is FailureKind.CHECK


class Works:
    def __init__(self, outcome: ChangeSet | Exception) -> None:
        self._outcome = outcome

    async def run(self) -> ChangeSet:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def claim() -> tuple[int, Any]:
    task = Task(id="t", type=TaskType.WRITE_DOCS, title="t")
    response = ClaimResponse(claimed=Claimed(lease=LEASE, task=task), model="m")
    return 200, response.model_dump(mode="json")


async def working(
    session: aiohttp.ClientSession, server: Server, begin: Callable[[ClaimResponse], Works], calls: int
) -> list[str]:
    """Run a worker until the server has answered all; returns the last parts of the paths, in order."""
    stop = asyncio.Event()
    async with served(server.app()) as url, asyncio.timeout(10):
        worker = Worker(HubClient(session, url, "t", backoff=QUICK), "pod", begin, Pulse(), backoff=QUICK)
        running = asyncio.ensure_future(worker.run(stop))
        while len(server.calls) < calls:
            await asyncio.wait({running}, timeout=0.005)
        stop.set()
        await running
    return [path.rpartition("/")[2] for path, _ in server.calls[:calls]]


async def test_an_agent_outlives_its_hub(session: aiohttp.ClientSession) -> None:
    answers = [None, (500, {}), (401, {}), claim(), (200, OK), (500, {})]
    paths = await working(session, Server(*answers), lambda _: Works(CHANGE), 5)
    assert paths == ["claim"] * 4 + ["submit"]


async def test_a_fault_of_our_own_gives_the_claim_back_and_the_loop_goes_on(
    session: aiohttp.ClientSession,
) -> None:
    server = Server(claim(), (200, OK), *[(500, {})] * 50)
    paths = await working(session, server, lambda _: Works(ZeroDivisionError("secret detail")), 3)
    assert paths == ["claim", "release", "claim"]
    assert b"the worker broke: ZeroDivisionError" in server.calls[1][1]
    assert b"secret detail" not in server.calls[1][1]


async def test_a_change_set_that_the_hub_refuses_is_a_failed_attempt(session: aiohttp.ClientSession) -> None:
    server = Server(claim(), (413, {}), (200, OK), *[(500, {})] * 50)
    paths = await working(session, server, lambda _: Works(CHANGE), 3)
    assert paths == ["claim", "submit", "fail"]


async def test_an_idle_agent_does_not_hammer_the_hub(session: aiohttp.ClientSession) -> None:
    done = ClaimResponse(empty=Empty(reason=EmptyReason.DONE)).model_dump(mode="json")
    server = Server(*[(200, done)] * 50)
    begin = asyncio.get_running_loop().time()
    await working(session, server, lambda _: Works(CHANGE), 2)
    assert asyncio.get_running_loop().time() - begin > 0.9

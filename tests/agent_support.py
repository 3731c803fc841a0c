"""All around an agent, for real: hub and git repository over HTTP, a sandbox process, a scripted model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from aiohttp import web

from swarm_hub.hub import Hub
from swarm_merge.gitserver import GitServer
from swarm_merge.server import application
from swarmrun.core.edits import render_answer
from swarmrun.core.profile import CheckStep, Profile
from swarmrun.core.task import ChangeSet, Failure, FileEdit, Lease, Reply, Task
from swarmrun.queue.memory import MemoryQueue
from swarmrun.queue.port import RunState
from swarmrun.runconfig import ModelPolicy, PriceOverride, ProviderConfig, ProviderType, RunConfig
from swarmrun.vcs.git import Git

TOKEN = "the-agents-token"
ROOT = Path(__file__).resolve().parents[1]

_COMPILE = "import compileall, sys; sys.exit(not compileall.compile_dir('.', quiet=1))"
_TEST = "import runpy, sys; sys.path.insert(0, '.'); [runpy.run_path(p) for p in sys.argv[1:]]"

PROFILE = Profile(
    name="python",
    frameworks=("none",),
    databases=(),
    layout={},
    protected=("settings.toml",),
    check=(
        CheckStep(name="compile", argv=(sys.executable, "-c", _COMPILE)),
        CheckStep(name="test", argv=(sys.executable, "-c", _TEST, "{tests}")),
    ),
    gate=(),
    conventions="Plain Python.\n",
    template={"settings.toml": "debug = false\n"},
)


def files(**contents: str | None) -> str:
    """Write an answer; `__` in a name stands for `/`, and every file is Python. None deletes."""
    edits = []
    for name, text in contents.items():
        path = f"{name.replace('__', '/')}.py"
        action = "delete" if text is None else "write"
        edits.append(FileEdit.model_validate({"path": path, "action": action, "content": text or ""}))
    return render_answer(edits)


@dataclass(frozen=True)
class Trouble:
    """What the model's server does instead of an answer."""

    status: int = 200
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    #: "length" and the like; "" ends the stream without a reason.
    stop: str = ""
    text: str = ""


class Stall:
    """Answer nothing until the client goes away."""


Scripted = str | Trouble | Stall


@dataclass
class ScriptedModel:
    """Answers in both dialects, one scripted step per request; remembers what it was asked."""

    script: list[Scripted] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    stalled: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    def plays(self, *steps: Scripted) -> None:
        """Set what the coming requests get."""
        self.script = list(steps)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=10_000_000)
        app.router.add_post("/v1/chat/completions", self._openai)
        app.router.add_post("/v1/messages", self._anthropic)
        return app

    async def _openai(self, request: web.Request) -> web.StreamResponse:
        def events(text: str, stop: str) -> Iterator[dict[str, Any]]:
            for part in (text[: len(text) // 2], text[len(text) // 2 :]):
                yield _chunk({"content": part}, None)
            if stop:
                yield _chunk({}, stop)
            yield _chunk(None, None) | {
                "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
            }

        return await self._answer(request, events, "stop")

    async def _anthropic(self, request: web.Request) -> web.StreamResponse:
        def events(text: str, stop: str) -> Iterator[dict[str, Any]]:
            usage = {"input_tokens": 10, "output_tokens": 1}
            message = {
                "id": "m",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "usage": usage,
            }
            yield {"type": "message_start", "message": message | {"stop_reason": None, "stop_sequence": None}}
            yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
            yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
            yield {"type": "content_block_stop", "index": 0}
            if stop:
                delta = {"stop_reason": stop, "stop_sequence": None}
                yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5}}
            yield {"type": "message_stop"}

        return await self._answer(request, events, "end_turn")

    async def _answer(
        self, request: web.Request, events: Callable[[str, str], Iterator[dict[str, Any]]], good: str
    ) -> web.StreamResponse:
        self.asked.append(await request.json())
        step = self.script.pop(0) if self.script else Trouble(status=500, code="script_is_over")
        if isinstance(step, Stall):
            self.stalled.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        if isinstance(step, Trouble) and step.status != 200:
            error = {"type": step.code, "code": step.code, "message": "no"}
            body = {"type": "error", "error": error}
            return web.json_response(body, status=step.status, headers=dict(step.headers))
        text, stop = (step.text, step.stop) if isinstance(step, Trouble) else (str(step), good)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events(text, stop):
            name = f"event: {event['type']}\n" if "type" in event else ""
            await response.write(f"{name}data: {json.dumps(event)}\n\n".encode())
        if good == "stop":
            await response.write(b"data: [DONE]\n\n")
        return response

    def users(self, index: int) -> list[str]:
        """Return the user messages of a request."""
        return [m["content"] for m in self.asked[index]["messages"] if m["role"] == "user"]


def _chunk(delta: dict[str, Any] | None, stop: str | None) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": stop}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}


class TellingQueue(MemoryQueue):
    """A queue that tells the test what agents report."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.reports: asyncio.Queue[tuple[str, Any, Reply]] = asyncio.Queue()

    async def submit(self, lease: Lease, change_set: ChangeSet) -> Reply:
        reply = await super().submit(lease, change_set)
        self.reports.put_nowait(("submit", change_set, reply))
        return reply

    async def fail(self, lease: Lease, failure: Failure) -> Reply:
        reply = await super().fail(lease, failure)
        self.reports.put_nowait(("fail", failure, reply))
        return reply

    async def release(self, lease: Lease, reason: str) -> Reply:
        reply = await super().release(lease, reason)
        self.reports.put_nowait(("release", reason, reply))
        return reply


class Clock:
    """The queue's time: the machine's, plus what a test adds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Repository:
    """A bare repository and a way to commit to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(path))

    def _git(self, *argv: str, stdin: bytes | None = None) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(["git", *argv], input=stdin, capture_output=True, env=environment, check=True)
        return done.stdout.decode().strip()

    def commit(
        self, contents: Mapping[str, str | bytes], message: str = "commit", mode: str = "100644"
    ) -> str:
        """Add files on top of `main` and return the commit."""
        out = [
            b"feature done\ncommit refs/heads/main\ncommitter a <a@example.org> 1700000000 +0000\n",
            _data(message),
        ]
        if self._git("--git-dir", str(self.path), "for-each-ref"):
            out.append(b"from refs/heads/main^0\n")
        for path, text in contents.items():
            out += [f"M {mode} inline {path}\n".encode(), _data(text)]
        self._git("--git-dir", str(self.path), "fast-import", "--quiet", stdin=b"".join([*out, b"done\n"]))
        return self._git("--git-dir", str(self.path), "rev-parse", "main")

    def rewind(self, commit: str) -> None:
        """Move `main` back, as a person with force would."""
        self._git("--git-dir", str(self.path), "update-ref", "refs/heads/main", commit)


def _data(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return b"data %d\n%s\n" % (len(raw), raw)


@dataclass
class World:
    """What an agent finds when it starts."""

    config: RunConfig
    queue: TellingQueue
    clock: Clock
    model: ScriptedModel
    repository: Repository
    work: Path

    async def enqueue(self, *tasks: Task) -> None:
        await self.queue.enqueue(tasks, plan_hash="h", max_attempts=3, landed={})

    async def report(self) -> tuple[str, Any]:
        """Return the next report that an agent made, and check that the queue took it."""
        async with asyncio.timeout(20):
            verb, value, reply = await self.queue.reports.get()
        assert reply is Reply.OK
        return verb, value


@contextlib.asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def sandbox(work: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "agent_image"),
        "SANDBOX_LISTEN": address,
        "SANDBOX_WORK_DIR": str(work),
    }
    argv = [sys.executable, "-m", "swarm_sandbox"]
    with subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert b"runner serves" in process.stderr.readline()
        yield f"http://{address}"
        process.terminate()


@contextlib.asynccontextmanager
async def world(
    tmp_path: Path, sandbox_url: str, provider: ProviderType = "OpenAICompatible", **more: Any
) -> AsyncIterator[World]:
    model, clock = ScriptedModel(), Clock()
    queue = TellingQueue(clock)
    await queue.open(1)
    await queue.set_state(RunState.ACTIVE)
    await queue.set_limit(10_000_000)
    repository = Repository(tmp_path / "served.git")
    git = GitServer(repository.path, TOKEN, lambda: True, Git())
    price = PriceOverride(model="m", input_usd=Decimal(1), output_usd=Decimal(1))
    async with served(model.app()) as model_url, served(_git_app(git)) as git_url:
        base = model_url if provider == "Anthropic" else f"{model_url}/v1"
        config = RunConfig(
            **{
                "namespace": "n",
                "name": "r",
                "uid": "u",
                "project_name": "Shop",
                "profile": "python",
                "plan_hash": "h",
                "repository_url": "x",
                "branch": "main",
                "provider": ProviderConfig(type=provider, base_url=base, prices=(price,)),
                "models": ModelPolicy(default="m"),
                "merger_url": git_url,
                "sandbox_url": sandbox_url,
                "max_output_tokens": 1000,
            }
            | more
        )
        hub = Hub(config, queue, agent_token=TOKEN, provider_key="k", now=time.time)
        async with served(hub.api) as hub_url:
            hub.begin()
            config = config.model_copy(update={"hub_url": hub_url})
            yield World(config, queue, clock, model, repository, tmp_path)
            hub.claims.drain()
            await hub.close(1.0)


def _git_app(server: GitServer) -> web.Application:
    return application(server, alive=lambda: True, ready=lambda: True)

"""A whole merger in a test: a git server, a queue, the real gate runner, and an agent that does as told."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import aiohttp

from git_upstream import GitServer
from merge_values import PROFILE, change
from swarm_merge.app import assemble
from swarm_merge.merger import Merger
from swarm_merge.metrics import MergeMetrics
from swarm_merge.settings import Settings
from swarmrun.core.task import Reply, Task, TaskState
from swarmrun.queue.port import Claimed, MergeQueue, QueueAdmin, RunState, TaskView, WorkQueue
from swarmrun.runconfig import ModelPolicy, ProviderConfig, RunConfig
from swarmrun.vcs.credentials import store

ROOT = Path(__file__).resolve().parents[1]
UID = "5b1d0f6e-run"
PATIENCE = 20.0


class AnyQueue(QueueAdmin, WorkQueue, MergeQueue, Protocol):
    """All three sides at once."""


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def await_http(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the URL answers 200, or the process has ended."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310 — our own http URL
                return
        except (urllib.error.URLError, ConnectionError):
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
    raise AssertionError(f"{url} does not answer; exit code {process.poll()}")


@contextmanager
def sandbox(folder: Path) -> Iterator[str]:
    """Run the real sandbox runner; gives its URL."""
    port = free_port()
    folder.mkdir(parents=True)
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "agent_image"),
        "SANDBOX_LISTEN": f"127.0.0.1:{port}",
        "SANDBOX_WORK_DIR": str(folder),
        "SANDBOX_MAX_PARALLEL": "2",
    }
    process = subprocess.Popen([sys.executable, "-m", "swarm_sandbox"], env=env, cwd=folder)
    try:
        await_http(f"http://127.0.0.1:{port}/healthz", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


class World:
    """Queue, upstream and merger of one run. Tasks are the plan; `submit` is the agent."""

    def __init__(self, tmp_path: Path, upstream: GitServer, queue: AnyQueue, gates_url: str) -> None:
        self.tmp_path, self.upstream, self.queue = tmp_path, upstream, queue
        self.config = RunConfig(
            namespace="team",
            name="app",
            uid=UID,
            project_name="App",
            profile="plain-python",
            plan_hash="h",
            provider=ProviderConfig(type="OpenAI"),
            models=ModelPolicy(default="m"),
            repository_url=upstream.url("app"),
            branch="main",
            gates_url=gates_url,
        )
        store({"username": "user", "password": "pass"}, tmp_path / "private")
        (tmp_path / "token").write_text("the-agents-token\n")
        self.settings = Settings(
            redis_url="redis://unused",
            swarm_agent_token_file=tmp_path / "token",
            swarm_work_dir=tmp_path / "work",
            swarm_listen=f"127.0.0.1:{free_port()}",
            swarm_metrics_listen=f"127.0.0.1:{free_port()}",
            swarm_git_credentials_dir=tmp_path / "private",
        )
        self.metrics = MergeMetrics(namespace="team", run="app")
        self._claims: dict[str, Claimed] = {}

    async def plan(self, *tasks: Task, landed: Mapping[str, str] | None = None) -> None:
        """Open the queue for these tasks."""
        await self.queue.open(1)
        await self.queue.enqueue(tasks, plan_hash="h", max_attempts=3, landed=landed or {})
        await self.queue.set_limit(10_000_000)
        await self.queue.set_state(RunState.ACTIVE)

    def merger(self, session: aiohttp.ClientSession) -> Merger:
        """Assemble the merger as the process does, but waiting for nothing."""
        merger = assemble(
            self.settings, self.config, PROFILE, self.queue, metrics=self.metrics, session=session
        )
        merger.poll_seconds = 0.0
        return merger

    async def claim(self, task_id: str) -> Claimed:
        """Claim until the wanted task comes."""
        for number in range(20):
            if task_id in self._claims:
                break
            pod = f"pod-{task_id}-{number}"
            await self.queue.register(pod)
            claimed = await self.queue.claim(pod, ttl_seconds=600)
            if isinstance(claimed, Claimed):
                self._claims[claimed.task.id] = claimed
        return self._claims.pop(task_id)

    async def submit(
        self, task_id: str, files: Mapping[str, str | None], *, base: str | None = None
    ) -> Claimed:
        """Do a task: claim it and submit these files, against the branch as it is unless told otherwise."""
        claimed = await self.claim(task_id)
        on = self.head() if base is None else base
        assert await self.queue.submit(claimed.lease, change(files, base=on)) is Reply.OK
        return claimed

    async def task(self, task_id: str) -> TaskView:
        """Look at one task."""
        return next(t for t in (await self.queue.snapshot()).tasks if t.id == task_id)

    async def states(self) -> dict[str, TaskState]:
        """Look at all tasks."""
        return {t.id: t.state for t in (await self.queue.snapshot()).tasks}

    def head(self) -> str:
        """Upstream's branch, "" while empty."""
        return self.upstream.git("app", "for-each-ref", "--format=%(objectname)", "refs/heads/main")

    def log(self, form: str = "%(trailers:key=Swarm-Task,valueonly,separator=)") -> list[str]:
        """Upstream's history, oldest first."""
        return self.upstream.git("app", "log", "--reverse", f"--format={form}", "main").splitlines()

    def file(self, path: str) -> str:
        """A file on upstream's branch."""
        return self.upstream.git("app", "show", f"main:{path}")


async def settle(merger: Merger) -> None:
    """Let the merger decide everything that waits, as its loop would without pauses."""
    if not merger.ready:
        await merger.start()
    for _ in range(20):
        if not await merger.queue.submissions(limit=1, timeout_seconds=0):
            return
        await asyncio.wait_for(merger.round(), PATIENCE)
    raise AssertionError("the merger must decide in the end")

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from git_upstream import GitServer
from merge_values import GATE, scaffold, task, test_task
from merge_world import PATIENCE, ROOT, UID, World, await_http
from swarm_merge.__main__ import FOLDER_VARIABLE, hide_credentials
from swarmrun import profiles
from swarmrun.core.task import TaskState
from swarmrun.queue.redis import RedisQueue, connect

pytestmark = pytest.mark.redis
KILL_ONCE = "mkdir {once} 2>/dev/null && kill -9 $(cat {pid})"


@pytest.fixture
async def world(tmp_path: Path, upstream: GitServer, redis_url: str, gates_url: str) -> AsyncIterator[World]:
    client = connect(redis_url)
    queue = RedisQueue(client, UID)
    found = World(tmp_path, upstream, queue, gates_url)
    found.settings = found.settings.model_copy(update={"redis_url": redis_url})
    yield found
    await queue.purge()
    await client.aclose()


@contextmanager
def merger_process(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """Start the merger; its pid is in the file `pid`, its log in `log`."""
    given = world.tmp_path / "given.json"
    given.write_text(
        json.dumps({"settings": world.settings.model_dump_json(), "config": world.config.model_dump_json()})
    )
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("tests", "operator", "agent_image")),
    }
    with (world.tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/merge_process.py"), str(given)], env=env, stderr=log
        )
    (world.tmp_path / "pid").write_text(str(process.pid))
    try:
        await_http(f"http://{world.settings.swarm_listen}/healthz", process)
        yield process
    finally:
        process.kill()
        process.wait(10)


async def completed(world: World, process: subprocess.Popen[bytes]) -> None:
    """Wait until every task is completed."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if set((await world.states()).values()) == {TaskState.COMPLETED}:
            return
        try:
            code = await asyncio.to_thread(process.wait, 0.1)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the merger ended with {code}: {(world.tmp_path / 'log').read_text()[-2000:]}")
    raise AssertionError(f"{await world.states()}: {(world.tmp_path / 'log').read_text()[-3000:]}")


def hook(name: str) -> Callable[[World], str]:
    """Kill the merger from a hook of the user's server: before or after the branch has moved."""

    def arm(world: World) -> str:
        path = world.upstream.path("app") / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        kill = KILL_ONCE.format(once=world.tmp_path / "once", pid=world.tmp_path / "pid")
        path.write_text(f"#!/bin/sh\n{kill}\nexit 0\n")
        path.chmod(0o755)
        return "print('ok')\n"

    return arm


def gate(world: World) -> str:
    """Kill the merger from a test, so in the middle of a gate run."""
    kill = KILL_ONCE.format(once=world.tmp_path / "once", pid=world.tmp_path / "pid")
    return f"import os\nos.system({kill!r})\n"


@pytest.mark.parametrize(
    "arm", [gate, hook("pre-receive"), hook("post-receive")], ids=["gates", "push", "push-land"]
)
async def test_killed_anywhere_it_resumes_without_loss_and_without_doubles(
    world: World, arm: Callable[[World], str]
) -> None:
    head = world.upstream.commit("app", {"gate.py": GATE})
    await world.plan(task("users"), test_task("users", "users"))
    text = arm(world)
    await world.submit("users", {"src/users.py": "u\n"}, base=head)
    await world.submit("users.tests", {"tests/test_users.py": text}, base=head)
    with merger_process(world) as first:
        assert await asyncio.to_thread(first.wait, PATIENCE) == -signal.SIGKILL
    assert (world.tmp_path / "once").exists()
    with merger_process(world) as second:
        await completed(world, second)
    assert sorted(filter(None, world.log())) == ["users", "users.tests"]
    views = [await world.task(name) for name in ("users", "users.tests")]
    assert {v.commit for v in views} == set(world.log("%H")[1:])
    assert all(v.failures == () for v in views)


async def test_sigterm_ends_it_at_once_and_cleanly_even_during_a_gate_run(world: World) -> None:
    (world.tmp_path / "fifo").parent.mkdir(exist_ok=True)
    os.mkfifo(world.tmp_path / "fifo")
    head = world.upstream.commit("app", {"gate.py": GATE})
    await world.plan(test_task("users", "users"))
    waiting = f"open({str(world.tmp_path / 'fifo')!r}).read()\n"
    await world.submit("users.tests", {"tests/test_users.py": waiting}, base=head)
    with merger_process(world) as process:
        # Opening the other end returns when the test in the gates has begun.
        writer = await asyncio.to_thread((world.tmp_path / "fifo").open, "w")
        process.terminate()
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        writer.close()
    assert (await world.states())["users.tests"] is TaskState.SUBMITTED
    assert "users.tests" not in world.log()


async def test_it_serves_its_figures_and_logs_no_credential(world: World) -> None:
    await world.plan(scaffold())
    await world.submit("scaffold", {"gate.py": GATE})
    with merger_process(world) as process:
        await completed(world, process)
        await_http(f"http://{world.settings.swarm_listen}/readyz", process)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{world.settings.swarm_metrics_listen}/metrics") as answer,
        ):
            text = await answer.text()
    assert 'swarmrun_merge_landed_total{namespace="team",run="app"} 1.0' in text
    assert 'swarmrun_merge_gate_seconds_count{namespace="team",outcome="green",run="app"} 1.0' in text
    log = (world.tmp_path / "log").read_text()
    assert all(json.loads(line) for line in log.splitlines())
    assert "the-agents-token" not in log
    assert "user:pass" not in log


def observe(command: list[str], env: dict[str, str], ready_url: str) -> tuple[int, bytes, bytes]:
    """Run until ready, then end it; gives exit code, log, and what anyone may read of the process."""
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
    try:
        await_http(ready_url, process)
        visible = b"".join(
            Path(f"/proc/{process.pid}/{name}").read_bytes() for name in ("environ", "cmdline")
        )
    finally:
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE)
    return process.returncode, log, visible


async def test_the_real_process_never_shows_its_credentials(world: World) -> None:
    config = world.config.model_copy(update={"profile": profiles.names()[0]})
    (world.tmp_path / "run.json").write_text(config.model_dump_json())
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("operator", "agent_image")),
        "TMPDIR": str(world.tmp_path),
        "REDIS_URL": world.settings.redis_url,
        "SWARM_AGENT_TOKEN_FILE": str(world.settings.swarm_agent_token_file),
        "SWARM_WORK_DIR": str(world.settings.swarm_work_dir),
        "SWARM_LISTEN": world.settings.swarm_listen,
        "SWARM_METRICS_LISTEN": world.settings.swarm_metrics_listen,
        "SWARM_RUN_CONFIG": str(world.tmp_path / "run.json"),
        "GIT_CREDENTIAL_username": "user",
        "GIT_CREDENTIAL_password": "pass",
        "GIT_CREDENTIAL_ssh-privatekey": "very-private",
    }
    code, log, visible = await asyncio.to_thread(
        observe, [sys.executable, "-m", "swarm_merge"], env, f"http://{world.settings.swarm_listen}/readyz"
    )
    assert code == 0
    assert b"GIT_CREDENTIAL_" not in visible
    assert b"very-private" not in visible + log
    assert world.upstream.requests, "it was ready, so the password has served"


def test_credentials_leave_the_environment_for_private_files() -> None:
    environ = {"GIT_CREDENTIAL_username": "u", "GIT_CREDENTIAL_password": "p", "PATH": "/bin"}
    assert hide_credentials(environ)
    folder = Path(environ.pop(FOLDER_VARIABLE))
    assert environ == {"PATH": "/bin"}
    assert (folder / "password").read_text() == "p\n"
    assert not hide_credentials(environ)

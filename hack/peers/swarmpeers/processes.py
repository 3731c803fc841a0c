"""Real processes: a Redis server, and workers that can be frozen and woken with all their children."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

from swarmpeers.environment import ROOT

T = TypeVar("T")
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 5.0
_COMMAND_SECONDS: Final = 600.0
_POLL_SECONDS: Final = 0.02


def await_it(look: Callable[[], T | None], seconds: float, pause: float = _POLL_SECONDS) -> T | None:
    """Return what `look` finds, as soon as it finds something, or None after `seconds`."""
    deadline = time.monotonic() + seconds
    while (found := look()) is None and time.monotonic() < deadline:
        time.sleep(pause)
    return found


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a Redis (or Valkey) that keeps nothing on disk; yield its URL."""
    binary = shutil.which("redis-server") or shutil.which("valkey-server")
    if binary is None:
        raise SystemExit("redis-server is not on PATH: apt-get install redis-server")
    port = _free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen([binary, *options, "--dir", str(folder)], stdout=log, stderr=log)
    try:
        if await_it(lambda: _answers(port), _START_SECONDS) is None:
            raise SystemExit(f"redis-server does not answer: {(folder / 'redis.log').read_text()[-2000:]}")
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait(_STOP_SECONDS)


class Process:
    """A worker and all its descendants, in a session of their own; what they print goes to `log`."""

    def __init__(self, argv: list[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as sink:
            self._child = subprocess.Popen(
                argv,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Tell whether the worker itself has ended."""
        return self._child.poll() is not None

    def freeze(self) -> None:
        """Stop parents before their children, so that none sees its child stop."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let all go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End all, whatever they do."""
        self._signal(signal.SIGKILL)
        self._child.wait(_STOP_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        for pid in _tree(self._child.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def worker_env(redis_url: str, folder: Path, **facts: object) -> dict[str, str]:
    """Return the environment of a worker module; see `workers.protocol` for the facts."""
    told = {f"PEER_{name.upper()}": str(value) for name, value in facts.items()}
    paths = os.pathsep.join([str(ROOT / "hack/peers"), str(ROOT / "operator")])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PEER_")}
    return {**kept, **told, "PYTHONPATH": paths, "PEER_REDIS": redis_url, "PEER_FOLDER": str(folder)}


def command(argv: list[str], env: Mapping[str, str]) -> str:
    """Run a short role of a worker module and return its last line.

    Raises:
        SystemExit: it failed; says how.
    """
    done = subprocess.run(
        argv, env=dict(env), capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return (done.stdout.strip().splitlines() or [""])[-1]


def _tree(root: int) -> list[int]:
    """List a process and its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:  # grows while it is walked; ends at the leaves
        found += children.get(pid, [])
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool | None:
    try:
        with socket.create_connection(("127.0.0.1", port), 0.2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n" or None
    except OSError:
        return None

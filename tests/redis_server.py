"""A real redis-server for tests: its own folder, a unix socket and no TCP port, gone afterwards.

`redis_server` is a session fixture; test folders import it in their conftest. `RedisServer` can also be
started by hand, killed and started again over the same files.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_START_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 10.0


class RedisServer:
    """One server process. `url` is for `swarmrun.queue.redis.connect`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder, self._options = folder, options
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until it answers."""
        config = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(self._folder), "--save", ""]
        log = ["--logfile", str(self._folder / "redis.log"), "--daemonize", "no"]
        self._process = subprocess.Popen(
            [server_binary(), *config, *log, *self._options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start: {(self._folder / 'redis.log').read_text()}")

    def kill(self) -> None:
        """SIGKILL: nothing is flushed that was not flushed before."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
            self.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop in good order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_SECONDS)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(0.2)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
            except OSError:
                return False


def server_binary() -> str:
    """Return the server's program; skip the test where there is none."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not on PATH, and CI demands it")
        pytest.skip("redis-server is not on PATH")
    return found


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for the whole session; tests keep apart by the uid of their run."""
    # A short path: a unix socket's name has at most 107 characters, pytest's folders are often longer.
    with tempfile.TemporaryDirectory(prefix="swr-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.stop()

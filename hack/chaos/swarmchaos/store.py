"""A real redis-server on files of its own, to be killed, cut and started again."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Final, Self

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 20.0
_LOADING_PAUSE: Final = 0.002
#: AOF with one fsync per group of writes; rewritten now and then, so that kills meet rewrites, too.
ALWAYS: Final = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-min-size", "16mb")
#: The same without rewrites, so that a cut at an offset is a cut in time.
GROWING: Final = (*ALWAYS[:4], "--auto-aof-rewrite-percentage", "0")


class StoreError(RuntimeError):
    """The server is missing or does not start; the message says what to do."""


class Store:
    """One server. `url` is for `swarmrun.queue.redis.connect`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder, self._options = folder, options
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def socket(self) -> Path:
        """The unix socket it listens on."""
        return self._socket

    def start(self) -> float:
        """Start, wait until it answers with its data loaded, and return the seconds that took.

        Raises:
            StoreError: there is no server, or it does not start.
        """
        binary = shutil.which("redis-server") or shutil.which("valkey-server")
        if binary is None:
            raise StoreError("redis-server must be on PATH: apt-get install redis-server")
        began = time.monotonic()
        argv = [binary, "--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._folder)]
        argv += ["--save", "", "--logfile", str(self._folder / "redis.log"), "--daemonize", "no"]
        self._process = subprocess.Popen(
            [*argv, *self._options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > began + _START_SECONDS:
                log = (self._folder / "redis.log").read_text(errors="replace")
                raise StoreError(f"redis-server must start; its log ends: {log[-1000:]}")
            time.sleep(_LOADING_PAUSE)
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_SECONDS)
            self._socket.unlink(missing_ok=True)

    def aof_size(self) -> int:
        """Return the bytes of the growing part of the AOF."""
        return self._growing().stat().st_size

    def cut(self, size: int) -> int:
        """Cut a stopped server's AOF to `size` bytes, as if the writes since had never been; say how many.

        A transaction or command that the cut goes through is dropped by Redis when it loads.
        """
        path = self._growing()
        before = path.stat().st_size
        with path.open("r+b") as file:
            file.truncate(min(size, before))
        return before - min(size, before)

    def _growing(self) -> Path:
        found = sorted(
            (self._folder / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime
        )
        if not found:
            raise StoreError(
                f"appendonlydir must hold an .incr.aof file: {self._folder} has none; use Redis 7"
            )
        return found[-1]

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.settimeout(1.0)
            connection.connect(str(self._socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(7) == b"+PONG\r\n"
        return False

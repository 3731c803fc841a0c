"""The HTTP face of the runner: POST /v1/run, GET /healthz."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import IO, Any, Final

from swarm_sandbox.runner import Runner
from swarm_sandbox.spec import BadRequestError

MAX_BODY: Final = 64 * 1024 * 1024
#: Connections beyond those that run: refused bodies and health checks.
_SPARE_CONNECTIONS: Final = 32
_SOCKET_SECONDS: Final = 60.0
_CHUNK: Final = 256 * 1024
_LOG: Final = logging.getLogger("swarm_sandbox")


class SandboxServer(ThreadingHTTPServer):
    """Serves the runner; at most `max_parallel` runs at a time, the rest is answered 503 at once."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._runs = threading.BoundedSemaphore(runner.settings.max_parallel)
        self._connections = threading.BoundedSemaphore(runner.settings.max_parallel + _SPARE_CONNECTIONS)
        self._idle = threading.Condition()
        self._active = 0
        super().__init__((runner.settings.host, runner.settings.port), _Handler)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Serve the connection in a thread, unless there are too many."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Serve one connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 — the base's signature
        """Log in one line; clients that go away are normal, anything else is a fault of ours."""
        if isinstance(sys.exception(), OSError):
            _LOG.info("connection lost")
        else:
            _LOG.exception("request failed")

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """Yield whether there is room for a run, and hold it."""
        room = self._runs.acquire(blocking=False)
        with self._idle:
            self._active += room
        try:
            yield room
        finally:
            if room:
                self._runs.release()
                with self._idle:
                    self._active -= 1
                    self._idle.notify_all()

    def drain(self, seconds: float) -> bool:
        """Wait until no run is left, for at most `seconds`; tell whether that is so."""
        with self._idle:
            return self._idle.wait_for(lambda: self._active == 0, timeout=seconds)


class _Handler(BaseHTTPRequestHandler):
    server: SandboxServer
    protocol_version = "HTTP/1.1"
    server_version = "swarm-sandbox"
    sys_version = ""
    timeout = _SOCKET_SECONDS

    def do_GET(self) -> None:
        """Answer the health check."""
        if self.path == "/healthz":
            self._answer(200, b'{"status":"ok"}')
        else:
            self._refuse(404, "the paths are GET /healthz and POST /v1/run")

    def do_POST(self) -> None:
        """Run a request."""
        length = self.headers.get("Content-Length", "")
        if self.path != "/v1/run":
            self._refuse(404, "the paths are GET /healthz and POST /v1/run")
        elif not length.isdigit():
            self._refuse(411, "Content-Length: must be there")
        elif int(length) > MAX_BODY:
            self._refuse(413, f"the body must have at most {MAX_BODY} bytes (found {length})")
        else:
            with self.server.slot() as room:
                self._run(int(length), room=room)

    def _run(self, length: int, *, room: bool) -> None:
        with tempfile.TemporaryFile(dir=self.server.runner.settings.work_dir) as body:
            # Read even when there is no room: a client that is still sending would not see the answer.
            complete = self._receive(length, body if room else None)
            if not room:
                self._refuse(503, "every slot is taken; try again soon", {"Retry-After": "2"})
                return
            if not complete:
                self._refuse(400, f"the body must have the {length} bytes that Content-Length says")
                return
            body.seek(0)
            try:
                answer = self.server.runner.run(body)
            except BadRequestError as error:
                self._refuse(400, "; ".join(error.problems[:20]))
            except OSError as error:
                _LOG.exception("a run failed for lack of resources")
                self._refuse(503, f"the runner lacks a resource: {error.strerror}", {"Retry-After": "5"})
            else:
                self._answer(200, answer)

    def _receive(self, length: int, target: IO[bytes] | None) -> bool:
        while length > 0:
            chunk = self.rfile.read(min(length, _CHUNK))
            if not chunk:
                return False
            length -= len(chunk)
            if target is not None:
                target.write(chunk)
        return True

    def _refuse(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        self.close_connection = True
        self._answer(status, json.dumps({"error": message}).encode(), headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the base's own name
        """Write no access log: health checks would fill it."""

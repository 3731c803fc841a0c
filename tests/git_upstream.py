"""A real git server for tests: smart HTTP by `git http-backend`, Basic auth, pushes allowed.

    with GitServer(tmp_path) as server:
        server.create("app")              # an empty repository; files=... gives it a first commit on main
        server.url("app")                     # http://127.0.0.1:PORT/app.git
        server.git("app", "log", "--oneline")

It can refuse pushes by a hook (`refuse_pushes`), and take a push but drop the connection instead of
answering (`drop_push_answers`), as a network failure at the worst moment would.
"""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_IDENTITY = {
    "GIT_AUTHOR_NAME": "A Person",
    "GIT_AUTHOR_EMAIL": "person@example.com",
    "GIT_COMMITTER_NAME": "A Person",
    "GIT_COMMITTER_EMAIL": "person@example.com",
}


def _chunked(file: BufferedIOBase) -> bytes:
    body = b""
    while size := int(file.readline().strip() or b"0", 16):
        body += file.read(size)
        file.readline()
    file.readline()
    return body


def _clean_environment() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        **_IDENTITY,
    }


class GitServer:
    """Serves every repository below `root` until the block is left."""

    def __init__(self, root: Path, *, username: str = "user", password: str = "pass") -> None:  # noqa: S107 — guards nothing
        self.root = root
        self.username, self.password = username, password
        #: False serves everybody.
        self.auth = True
        #: How many pushes to carry out and then leave without an answer.
        self.drop_push_answers = 0
        #: Service and path of every request, oldest first.
        self.requests: list[str] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._http.server_address[1])

    def url(self, name: str) -> str:
        """The repository's URL, without credentials."""
        return f"http://127.0.0.1:{self.port}/{name}.git"

    def path(self, name: str) -> Path:
        """The bare repository's folder."""
        return self.root / f"{name}.git"

    def create(self, name: str, files: Mapping[str, str] | None = None, *, branch: str = "main") -> Path:
        """Create a bare repository, with a first commit when `files` are given."""
        path = self.path(name)
        path.mkdir(parents=True)
        self.git(name, "init", "--quiet", "--bare", f"--initial-branch={branch}")
        self.git(name, "config", "http.receivepack", "true")
        if files is not None:
            self.commit(name, files, branch=branch)
        return path

    def git(self, name: str, *args: str, stdin: str | None = None) -> str:
        """Run git on the bare repository and return its output."""
        done = subprocess.run(
            ["git", "--git-dir", str(self.path(name)), *args],
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            env=_clean_environment(),
        )
        return done.stdout.strip()

    def commit(
        self, name: str, files: Mapping[str, str | None], *, message: str = "By hand", branch: str = "main"
    ) -> str:
        """Commit files (None deletes) straight to the branch, as a person would; returns the commit."""
        stream = f"commit refs/heads/{branch}\ncommitter A Person <person@example.com> 1700000000 +0000\n"
        stream += f"data {len(message.encode())}\n{message}\n"
        if self.git(name, "for-each-ref", f"refs/heads/{branch}"):
            stream += f"from refs/heads/{branch}^0\n"
        for path, content in files.items():
            if content is None:
                stream += f"D {path}\n"
            else:
                stream += f"M 100644 inline {path}\ndata {len(content.encode())}\n{content}\n"
        self.git(name, "fast-import", "--quiet", stdin=stream)
        return self.git(name, "rev-parse", branch)

    def refuse_pushes(self, name: str, message: str = "no pushes today") -> None:
        """Let the repository's pre-receive hook refuse every push."""
        hook = self.path(name) / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho '{message}' >&2\nexit 1\n")
        hook.chmod(0o755)

    def allow_pushes(self, name: str) -> None:
        """Undo `refuse_pushes`."""
        (self.path(name) / "hooks" / "pre-receive").unlink()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 30

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the base's name
                server.requests.append(format % args)

            def do_GET(self) -> None:
                self._serve(b"")

            def do_POST(self) -> None:
                if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                    self._serve(_chunked(self.rfile))
                else:
                    self._serve(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

            def _serve(self, body: bytes) -> None:
                wanted = base64.b64encode(f"{server.username}:{server.password}".encode()).decode()
                if server.auth and self.headers.get("Authorization") != f"Basic {wanted}":
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="test"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                out = server._backend(self, body)
                if self.command == "POST" and self.path.endswith("receive-pack") and server.drop_push_answers:
                    server.drop_push_answers -= 1
                    self.close_connection = True
                    return
                head, _, content = out.partition(b"\r\n\r\n")
                lines = [line.decode().split(": ", 1) for line in head.split(b"\r\n")]
                headers = {line[0]: line[1] for line in lines}
                self.send_response(int(headers.pop("Status", "200").split()[0]))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler

    def _backend(self, request: BaseHTTPRequestHandler, body: bytes) -> bytes:
        path, _, query = request.path.partition("?")
        env = _clean_environment() | {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.command,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": self.username,
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, capture_output=True, check=False, timeout=60, env=env
        )
        return done.stdout

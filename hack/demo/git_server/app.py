"""Serves the bare repositories of one folder over smart HTTP through `git http-backend` (a CGI program)."""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
from pathlib import Path

from aiohttp import web

MAX_BODY = 256 * 1024 * 1024


def create_app(root: Path, *, username: str, password: str) -> web.Application:
    """Serve every repository below `root` to whoever knows the password."""
    expected = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    async def backend(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), expected.encode()):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        return await _run_backend(root, request, username)

    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_get("/healthz", _healthz)
    app.router.add_route("*", "/{path:.+}", backend)
    return app


async def _healthz(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _run_backend(root: Path, request: web.Request, username: str) -> web.Response:
    body = await request.read()
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(root),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": username,
        "REMOTE_ADDR": request.remote or "",
    }
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    output, _ = await process.communicate(body)
    head, _, content = output.partition(b"\r\n\r\n")
    status, headers = 200, {}
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(": ")
        if name.lower() == "status":
            status = int(value.split()[0])
        elif name:
            headers[name] = value
    return web.Response(status=status, headers=headers, body=content)

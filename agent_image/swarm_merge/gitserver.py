"""Read-only smart HTTP of the mirror for agents: `git http-backend` behind aiohttp.

Two routes only: the advertisement of upload-pack and upload-pack itself. Both directions stream; a client
that goes away, or takes too long, ends its git process.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import web

from swarmrun.vcs.git import Git, reaped

USER: Final = "agent"
_CHUNK: Final = 64 * 1024
_MAX_HEADER: Final = 8 * 1024
_MAX_BODY: Final = 32 * 1024 * 1024
_PROTOCOL = re.compile(r"^[a-z0-9=:.-]{1,100}$")
_WANTED_ENCODINGS: Final = frozenset({"", "gzip", "x-gzip"})


@dataclass(frozen=True, slots=True)
class GitServer:
    """Serves the bare `repository` as /repo.git. `ready` tells whether it mirrors the remote yet."""

    repository: Path
    token: str
    ready: Callable[[], bool]
    git: Git = field(default_factory=Git)
    timeout: float = 300.0
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))

    def routes(self) -> list[web.RouteDef]:
        """Return the two routes."""
        return [
            web.get("/repo.git/info/refs", self.advertise),
            web.post("/repo.git/git-upload-pack", self.upload_pack),
        ]

    async def advertise(self, request: web.Request) -> web.StreamResponse:
        """GET /repo.git/info/refs?service=git-upload-pack."""
        if request.query_string != "service=git-upload-pack":
            raise web.HTTPForbidden(text="this repository is read-only: service must be git-upload-pack\n")
        return await self._serve(request, "/info/refs")

    async def upload_pack(self, request: web.Request) -> web.StreamResponse:
        """POST /repo.git/git-upload-pack."""
        return await self._serve(request, "/git-upload-pack")

    async def _serve(self, request: web.Request, action: str) -> web.StreamResponse:
        if not self._allowed(request.headers.get("Authorization", "")):
            raise web.HTTPUnauthorized(
                headers={"WWW-Authenticate": 'Basic realm="swarmrun"'},
                text="the agent token is missing or wrong\n",
            )
        if not self.ready():
            raise web.HTTPServiceUnavailable(
                headers={"Retry-After": "5"}, text="the mirror has not seen the repository yet\n"
            )
        if request.headers.get("Content-Encoding", "").lower() not in _WANTED_ENCODINGS:
            raise web.HTTPUnsupportedMediaType(text="Content-Encoding must be gzip or absent\n")
        try:
            async with asyncio.timeout(self.timeout), self.slots:
                return await self._backend(request, action)
        except TimeoutError:
            raise web.HTTPGatewayTimeout(text="git took too long\n") from None

    def _allowed(self, header: str) -> bool:
        scheme, _, value = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(value.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(given, f"{USER}:{self.token}".encode())

    def _cgi(self, request: web.Request, action: str) -> dict[str, str]:
        env = {
            "GIT_PROJECT_ROOT": str(self.repository),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": action,
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "REMOTE_USER": USER,
        }
        # The body arrives as sent: the application does not decompress it (see `application`).
        if encoding := request.headers.get("Content-Encoding", ""):
            env["HTTP_CONTENT_ENCODING"] = encoding.lower()
        protocol = request.headers.get("Git-Protocol", "")
        if _PROTOCOL.match(protocol):
            env["GIT_PROTOCOL"] = protocol
        return env

    async def _backend(self, request: web.Request, action: str) -> web.StreamResponse:
        process = await self.git.start("http-backend", stdin=True, env=self._cgi(request, action))
        async with reaped(process):
            feeding = asyncio.create_task(_feed(request, process))
            draining = asyncio.create_task(_drain(process))
            try:
                return await _answer(request, process)
            finally:
                for task in (feeding, draining):
                    task.cancel()
                await asyncio.gather(feeding, draining, return_exceptions=True)


async def _feed(request: web.Request, process: asyncio.subprocess.Process) -> None:
    stdin = process.stdin
    if stdin is None:
        return
    sent = 0
    with contextlib.suppress(ConnectionError):
        async for chunk in request.content.iter_chunked(_CHUNK):
            sent += len(chunk)
            if sent > _MAX_BODY:
                break
            stdin.write(chunk)
            await stdin.drain()
    stdin.close()


async def _drain(process: asyncio.subprocess.Process) -> None:
    while process.stderr is not None and await process.stderr.read(_CHUNK):
        pass


async def _answer(request: web.Request, process: asyncio.subprocess.Process) -> web.StreamResponse:
    stdout = process.stdout
    if stdout is None:
        raise web.HTTPInternalServerError(text="git has no output\n")
    status, headers = await _cgi_header(stdout)
    response = web.StreamResponse(status=status, headers=dict(headers))
    await response.prepare(request)
    while chunk := await stdout.read(_CHUNK):
        await response.write(chunk)
    await response.write_eof()
    await process.wait()
    return response


async def _cgi_header(stdout: asyncio.StreamReader) -> tuple[int, Mapping[str, str]]:
    status, headers, size = 200, {}, 0
    while line := (await stdout.readline()).strip():
        size += len(line)
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or size > _MAX_HEADER:
            raise web.HTTPBadGateway(text="git gave no valid answer\n")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value.strip()
    if not headers:
        raise web.HTTPBadGateway(text="git gave no answer\n")
    return status, headers

"""Client of the sandbox runner: sends a tree and commands, gets results. Its absence is no verdict."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import IO, Final

import aiohttp
from pydantic import ValidationError

from swarmrun.core.errors import Retryable
from swarmrun.core.sandbox import RunResult, RunSpec

_CHUNK: Final = 256 * 1024
_GRACE: Final = 60.0
#: Artifacts are at most 16 MiB before base64, outputs 64 KiB a step.
_MAX_ANSWER: Final = 32 * 1024 * 1024


class GatesUnavailable(Retryable):
    """The runner could not be reached or is busy: nothing ran."""


class GatesLost(Retryable):
    """The runner took the request and gave no answer: it may be the tree that killed it."""


@dataclass(frozen=True, slots=True)
class GatesClient:
    """Where the runner listens; `export` writes a tree's files below `tree/` as a tar."""

    session: aiohttp.ClientSession
    url: str

    async def run(self, spec: RunSpec, export: Callable[[IO[bytes]], Awaitable[None]]) -> RunResult:
        """Run the steps of `spec` on the exported tree.

        Raises:
            GatesUnavailable: connection refused or lost too early, 503, or an answer that is none.
            GatesLost: no answer after the whole request was taken.
        """
        limit = sum(step.timeout_seconds for step in spec.steps) + _GRACE
        with tempfile.TemporaryFile(prefix="swarm-gate-") as file:
            await export(file)
            _append_spec(file, spec)
            timeout = aiohttp.ClientTimeout(total=limit, sock_connect=10)
            headers = {"Content-Type": "application/x-tar", "Content-Length": str(file.seek(0, io.SEEK_END))}
            file.seek(0)
            body = _Body(file)
            try:
                async with self.session.post(
                    f"{self.url}/v1/run", data=body.chunks(), headers=headers, timeout=timeout
                ) as response:
                    return await _result(response)
            except aiohttp.ClientConnectorError as error:
                raise GatesUnavailable(f"the gates cannot be reached: {error}") from error
            except (aiohttp.ClientError, TimeoutError) as error:
                kind = GatesLost if body.sent else GatesUnavailable
                raise kind(f"the gates gave no answer: {error!r}") from error


async def _result(response: aiohttp.ClientResponse) -> RunResult:
    if response.status != 200:  # noqa: PLR2004 — HTTP OK
        detail = (await response.content.read(500)).decode(errors="replace")
        raise GatesUnavailable(f"the gates answered {response.status}: {detail}")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_ANSWER:
            raise GatesUnavailable(f"the gates' answer must not exceed {_MAX_ANSWER} bytes")
    try:
        return RunResult.model_validate_json(bytes(body))
    except ValidationError as error:
        raise GatesUnavailable(
            f"the gates' answer is no RunResult: {error.error_count()} fault(s)"
        ) from error


@dataclass(slots=True)
class _Body:
    """The request's body; `sent` once all of it has been handed to the connection."""

    file: IO[bytes]
    sent: bool = False

    async def chunks(self) -> AsyncIterator[bytes]:
        while chunk := self.file.read(_CHUNK):
            yield chunk
        self.sent = True


def _append_spec(file: IO[bytes], spec: RunSpec) -> None:
    data = json.dumps(spec.model_dump(mode="json")).encode()
    file.seek(0)
    with tarfile.open(fileobj=file, mode="a:") as tar:
        info = tarfile.TarInfo("run.json")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))

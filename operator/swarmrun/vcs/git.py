"""git as a subprocess: bounded, isolated from the machine's configuration, without hooks.

Every call runs in its own process group with a small environment, a timeout and a cap on what is kept of its
output. Nothing that a model or a repository wrote can become an option, a protocol or a program to start.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from swarmrun.core.errors import Retryable
from swarmrun.telemetry import redact

#: Environment of ours that git may see: where programs and certificates are, which proxy to use.
_PASSED: Final = (
    "PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
)

#: Configuration that outranks every file. No redirect is followed: it could carry credentials elsewhere.
_CONFIG: Final[Mapping[str, str]] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.askPass": "",
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "120",
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "protocol.ssh.allow": "always",
    "transfer.fsckObjects": "false",
    "receive.autogc": "false",
    "pack.threads": "1",
    "pack.windowMemory": "64m",
    "core.packedGitLimit": "128m",
    "advice.detachedHead": "false",
    "safe.directory": "*",
}

_ERROR_LIMIT: Final = 4000
_CHUNK: Final = 64 * 1024


class GitFailed(Retryable):
    """git ended with an error. `stderr` is redacted and cut to its tail."""

    def __init__(self, command: str, code: int | None, stderr: str, *, stdout: str = "") -> None:
        self.command, self.code, self.stderr, self.stdout = command, code, stderr, stdout
        super().__init__(f"git {command} ended with {code}: {stderr.strip()[-500:]}")


class GitTimedOut(GitFailed):
    """git did not end in time and was killed; whether its effect happened is unknown."""


@dataclass(frozen=True, slots=True)
class Git:
    """How to run git: the environment that all calls share (credentials, home)."""

    env: Mapping[str, str] = field(default_factory=dict)
    #: Seconds for calls that name no timeout of their own.
    timeout: float = 60.0

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Build the whole environment of one git process."""
        out = {name: os.environ[name] for name in _PASSED if name in os.environ}
        out |= {
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "HOME": os.devnull,
            "GIT_CONFIG_COUNT": str(len(_CONFIG)),
        }
        for index, (key, value) in enumerate(_CONFIG.items()):
            out[f"GIT_CONFIG_KEY_{index}"] = key
            out[f"GIT_CONFIG_VALUE_{index}"] = value
        return out | dict(self.env) | dict(extra or {})

    async def run(
        self,
        *args: str,
        repository: Path | None = None,
        stdin: bytes | None = None,
        stdout: IO[bytes] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 — the limit covers killing and reaping too
        accept: tuple[int, ...] = (0,),
    ) -> bytes:
        """Run git and return its standard output (empty when `stdout` is given).

        Raises:
            GitFailed: the exit code is not in `accept`.
            GitTimedOut: it took longer than `timeout` seconds and was killed.
        """
        process = await self.start(*args, repository=repository, stdin=stdin is not None, stdout=stdout)
        limit = self.timeout if timeout is None else timeout
        async with reaped(process):
            try:
                async with asyncio.timeout(limit):
                    out, err = await process.communicate(stdin)
            except TimeoutError:
                raise GitTimedOut(args[0], None, f"no answer within {limit:.0f} s") from None
        if process.returncode not in accept:
            text = redact(err.decode(errors="replace"))[-_ERROR_LIMIT:]
            shown = redact((out or b"")[-_ERROR_LIMIT:].decode(errors="replace"))
            raise GitFailed(args[0], process.returncode, text, stdout=shown)
        return out or b""

    async def start(
        self,
        *args: str,
        repository: Path | None = None,
        stdin: bool = False,
        stdout: IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> asyncio.subprocess.Process:
        """Start git in a process group of its own; the caller ends it with `reaped`."""
        where = ["--git-dir", str(repository)] if repository is not None else []
        return await asyncio.create_subprocess_exec(
            "git",
            *where,
            *args,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if stdout is None else stdout,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment(env),
            cwd="/",
            start_new_session=True,
            limit=_CHUNK,
        )


@contextlib.asynccontextmanager
async def reaped(process: asyncio.subprocess.Process) -> AsyncIterator[asyncio.subprocess.Process]:
    """Kill the process and all that it started when the block is left before it has ended."""
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())

"""The check before a submission, in the sandbox beside the worker. Advice: only the gates' word counts."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Final

import aiohttp
from pydantic import ValidationError

from swarm_agent.backoff import Backoff
from swarm_agent.errors import AttemptFailedError, GiveBackError
from swarmrun.core.profile import Profile
from swarmrun.core.sandbox import RunResult, RunSpec, Step
from swarmrun.core.task import FailureKind, TaskType

TESTS: Final = "{tests}"
_CANNOT_START: Final = 127
_CHUNK: Final = 256 * 1024
_GRACE: Final = 60.0
_MAX_ANSWER: Final = 32 * 1024 * 1024
_MAX_TRIES: Final = 8
#: Times that a run may end without an answer before the tree counts as the cause.
_MAX_LOST: Final = 2


def steps_for(profile: Profile, kind: TaskType, tests: Sequence[str]) -> tuple[Step, ...]:
    """Choose the steps of a task and expand `{tests}`; a step that needs tests is left out without them."""
    return tuple(
        Step(
            name=step.name,
            argv=tuple(_expanded(step.argv, tests)),
            timeout_seconds=step.timeout_seconds,
            env=step.env,
            always=step.always,
        )
        for step in profile.check
        if (tests or TESTS not in step.argv) and (not step.types or kind in step.types)
    )


def _expanded(argv: Sequence[str], tests: Sequence[str]) -> list[str]:
    return [word for argument in argv for word in (tests if argument == TESTS else (argument,))]


def only_tests_failed(profile: Profile, result: RunResult) -> bool:
    """Tell whether the tests ran and nothing but tests failed."""
    testing = {step.name for step in profile.check if TESTS in step.argv}
    red = [step for step in result.steps if step.exit_code not in (0, None)]
    return bool(red) and all(
        s.name in testing and not s.timed_out and s.exit_code != _CANNOT_START for s in red
    )


class _Busy(Exception):  # noqa: N818 — a state, no fault
    """Nothing ran; try again."""


class _Lost(Exception):  # noqa: N818 — a state, no fault
    """The run began and gave no answer."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where the runner listens."""

    session: aiohttp.ClientSession
    url: str
    backoff: Backoff = field(default_factory=lambda: Backoff(base=0.5, cap=10.0))

    async def run(self, spec: RunSpec, export: Callable[[IO[bytes]], Awaitable[None]]) -> RunResult:
        """Run the steps on the tree that `export` writes as a tar (below `tree/`).

        Raises:
            GiveBackError: the runner is not there, or will not take the request.
            AttemptFailedError: the runner died under the tree, twice.
        """
        with tempfile.TemporaryFile(prefix="swarm-check-") as file:
            await export(file)
            _append_spec(file, spec)
            lost, last = 0, ""
            for failures in range(1, _MAX_TRIES + 1):
                try:
                    return await self._post(spec, file)
                except _Busy as error:
                    last = str(error)
                except _Lost as error:
                    lost, last = lost + 1, str(error)
                    if lost == _MAX_LOST:
                        raise AttemptFailedError(
                            FailureKind.CHECK, "the check ended the sandbox itself, by memory or by signals"
                        ) from error
                await asyncio.sleep(self.backoff.delay(failures))
        raise GiveBackError(f"the sandbox is not available: {last}")

    async def _post(self, spec: RunSpec, file: IO[bytes]) -> RunResult:
        limit = sum(step.timeout_seconds for step in spec.steps) + _GRACE
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(file.seek(0, io.SEEK_END))}
        file.seek(0)
        try:
            async with self.session.post(
                f"{self.url}/v1/run",
                data=_chunks(file),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=limit, sock_connect=5),
                allow_redirects=False,
            ) as response:
                return await _result(response)
        except aiohttp.ClientConnectorError as error:
            raise _Busy(str(error)) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _Lost(str(error) or "no answer in time") from error


async def _chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


async def _result(response: aiohttp.ClientResponse) -> RunResult:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_ANSWER:
            raise _Lost(f"the answer must have at most {_MAX_ANSWER} bytes")
    if response.status >= 500:  # noqa: PLR2004 — HTTP's own border
        raise _Busy(f"the sandbox answered {response.status}")
    if response.status != 200:  # noqa: PLR2004 — HTTP OK
        detail = bytes(body[:300]).decode(errors="replace")
        raise GiveBackError(f"the sandbox refused the request with {response.status}: {detail}")
    try:
        return RunResult.model_validate_json(bytes(body))
    except ValidationError as error:
        raise _Lost("the answer is no RunResult") from error


def _append_spec(file: IO[bytes], spec: RunSpec) -> None:
    data = json.dumps(spec.model_dump(mode="json")).encode()
    file.seek(0)
    with tarfile.open(fileobj=file, mode="a:") as tar:
        info = tarfile.TarInfo("run.json")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))

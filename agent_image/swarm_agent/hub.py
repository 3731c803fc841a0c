"""Client of the hub's queue API (docs/contracts.md)."""

from __future__ import annotations

import asyncio
from typing import Final, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from swarm_agent.backoff import Backoff
from swarm_agent.errors import HubRefusedError, HubUnavailable
from swarmrun.core.task import ChangeSet, Failure, Lease, Reply
from swarmrun.runconfig import (
    ClaimRequest,
    ClaimResponse,
    FailRequest,
    LeaseRequest,
    ReplyResponse,
    SubmitRequest,
)

_M = TypeVar("_M", bound=BaseModel)
_OK: Final = 200
_CONFLICT: Final = 409
_SERVER_ERROR: Final = 500
_MAY_PASS: Final = frozenset({408, 425, 429})
_MAX_ANSWER: Final = 16 * 1024 * 1024
#: Seconds: one call; and how long a result is offered before it counts as undeliverable.
_CALL: Final = 15.0
_DELIVERY: Final = 120.0


class HubClient:
    """Speaks for one agent. The session carries no cookies and follows no redirects."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, token: str, *, backoff: Backoff | None = None
    ) -> None:
        self._session, self._url = session, url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._backoff = backoff or Backoff(base=0.5, cap=10.0)

    async def claim(self, pod: str, wait_seconds: float) -> ClaimResponse:
        """Ask for work once.

        Raises:
            HubUnavailable, HubRefusedError.
        """
        request = ClaimRequest(pod=pod, wait_seconds=wait_seconds)
        return await self._call("claim", request, ClaimResponse, seconds=wait_seconds + _CALL)

    async def heartbeat(self, lease: Lease) -> Reply:
        """Prolong the lease once; raises as `claim`."""
        request = LeaseRequest(task_id=lease.task_id, token=lease.token)
        return await self._reply("heartbeat", request)

    async def submit(self, lease: Lease, change_set: ChangeSet) -> Reply:
        """Deliver a change set; tried again, because the hub knows a repetition by its token."""
        request = SubmitRequest(task_id=lease.task_id, token=lease.token, change_set=change_set)
        return await self._deliver("submit", request, _DELIVERY)

    async def fail(self, lease: Lease, failure: Failure) -> Reply:
        """Deliver the evidence of a failure; tried again."""
        request = FailRequest(task_id=lease.task_id, token=lease.token, failure=failure)
        return await self._deliver("fail", request, _DELIVERY)

    async def release(self, lease: Lease, reason: str, *, seconds: float = _DELIVERY) -> Reply:
        """Give the claim back; tried again for `seconds`."""
        request = LeaseRequest(task_id=lease.task_id, token=lease.token, reason=reason)
        return await self._deliver("release", request, seconds)

    async def _deliver(self, call: str, request: BaseModel, seconds: float) -> Reply:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        failures = 0
        while True:
            try:
                return await self._reply(call, request, seconds=min(_CALL, seconds))
            except HubUnavailable:
                failures += 1
                delay = self._backoff.delay(failures)
                if loop.time() + delay >= deadline:
                    raise
                await asyncio.sleep(delay)

    async def _reply(self, call: str, request: BaseModel, *, seconds: float = _CALL) -> Reply:
        return Reply((await self._call(call, request, ReplyResponse, seconds=seconds)).reply)

    async def _call(self, call: str, request: BaseModel, answer: type[_M], *, seconds: float) -> _M:
        body = request.model_dump_json().encode()
        try:
            async with self._session.post(
                f"{self._url}/v1/{call}",
                data=body,
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=5),
                allow_redirects=False,
            ) as response:
                data = await _body(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HubUnavailable(f"{call}: {error or 'no answer in time'}") from error
        accepted = {_OK, _CONFLICT} if answer is ReplyResponse else {_OK}
        if response.status not in accepted:
            problem = f"{call}: the hub answered {response.status}: {data[:300].decode(errors='replace')}"
            passing = response.status >= _SERVER_ERROR or response.status in _MAY_PASS
            raise (HubUnavailable if passing else HubRefusedError)(problem)
        try:
            return answer.model_validate_json(data)
        except ValidationError as error:
            raise HubUnavailable(f"{call}: the answer is malformed: {error.error_count()} faults") from error


async def _body(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > _MAX_ANSWER:
            raise aiohttp.ClientPayloadError(f"the answer must have at most {_MAX_ANSWER} bytes")
    return bytes(data)

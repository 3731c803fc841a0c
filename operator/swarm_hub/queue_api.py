"""The queue over HTTP: claim, heartbeat, submit, fail, release."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from pydantic import ValidationError

from swarm_hub.background import STORE_ERRORS
from swarm_hub.claims import Claims
from swarm_hub.dialects import dialect_for
from swarm_hub.wire import error_response, json_response, parse, problems_of, read_body
from swarmrun.core.errors import Invalid
from swarmrun.core.task import Lease, Reply
from swarmrun.queue.port import Claimed, WorkQueue
from swarmrun.runconfig import (
    ClaimRequest,
    ClaimResponse,
    FailRequest,
    LeaseRequest,
    ReplyResponse,
    RunConfig,
    SubmitRequest,
)

_SMALL_BODY: Final = 65_536
_FAILURE_BODY: Final = 1_048_576
_CHANGE_SET_BODY: Final = 16_777_216


def lease_of(task_id: str, token: str, config: RunConfig) -> Lease:
    """Build the lease that a caller claims to hold; the queue compares the token with its own.

    Raises:
        Invalid: the token has not the form of one.
    """
    try:
        return Lease(task_id=task_id, token=token, agent="", attempt=1, ttl_seconds=config.lease_seconds)
    except ValidationError as error:
        raise Invalid(problems_of(error)) from None


class QueueApi:
    """Handlers of `/v1/…`. Errors of validation and of the store are rendered by the middleware."""

    def __init__(self, config: RunConfig, queue: WorkQueue, claims: Claims) -> None:
        self._config, self._queue, self._claims = config, queue, claims
        self._dialect = dialect_for(config.provider.type)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/v1/claim", self.claim),
            web.post("/v1/heartbeat", self.heartbeat),
            web.post("/v1/submit", self.submit),
            web.post("/v1/fail", self.fail),
            web.post("/v1/release", self.release),
        ]

    async def claim(self, request: web.Request) -> web.StreamResponse:
        """Long poll for work, and see the answer off: what cannot be delivered is given back."""
        wanted = parse(ClaimRequest, await read_body(request, _SMALL_BODY))
        if not wanted.pod:
            return error_response(400, "invalid_request", "pod: must be the pod's name (found ''); set it")
        answer = await self._claims.next(wanted.pod, wanted.wait_seconds)
        if not isinstance(answer, Claimed):
            return json_response(ClaimResponse(empty=answer, dialect=self._dialect.name))
        try:
            model = await self._model_for(answer)
            response = json_response(ClaimResponse(claimed=answer, model=model, dialect=self._dialect.name))
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError
            await response.prepare(request)
            await response.write_eof()
        except (asyncio.CancelledError, *STORE_ERRORS):  # a ConnectionError is an OSError
            self._claims.give_back(answer.lease, "the claim did not reach its agent")
            raise
        return response

    async def _model_for(self, claimed: Claimed) -> str:
        """Ask the ledger only where the policy depends on it."""
        policy = self._config.models
        totals = await self._queue.totals() if policy.soft_thresholds else None
        return policy.model_for(claimed.task.type, claimed.lease.attempt, totals)

    async def heartbeat(self, request: web.Request) -> web.Response:
        """Prolong a lease."""
        body = parse(LeaseRequest, await read_body(request, _SMALL_BODY))
        return _reply(await self._queue.heartbeat(lease_of(body.task_id, body.token, self._config)))

    async def submit(self, request: web.Request) -> web.Response:
        """Store a change set and end the lease."""
        body = parse(SubmitRequest, await read_body(request, _CHANGE_SET_BODY))
        lease = lease_of(body.task_id, body.token, self._config)
        return _reply(await self._queue.submit(lease, body.change_set))

    async def fail(self, request: web.Request) -> web.Response:
        """End the lease with evidence."""
        body = parse(FailRequest, await read_body(request, _FAILURE_BODY))
        lease = lease_of(body.task_id, body.token, self._config)
        return _reply(await self._queue.fail(lease, body.failure))

    async def release(self, request: web.Request) -> web.Response:
        """Give a claim back."""
        body = parse(LeaseRequest, await read_body(request, _SMALL_BODY))
        lease = lease_of(body.task_id, body.token, self._config)
        return _reply(await self._queue.release(lease, body.reason))


def _reply(reply: Reply) -> web.Response:
    return json_response(ReplyResponse(reply=reply.value), 409 if reply is Reply.STALE else 200)

"""The model gateway: understand, check, hold the money, call, pass the answer through, settle."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
from aiohttp import web

from swarm_hub.background import STORE_ERRORS
from swarm_hub.claims import TaskTypes
from swarm_hub.dialects import Dialect, ModelCall
from swarm_hub.health import ProviderRefused
from swarm_hub.ledger import CallRefusedError, Hold, Ledger, Purchase
from swarm_hub.metrics import HubMetrics
from swarm_hub.pace import TooFastError
from swarm_hub.queue_api import lease_of
from swarm_hub.refusals import Refusals
from swarm_hub.routes import Route
from swarm_hub.upstream import (
    NotSentError,
    OutcomeUnknownError,
    chunks_of,
    forwarded_headers,
    read_answer,
)
from swarm_hub.wire import BodyTooLargeError, is_authorized, read_body
from swarmrun.core.errors import Invalid
from swarmrun.core.models import output_limit
from swarmrun.core.pricing import PriceUnknown, worst_case_micro_usd
from swarmrun.core.task import Lease
from swarmrun.runconfig import RunConfig

_LOG: Final = logging.getLogger(__name__)
_REQUEST_BODY: Final = 8_388_608
_ANSWER_BODY: Final = 16_777_216
_ERROR_BODY: Final = 65_536
_FIRST_ERROR: Final = 300
_CLIENT_ERROR: Final = 400
#: Where a request keeps the model's name, once it is one of the run's.
_MODEL: Final = web.RequestKey("model", str)
#: A gateway's timeout says nothing about the model behind it, which may have gone on and been billed.
_MAYBE_BILLED: Final = frozenset({504, 524})


class _Stream(web.StreamResponse):
    """Sends its headers with the first bytes: most of what a call costs is system calls."""

    _send_headers_immediately = False


class ModelGateway:
    """Handlers of `/llm/{task_id}/{token}/…`."""

    def __init__(
        self,
        config: RunConfig,
        dialect: Dialect,
        *,
        agent_token: str,
        ledger: Ledger,
        routes: Sequence[Route],
        metrics: HubMetrics,
        types: TaskTypes,
        deadline_seconds: float,
    ) -> None:
        self._config, self._dialect, self._token = config, dialect, agent_token
        self._ledger, self._routes, self._refusals = ledger, routes, Refusals()
        self._metrics, self._types = metrics, types
        self._deadline = deadline_seconds
        self._models = frozenset(config.models.models())

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one model call in the run's dialect."""
        try:
            return await self._serve(request)
        except CallRefusedError as refusal:
            return self._refuse(request, refusal)
        except ProviderRefused as error:
            refused = error.refusal
            return self._refuse(
                request, CallRefusedError(refused.status, "provider_refused", refused.message, retry_after=60)
            )
        except TooFastError as error:
            return self._refuse(
                request,
                CallRefusedError(429, "rate_limited", str(error), retry_after=math.ceil(error.seconds)),
            )
        except STORE_ERRORS as error:
            _LOG.warning("the store does not answer", extra={"error": type(error).__name__})
            return self._refuse(
                request,
                CallRefusedError(
                    503, "store_unavailable", "the queue's store does not answer", retry_after=5
                ),
            )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        lease, asked = await self._understand(request)
        request[_MODEL] = asked.model
        if (how := self._refusals.before(asked)) is not None:
            raise CallRefusedError(
                400, "refused_before", f"the provider has refused this very request ({how}); change it"
            )
        *others, last = self._routes
        # What passes by itself is told rather than what does not.
        closed: TooFastError | ProviderRefused | None = None
        for route in others:
            try:
                return await self._through(route, request, lease, asked, last=False)
            except TooFastError as error:
                closed = error
            except ProviderRefused as error:
                closed = closed or error
        try:
            return await self._through(last, request, lease, asked, last=True)
        except ProviderRefused:
            if closed is not None:
                raise closed from None
            raise

    async def _through(
        self, route: Route, request: web.Request, lease: Lease, asked: ModelCall, *, last: bool
    ) -> web.StreamResponse:
        """Make the call with one credential.

        Raises:
            ProviderRefused: its provider takes no calls; of the last route only what was known before.
            TooFastError: its provider wants a pause that is too long.
        """
        route.pace.check()
        call = route.named(asked, self._dialect, self._max_output)
        purchase = self._purchase(route, call, lease)
        async with AsyncExitStack() as stack:
            async with route.health.turn():
                hold = await stack.enter_async_context(self._ledger.hold(purchase))
                async with route.pace.turn():
                    answer = await self._send(route, request, call, hold)
                    route.pace.saw(answer.status, answer.headers)
                stack.callback(answer.close)
                if answer.status >= _FIRST_ERROR:
                    return await self._relay_error(route, asked, hold, answer, last=last)
                route.health.succeeded()
            if answer.content_type == "text/event-stream":
                return await self._relay_stream(route, request, asked, hold, answer)
            return await self._relay_whole(route, hold, answer)
        raise AssertionError("unreachable: the stack suppresses nothing")

    async def _understand(self, request: web.Request) -> tuple[Lease, ModelCall]:
        if not is_authorized(request.headers, self._token):
            raise CallRefusedError(401, "unauthorized", "the agent token is wrong; use the run's own")
        try:
            lease = lease_of(request.match_info["task_id"], request.match_info["token"], self._config)
        except Invalid as error:
            raise CallRefusedError(409, "stale_lease", str(error)) from None
        try:
            body = await read_body(request, _REQUEST_BODY)
            call = self._dialect.parse(body, max_output=self._max_output)
        except BodyTooLargeError as error:
            raise CallRefusedError(413, "request_too_large", str(error)) from None
        except Invalid as error:
            raise CallRefusedError(400, "invalid_request", str(error)) from None
        if call.model not in self._models:
            allowed = ", ".join(sorted(self._models))
            raise CallRefusedError(
                403, "model_not_allowed", f"model must be one of {allowed} (found {call.model[:80]!r})"
            )
        return lease, call

    def _purchase(self, route: Route, call: ModelCall, lease: Lease) -> Purchase:
        try:
            price = route.prices.price(call.model)
        except PriceUnknown as error:
            self._routes[0].health.report_unpriced(error.message)
            raise CallRefusedError(403, "price_unknown", error.message) from None
        return Purchase(
            lease=lease,
            model=call.model,
            task_type=self._types.of(lease.task_id),
            price=price,
            worst_micro_usd=worst_case_micro_usd(price, call.input_tokens_bound, call.max_output_tokens),
            worst_tokens=call.input_tokens_bound + call.max_output_tokens,
        )

    async def _send(
        self, route: Route, request: web.Request, call: ModelCall, hold: Hold
    ) -> aiohttp.ClientResponse:
        hold.may_cost = True
        try:
            return await route.upstream.open(call, request.headers)
        except NotSentError as error:
            hold.may_cost = False
            raise CallRefusedError(
                502, "provider_unreachable", f"no connection to the provider ({error})", retry_after=5
            ) from None
        except OutcomeUnknownError as error:
            raise CallRefusedError(
                502, "provider_failed", f"the provider's answer was lost ({error})", retry_after=5
            ) from None

    async def _relay_error(
        self, route: Route, asked: ModelCall, hold: Hold, answer: aiohttp.ClientResponse, *, last: bool
    ) -> web.StreamResponse:
        if answer.status not in _MAYBE_BILLED:
            hold.may_cost = False
        try:
            body = await read_answer(answer, _ERROR_BODY)
        except OutcomeUnknownError:
            body = b""
        self._metrics.request(hold.purchase.model, f"http_{answer.status}", route.label)
        refusal = route.health.failed(answer.status, body)
        if refusal is None:
            self._refusals.answered(asked, answer.status)
        elif not last:
            raise ProviderRefused(refusal)
        # A redirect is not followed, and means nothing to the caller.
        status = answer.status if answer.status >= _CLIENT_ERROR else 502
        shown = route.upstream.without_key(body)
        return web.Response(status=status, body=shown, headers=forwarded_headers(answer.headers))

    async def _relay_whole(
        self, route: Route, hold: Hold, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        try:
            body = await read_answer(answer, _ANSWER_BODY)
        except OutcomeUnknownError as error:
            raise CallRefusedError(
                502, "provider_failed", f"the provider's answer broke off ({error})"
            ) from None
        hold.usage = self._dialect.usage_of(body)
        outcome = "ok" if hold.usage else "usage_unknown"
        self._metrics.request(hold.purchase.model, outcome, route.label)
        return web.Response(status=answer.status, body=body, headers=forwarded_headers(answer.headers))

    async def _relay_stream(
        self,
        route: Route,
        request: web.Request,
        asked: ModelCall,
        hold: Hold,
        answer: aiohttp.ClientResponse,
    ) -> web.StreamResponse:
        """Pass the bytes on as they come. A stream that broke off breaks off for the caller as well."""
        response = _Stream(status=answer.status, headers=forwarded_headers(answer.headers))
        meter = self._dialect.meter()
        outcome, last = "client_gone", b""
        try:
            await response.prepare(request)
            async with asyncio.timeout(self._deadline):
                async for chunk in chunks_of(answer):
                    meter.feed(chunk)
                    hold.usage = meter.usage
                    if answer.content.at_eof():
                        last = chunk
                    else:
                        await response.write(chunk)
            outcome = "ok" if hold.usage and meter.stop_reason else "usage_unknown"
            self._refusals.stopped(asked, meter.stop_reason)
            # Settled before the end: the caller's next call finds the ledger up to date.
            await self._ledger.close(hold)
            await response.write_eof(last)
        except (OutcomeUnknownError, TimeoutError):
            outcome = "cut"
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            _LOG.info("the caller of a stream went away")
        finally:
            self._metrics.request(hold.purchase.model, outcome, route.label)
        return response

    def _max_output(self, model: str) -> int:
        """Without a cap, one request for a million tokens of output would exhaust the budget on paper."""
        return output_limit(model, self._config.max_output_tokens)

    def _refuse(self, request: web.Request, refusal: CallRefusedError) -> web.Response:
        self._metrics.request(request.get(_MODEL, "other"), refusal.code)
        headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
        body = self._dialect.error_body(refusal.status, refusal.code, refusal.message)
        return web.Response(
            status=refusal.status, body=body, headers=headers, content_type="application/json"
        )

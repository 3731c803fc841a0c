"""The HTTP side: routes, keys, faults of the transport, streaming."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aiohttp import web

from simulated_model.answer import Answer, answer
from simulated_model.dialects import (
    Anthropic,
    BadRequestError,
    Completion,
    Dialect,
    OpenAI,
    Request,
    complete,
)
from simulated_model.faults import Faults
from simulated_model.journal import Entry, Journal

MAX_BODY: Final = 8 * 1024 * 1024
_RETRY_AFTER_SECONDS: Final = 1
#: A slow answer takes this many times the usual latency.
_SLOWNESS: Final = 10


@dataclass(frozen=True)
class Settings:
    """How the server behaves."""

    api_key: str
    faults: Faults = field(default_factory=Faults)
    #: Time before the first byte of an answer, in milliseconds.
    latency_ms: int = 0
    #: Time between two events of a stream, in milliseconds.
    event_ms: int = 0
    #: Models that exist; empty: all.
    models: Sequence[str] = ()


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise BadRequestError("body", "must be a JSON object")
    return body


class _Exchange:
    """One request from its arrival to its entry in the journal."""

    def __init__(self, server: Server, dialect: Dialect, http: web.Request) -> None:
        self.settings, self.journal = server.settings, server.journal
        self.dialect, self.http = dialect, http
        self.entry = Entry(self.journal.number(), dialect.name, "", 0)

    async def respond(self) -> web.StreamResponse:
        """Answer, and write the request down."""
        if not self._authorized():
            return self._refuse(401, "Incorrect API key provided. Check the key of your account.")
        try:
            request = self.dialect.read(_object(await self.http.json()))
        except BadRequestError as error:
            return self._refuse(400, str(error))
        except (json.JSONDecodeError, UnicodeDecodeError):
            return self._refuse(400, "We could not parse the JSON body of your request.")
        self.entry = replace(self.entry, model=request.model)
        if self.settings.models and request.model not in self.settings.models:
            return self._refuse(
                404, f"The model `{request.model}` does not exist or you do not have access to it."
            )
        return await self._answer(request)

    def _authorized(self) -> bool:
        scheme, _, bearer = self.http.headers.get("Authorization", "").partition(" ")
        given = self.http.headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
        return hmac.compare_digest(given.encode(), self.settings.api_key.encode())

    async def _answer(self, request: Request) -> web.StreamResponse:
        # The generators are pure and take milliseconds; a thread keeps long ones from stalling others.
        said = await asyncio.to_thread(answer, request.messages, self.settings.faults)
        fault = self._transport_fault(said)
        latency = self.settings.latency_ms / 1000
        await asyncio.sleep(latency * (_SLOWNESS if fault == "slow" else 1))
        if fault == "rate-limit":
            return self._refuse(429, "Rate limit reached. Please try again later.", fault)
        if fault == "server-error":
            return self._refuse(503, "The server is overloaded or not ready yet.", fault)
        done = complete(request, said.text, whole=said.whole, number=self.entry.number)
        self.entry = replace(self.entry, input_tokens=done.input_tokens, output_tokens=done.output_tokens)
        self._write(200, fault or said.fault)
        if request.stream:
            return await self._stream(request, done, cut=fault == "disconnect")
        if fault == "disconnect":
            self._hang_up()
        return web.json_response(self.dialect.whole(done))

    def _transport_fault(self, said: Answer) -> str:
        prompt = said.prompt
        if prompt is None:
            return ""
        key = (prompt.task_id, prompt.attempt, prompt.round)
        self.entry = replace(
            self.entry,
            task_id=prompt.task_id,
            type=prompt.type,
            attempt=prompt.attempt,
            round=prompt.round,
        )
        return self.settings.faults.transport(*key, self.journal.seen(*key))

    async def _stream(self, request: Request, done: Completion, *, cut: bool) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(self.http)
        events = list(self.dialect.events(request, done))
        for event in events[: len(events) // 2] if cut else events:
            await response.write(event.encode())
            if self.settings.event_ms:
                await asyncio.sleep(self.settings.event_ms / 1000)
        if cut:
            self._hang_up()
            return response
        await response.write_eof()
        return response

    def _hang_up(self) -> None:
        if self.http.transport is not None:
            self.http.transport.abort()

    def _refuse(self, status: int, message: str, fault: str = "") -> web.Response:
        self._write(status, fault)
        headers = {"Retry-After": str(_RETRY_AFTER_SECONDS)} if status in {429, 503} else {}
        return web.json_response(self.dialect.error(status, message), status=status, headers=headers)

    def _write(self, status: int, fault: str) -> None:
        self.entry = replace(self.entry, status=status, fault=fault)
        self.journal.add(self.entry)


class Server:
    """The stand-in model as an aiohttp application."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.journal = Journal()

    def app(self) -> web.Application:
        """Build the application."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/v1/chat/completions", self._openai)
        app.router.add_post("/v1/messages", self._anthropic)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/journal", self._journal)
        app.router.add_get("/healthz", self._healthz)
        return app

    async def _openai(self, http: web.Request) -> web.StreamResponse:
        return await _Exchange(self, OpenAI(), http).respond()

    async def _anthropic(self, http: web.Request) -> web.StreamResponse:
        return await _Exchange(self, Anthropic(), http).respond()

    async def _models(self, _http: web.Request) -> web.Response:
        names = self.settings.models or ("simulated",)
        return web.json_response({"object": "list", "data": [{"id": n, "object": "model"} for n in names]})

    async def _journal(self, _http: web.Request) -> web.Response:
        return web.json_response(self.journal.report())

    async def _healthz(self, _http: web.Request) -> web.Response:
        return web.Response(text="ok\n")

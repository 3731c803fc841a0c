"""Messages by the official SDK, streamed, with its retries off.

No sampling parameters: current API versions refuse them. The system message ends in a cache breakpoint,
because it is the same for all tasks of a type; below the model's minimum the provider ignores it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import anthropic
import httpx2
from anthropic.types import MessageParam, RawMessageStreamEvent

from swarm_agent.errors import ModelUnavailable
from swarm_agent.model.base import (
    CONNECT_SECONDS,
    MAX_ANSWER,
    READ_SECONDS,
    Answer,
    Request,
    meaning,
    refused,
)

_CUT = frozenset({"max_tokens", "model_context_window_exceeded"})


class AnthropicModel:
    """One client for all leases; the address tells them apart."""

    def __init__(self, hub_url: str, token: str) -> None:
        self._hub_url = hub_url
        timeout = anthropic.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        self._client = anthropic.AsyncAnthropic(
            api_key=token, base_url=hub_url, max_retries=0, timeout=timeout
        )

    async def complete(self, request: Request) -> Answer:
        """See `Model.complete`."""
        lease = request.lease
        client = self._client.with_options(
            base_url=f"{self._hub_url}/llm/{lease.task_id}/{lease.token}/anthropic"
        )
        try:
            stream = await client.messages.create(
                model=request.model,
                max_tokens=request.max_tokens,
                system=[{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
                messages=_messages(request),
                stream=True,
            )
            async with stream:
                return await _collect(stream)
        except anthropic.APIStatusError as error:
            # Inside a stream an error event comes with the status 200 of its response.
            status = error.status_code if error.status_code >= 400 else 500  # noqa: PLR2004 — HTTP's own border
            raise meaning(status, _code(error.body), error.message, error.response.headers) from error
        except (anthropic.APIError, httpx2.HTTPError, json.JSONDecodeError) as error:
            raise ModelUnavailable(f"the model call broke off: {type(error).__name__}") from error

    async def aclose(self) -> None:
        """See `Model.aclose`."""
        await self._client.close()


def _messages(request: Request) -> list[MessageParam]:
    messages: list[MessageParam] = []
    for turn in request.turns:
        if turn.role == "user":
            messages.append({"role": "user", "content": turn.text})
        else:
            messages.append({"role": "assistant", "content": turn.text})
    return messages


def _code(body: object) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("type", "")) if isinstance(error, dict) else ""


async def _collect(stream: AsyncIterator[RawMessageStreamEvent]) -> Answer:
    parts: list[str] = []
    size, stop = 0, ""
    async for event in stream:
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            parts.append(event.delta.text)
            size += len(parts[-1])
        elif event.type == "message_delta":
            stop = event.delta.stop_reason or stop
        if size > MAX_ANSWER:
            return Answer("", cut=True)
    if stop == "refusal":
        raise refused(stop)
    if not stop or stop == "pause_turn":
        raise ModelUnavailable("the answer ended without a stop reason")
    return Answer("".join(parts), cut=stop in _CUT)

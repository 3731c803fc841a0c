"""Chat completions by the official SDK, streamed, with its retries off.

A stream that ends early raises nothing in the SDK, so a missing finish reason is a failure here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

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


class OpenAIModel:
    """`vendor`: OpenAI itself, which wants `max_completion_tokens`; compatible servers know `max_tokens`."""

    def __init__(self, hub_url: str, token: str, *, vendor: bool) -> None:
        self._hub_url, self._limit = hub_url, "max_completion_tokens" if vendor else "max_tokens"
        timeout = openai.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        self._client = openai.AsyncOpenAI(api_key=token, base_url=hub_url, max_retries=0, timeout=timeout)

    async def complete(self, request: Request) -> Answer:
        """See `Model.complete`."""
        lease = request.lease
        client = self._client.with_options(
            base_url=f"{self._hub_url}/llm/{lease.task_id}/{lease.token}/openai/v1"
        )
        limit: dict[str, Any] = {self._limit: request.max_tokens}
        try:
            stream = await client.chat.completions.create(
                model=request.model,
                messages=_messages(request),
                stream=True,
                stream_options={"include_usage": True},
                **limit,
            )
            async with stream:
                return await _collect(stream)
        except openai.APIStatusError as error:
            raise meaning(
                error.status_code, str(error.code or ""), error.message, error.response.headers
            ) from error
        except (openai.APIError, httpx2.HTTPError, json.JSONDecodeError) as error:
            raise ModelUnavailable(f"the model call broke off: {type(error).__name__}") from error

    async def aclose(self) -> None:
        """See `Model.aclose`."""
        await self._client.close()


def _messages(request: Request) -> list[ChatCompletionMessageParam]:
    messages: list[ChatCompletionMessageParam] = [{"role": "system", "content": request.system}]
    for turn in request.turns:
        if turn.role == "user":
            messages.append({"role": "user", "content": turn.text})
        else:
            messages.append({"role": "assistant", "content": turn.text})
    return messages


async def _collect(stream: AsyncIterator[ChatCompletionChunk]) -> Answer:
    parts: list[str] = []
    refusal: list[str] = []
    size, stop = 0, ""
    async for chunk in stream:
        for choice in chunk.choices[:1]:
            parts.append(choice.delta.content or "")
            refusal.append(choice.delta.refusal or "")
            size += len(parts[-1]) + len(refusal[-1])
            stop = choice.finish_reason or stop
        if size > MAX_ANSWER:
            return Answer("", cut=True)
    if any(refusal) or stop == "content_filter":
        raise refused("".join(refusal) or stop)
    if not stop:
        raise ModelUnavailable("the answer ended without a finish reason")
    return Answer("".join(parts), cut=stop == "length")

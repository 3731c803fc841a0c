"""The providers' wire formats: OpenAI chat completions and Anthropic messages. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from simulated_model.parse import Message

CHARACTERS_PER_TOKEN = 4
_CHUNK = 400
#: A fixed time, for answers must not depend on when they are given.
_CREATED = 1_767_225_600


class BadRequestError(ValueError):
    """The request does not fit its dialect; `param` names the field at fault."""

    def __init__(self, param: str, rule: str) -> None:
        super().__init__(f"{param}: {rule}")
        self.param = param


@dataclass(frozen=True)
class Request:
    """What both dialects have in common."""

    model: str
    messages: tuple[Message, ...]
    stream: bool
    #: Limit of output tokens; None when the request names none.
    max_tokens: int | None
    include_usage: bool = True

    @property
    def input_tokens(self) -> int:
        """Tokens of the prompt, estimated from its characters."""
        return tokens("".join(m.text for m in self.messages))


@dataclass(frozen=True)
class Completion:
    """An answer on its way to the wire."""

    id: str
    model: str
    text: str
    input_tokens: int
    output_tokens: int
    #: False when the answer was cut at the limit of output tokens.
    whole: bool


def tokens(text: str) -> int:
    """Estimate the tokens of a text."""
    return max(1, -(-len(text) // CHARACTERS_PER_TOKEN))


def complete(request: Request, text: str, *, whole: bool, number: int) -> Completion:
    """Cut an answer at the request's limit and count its tokens."""
    limit = None if request.max_tokens is None else request.max_tokens * CHARACTERS_PER_TOKEN
    kept = text if limit is None else text[:limit]
    return Completion(
        id=f"sim-{number:08d}",
        model=request.model,
        text=kept,
        input_tokens=request.input_tokens,
        output_tokens=tokens(kept),
        whole=whole and kept == text,
    )


def _chunks(text: str) -> Iterator[str]:
    for start in range(0, len(text), _CHUNK):
        yield text[start : start + _CHUNK]


def _plain(content: Any, param: str) -> str:
    """Flatten a message's content: a string, or a list of text parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "".join(str(p.get("text", "")) for p in content if isinstance(p, Mapping))
    raise BadRequestError(param, "must be a string or a list of text parts")


_ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


def _messages(body: Mapping[str, Any]) -> tuple[Message, ...]:
    raw = body.get("messages")
    if not isinstance(raw, list) or not raw:
        raise BadRequestError("messages", "must be a list with at least one message")
    found = []
    for index, entry in enumerate(raw):
        role = _ROLES.get(str(entry.get("role"))) if isinstance(entry, Mapping) else None
        if role is None:
            raise BadRequestError(f"messages[{index}].role", f"must be one of {', '.join(_ROLES)}")
        found.append(Message(role, _plain(entry.get("content"), f"messages[{index}].content")))
    return tuple(found)


def _model(body: Mapping[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequestError("model", "must name a model")
    return model


def _limit(value: Any, param: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadRequestError(param, "must be a positive integer")
    return value


class Dialect(Protocol):
    """One provider's way to speak."""

    name: str

    def read(self, body: Mapping[str, Any]) -> Request:
        """Understand a request; raises BadRequestError."""

    def whole(self, completion: Completion) -> dict[str, Any]:
        """Render an answer in one piece."""

    def events(self, request: Request, completion: Completion) -> Iterator[str]:
        """Render an answer as server-sent events."""

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Render an error's body."""


def _event(data: Mapping[str, Any], name: str = "") -> str:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n"


class OpenAI:
    """`POST /v1/chat/completions`."""

    name = "openai"
    _TYPES: Mapping[int, tuple[str, str]] = {
        400: ("invalid_request_error", "invalid_value"),
        401: ("invalid_request_error", "invalid_api_key"),
        404: ("invalid_request_error", "model_not_found"),
        429: ("requests", "rate_limit_exceeded"),
        500: ("server_error", "server_error"),
        503: ("server_error", "overloaded"),
    }

    def read(self, body: Mapping[str, Any]) -> Request:
        """Understand a request; raises BadRequestError."""
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        return Request(
            model=_model(body),
            messages=_messages(body),
            stream=bool(body.get("stream")),
            max_tokens=_limit(limit, "max_completion_tokens"),
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        )

    def _usage(self, done: Completion) -> dict[str, Any]:
        return {
            "prompt_tokens": done.input_tokens,
            "completion_tokens": done.output_tokens,
            "total_tokens": done.input_tokens + done.output_tokens,
        }

    def whole(self, completion: Completion) -> dict[str, Any]:
        """Render an answer in one piece."""
        message = {"role": "assistant", "content": completion.text, "refusal": None}
        reason = "stop" if completion.whole else "length"
        return {
            "id": completion.id,
            "object": "chat.completion",
            "created": _CREATED,
            "model": completion.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
            "usage": self._usage(completion),
        }

    def events(self, request: Request, completion: Completion) -> Iterator[str]:
        """Render an answer as server-sent events, the usage last and only when it was asked for."""
        head = {
            "id": completion.id,
            "object": "chat.completion.chunk",
            "created": _CREATED,
            "model": completion.model,
        }

        def chunk(delta: Mapping[str, Any], reason: str | None = None) -> str:
            return _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

        yield chunk({"role": "assistant", "content": ""})
        for text in _chunks(completion.text):
            yield chunk({"content": text})
        yield chunk({}, "stop" if completion.whole else "length")
        if request.include_usage:
            yield _event({**head, "choices": [], "usage": self._usage(completion)})
        yield "data: [DONE]\n\n"

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Render an error's body."""
        kind, code = self._TYPES.get(status, ("server_error", "server_error"))
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class Anthropic:
    """`POST /v1/messages`."""

    name = "anthropic"
    _TYPES: Mapping[int, str] = {
        400: "invalid_request_error",
        401: "authentication_error",
        404: "not_found_error",
        429: "rate_limit_error",
        500: "api_error",
        503: "overloaded_error",
    }

    def read(self, body: Mapping[str, Any]) -> Request:
        """Understand a request; raises BadRequestError."""
        limit = _limit(body.get("max_tokens"), "max_tokens")
        if limit is None:
            raise BadRequestError("max_tokens", "is required")
        system = body.get("system")
        first = (Message("system", _plain(system, "system")),) if system else ()
        return Request(
            model=_model(body),
            messages=first + _messages(body),
            stream=bool(body.get("stream")),
            max_tokens=limit,
        )

    def _message(self, completion: Completion) -> dict[str, Any]:
        return {
            "id": completion.id,
            "type": "message",
            "role": "assistant",
            "model": completion.model,
            "stop_sequence": None,
        }

    def _reason(self, completion: Completion) -> str:
        return "end_turn" if completion.whole else "max_tokens"

    def whole(self, completion: Completion) -> dict[str, Any]:
        """Render an answer in one piece."""
        return {
            **self._message(completion),
            "content": [{"type": "text", "text": completion.text}],
            "stop_reason": self._reason(completion),
            "usage": {"input_tokens": completion.input_tokens, "output_tokens": completion.output_tokens},
        }

    def events(self, request: Request, completion: Completion) -> Iterator[str]:
        """Render an answer as server-sent events: input tokens first, output tokens last."""
        del request  # the dialect always reports usage
        usage = {"input_tokens": completion.input_tokens, "output_tokens": 1}
        start = {**self._message(completion), "content": [], "stop_reason": None, "usage": usage}
        yield _event({"type": "message_start", "message": start}, "message_start")
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        yield _event(block, "content_block_start")
        for text in _chunks(completion.text):
            delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
            yield _event(delta, "content_block_delta")
        yield _event({"type": "content_block_stop", "index": 0}, "content_block_stop")
        end = {
            "type": "message_delta",
            "delta": {"stop_reason": self._reason(completion), "stop_sequence": None},
            "usage": {"output_tokens": completion.output_tokens},
        }
        yield _event(end, "message_delta")
        yield _event({"type": "message_stop"}, "message_stop")

    def error(self, status: int, message: str) -> dict[str, Any]:
        """Render an error's body."""
        return {
            "type": "error",
            "error": {"type": self._TYPES.get(status, "api_error"), "message": message},
            "request_id": None,
        }

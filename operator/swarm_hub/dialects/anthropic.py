"""The Anthropic dialect: messages. Source of the fields: the API reference of messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from swarm_hub.dialects.base import (
    ModelCall,
    StreamMeter,
    cap_output,
    count,
    dump,
    flag_field,
    load_answer,
    load_object,
    problem,
    refuse_other_types,
    refuse_unknown,
    text_field,
    token_bound,
)
from swarm_hub.dialects.sse import Lines, payloads
from swarmrun.core.pricing import TokenUsage

#: From this API version on the key goes into `Authorization: Bearer`, before it into `x-api-key`.
BEARER_SINCE: Final = "2026-10-21"
_OLDEST_VERSION: Final = "2023-06-01"
_FIELDS: Final = frozenset(
    {
        *("model", "messages", "system", "max_tokens", "stream", "stop_sequences", "metadata"),
        *("tools", "tool_choice", "thinking", "output_config", "cache_control"),
        *("temperature", "top_p", "top_k", "service_tier", "speed"),
    }
)
_TEXT: Final = frozenset({"text"})
_BLOCKS: Final = frozenset({"text", "tool_use", "tool_result", "thinking", "redacted_thinking"})
_TOOLS: Final = frozenset({"custom"})
_ERRORS: Final = {400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large"}


class AnthropicDialect:
    """Messages."""

    name: Final = "anthropic"
    default_base_url: Final = "https://api.anthropic.com"
    endpoint: Final = "/v1/messages"

    def parse(self, body: bytes, *, max_output: Callable[[str], int]) -> ModelCall:
        """See `Dialect.parse`."""
        document = load_object(body)
        refuse_unknown(document, _FIELDS)
        _check_content(document)
        model, stream = text_field(document, "model"), flag_field(document, "stream")
        limit = cap_output(document, ("max_tokens",), "max_tokens", max_output(model))
        sent = dump(document)
        return ModelCall(
            model=model,
            stream=stream,
            input_tokens_bound=token_bound(sent),
            max_output_tokens=limit,
            body=sent,
        )

    def headers(self, key: str, client: Mapping[str, str]) -> dict[str, str]:
        """See `Dialect.headers`."""
        names = ("anthropic-version", "anthropic-beta", "User-Agent")
        headers = {name: client[name] for name in names if name in client}
        version = headers.setdefault("anthropic-version", _OLDEST_VERSION)
        # Both are ISO dates, so text order is the order of time.
        auth = {"Authorization": f"Bearer {key}"} if version >= BEARER_SINCE else {"x-api-key": key}
        return {**headers, **auth} if key else headers

    def meter(self) -> StreamMeter:
        """See `Dialect.meter`."""
        return _Meter()

    def usage_of(self, body: bytes) -> TokenUsage | None:
        """See `Dialect.usage_of`."""
        document = load_answer(body)
        usage = document.get("usage") if document else None
        return _usage(usage) if isinstance(usage, dict) else None

    def error_body(self, status: int, code: str, message: str) -> bytes:
        """See `Dialect.error_body`."""
        kind = _ERRORS.get(status, code) if code == "invalid_request" else code
        return dump({"type": "error", "error": {"type": kind, "message": message}})


class _Meter:
    """Usage begins in `message_start` and is final with the `message_delta` that has the stop reason."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._seen: dict[str, Any] = {}
        self.usage: TokenUsage | None = None
        self.stop_reason = ""

    def feed(self, chunk: bytes) -> None:
        """See `StreamMeter.feed`."""
        block = self._lines.feed(chunk)
        if b'"message_start"' in block or b'"message_delta"' in block:
            for data in payloads(block):
                if b'"message_start"' in data or b'"message_delta"' in data:
                    self._take(load_answer(data) or {})

    def _take(self, event: Mapping[str, Any]) -> None:
        if event.get("type") == "message_start":
            self._merge(_object(event, "message"))
        elif event.get("type") == "message_delta":
            self._merge(event)
            if reason := _object(event, "delta").get("stop_reason"):
                self.stop_reason = str(reason)
                self.usage = _usage(self._seen) if "usage" in event else None

    def _merge(self, holder: Mapping[str, Any]) -> None:
        """Counts are cumulative, so a later one replaces an earlier one."""
        usage = _object(holder, "usage")
        self._seen.update({name: value for name, value in usage.items() if value is not None})


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _check_content(document: Mapping[str, Any]) -> None:
    if document.get("speed") not in (None, "standard"):
        raise problem("speed", document["speed"], 'must be "standard"', "leave it out")
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages:
        raise problem("messages", messages, "must be a non-empty list", "send at least one message")
    refuse_other_types("system", document.get("system"), _TEXT, default="text")
    refuse_other_types("tools", document.get("tools"), _TOOLS, default="custom")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise problem(f"messages.{index}", message, "must be an object", "send role and content")
        path, content = f"messages.{index}.content", message.get("content")
        refuse_other_types(path, content, _BLOCKS, default="text")
        for number, block in enumerate(content if isinstance(content, list) else ()):
            refuse_other_types(f"{path}.{number}.content", block.get("content"), _TEXT, default="text")


def _usage(usage: Mapping[str, Any]) -> TokenUsage | None:
    """Read a usage object. `input_tokens` excludes cache reads and writes already."""
    plain, read = count(usage, "input_tokens"), count(usage, "cache_read_input_tokens")
    write = count(usage, "cache_creation_input_tokens")
    if plain + read + write == 0:
        return None  # no prompt is empty
    long = min(count(_object(usage, "cache_creation"), "ephemeral_1h_input_tokens"), write)
    return TokenUsage(
        input_tokens=plain,
        cache_read_tokens=read,
        cache_write_tokens=write - long,
        cache_write_long_tokens=long,
        output_tokens=count(usage, "output_tokens"),
    )

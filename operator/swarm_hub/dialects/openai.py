"""The OpenAI dialect: chat completions. Source of the fields: the API reference of chat completions."""

from __future__ import annotations

import re
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

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_FIELDS: Final = frozenset(
    {
        *_LIMITS,
        *("model", "messages", "stream", "stream_options", "n", "stop", "seed", "user", "metadata", "store"),
        *("temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs"),
        *("top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "response_format"),
        *("reasoning_effort", "verbosity", "safety_identifier", "service_tier"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    }
)
#: Knobs of self-hosted servers; they change sampling, not what is billed.
_LOCAL_FIELDS: Final = frozenset({"top_k", "min_p", "repetition_penalty", "chat_template_kwargs"})
_TEXT: Final = frozenset({"text", "refusal"})
_TOOLS: Final = frozenset({"function", "custom"})
_USAGE: Final = re.compile(rb'"usage"\s*:\s*\{')
#: Inside a text the quotes are escaped, so this is never a text.
_FINISH: Final = re.compile(rb'"finish_reason"\s*:\s*"([^"]{1,64})"')


class OpenAIDialect:
    """Chat completions. `vendor` tells OpenAI's own API from a compatible server."""

    name: Final = "openai"
    default_base_url: Final = "https://api.openai.com/v1"
    endpoint: Final = "/chat/completions"

    def __init__(self, *, vendor: bool) -> None:
        self._vendor = vendor

    def parse(self, body: bytes, *, max_output: Callable[[str], int]) -> ModelCall:
        """See `Dialect.parse`."""
        document = load_object(body)
        refuse_unknown(document, _FIELDS if self._vendor else _FIELDS | _LOCAL_FIELDS)
        _check_content(document)
        model, stream = text_field(document, "model"), flag_field(document, "stream")
        default = "max_completion_tokens" if self._vendor else "max_tokens"
        limit = cap_output(document, _LIMITS, default, max_output(model))
        if stream:
            options = document.get("stream_options")
            known = options if isinstance(options, dict) else {}
            document["stream_options"] = {**known, "include_usage": True}
        self._pin_tier(document)
        sent = dump(document)
        return ModelCall(
            model=model,
            stream=stream,
            input_tokens_bound=token_bound(sent),
            max_output_tokens=limit,
            body=sent,
        )

    def _pin_tier(self, document: dict[str, Any]) -> None:
        """Hold the call to the standard tier: without it a project's setting may buy a dearer one."""
        tier = document.get("service_tier")
        if tier not in (None, "default"):
            raise problem("service_tier", tier, 'must be "default"', "leave it out")
        if self._vendor:
            document["service_tier"] = "default"

    def headers(self, key: str, client: Mapping[str, str]) -> dict[str, str]:
        """See `Dialect.headers`."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        agent = client.get("User-Agent")
        return {**headers, "User-Agent": agent} if agent else headers

    def meter(self) -> StreamMeter:
        """See `Dialect.meter`."""
        return _Meter()

    def usage_of(self, body: bytes) -> TokenUsage | None:
        """See `Dialect.usage_of`."""
        return _usage(load_answer(body))

    def error_body(self, status: int, code: str, message: str) -> bytes:
        """See `Dialect.error_body`."""
        kind = "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004 — HTTP's own border
        return dump({"error": {"message": message, "type": kind, "param": None, "code": code}})


class _Meter:
    def __init__(self) -> None:
        self._lines = Lines()
        self.usage: TokenUsage | None = None
        self.stop_reason = ""

    def feed(self, chunk: bytes) -> None:
        """See `StreamMeter.feed`. Only an event with a usage object is parsed: those are few."""
        block, start = self._lines.feed(chunk), 0
        if not self.stop_reason:
            found = _FINISH.search(block)
            if found is None:
                return
            self.stop_reason, start = found[1].decode("utf-8", "replace"), found.start()
        # Some servers count along in every event; only what comes with or after the stop is final.
        for data in payloads(block, start):
            if _USAGE.search(data):
                self.usage = _usage(load_answer(data)) or self.usage


def _check_content(document: Mapping[str, Any]) -> None:
    if document.get("n") not in (None, 1):
        raise problem("n", document["n"], "must be 1", "ask again for another answer")
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages:
        raise problem("messages", messages, "must be a non-empty list", "send at least one message")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise problem(f"messages.{index}", message, "must be an object", "send role and content")
        refuse_other_types(f"messages.{index}.content", message.get("content"), _TEXT, default="text")
        if message.get("audio") is not None:
            raise problem(f"messages.{index}.audio", "…", "must be absent", "send text only")
    refuse_other_types("tools", document.get("tools"), _TOOLS, default="function")


def _usage(document: Mapping[str, Any] | None) -> TokenUsage | None:
    """Read an answer's usage. OpenAI counts cached tokens inside `prompt_tokens`; here they are apart."""
    usage = document.get("usage") if document else None
    if not isinstance(usage, dict):
        return None
    prompt, output = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    if prompt == 0:
        return None  # a server that does not count says 0; no prompt is empty
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    read = min(count(details, "cached_tokens"), prompt)
    write = min(count(details, "cache_write_tokens"), prompt - read)
    return TokenUsage(
        input_tokens=prompt - read - write,
        cache_read_tokens=read,
        cache_write_tokens=write,
        output_tokens=output,
    )

"""What a dialect offers, and the checks that both share.

A request is refused unless every field of it is known not to change the price: an unknown field may buy a
dearer tier, a server-side tool or an image, and then the reservation would not cover the call.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import pydantic_core

from swarmrun.core.errors import Invalid, Problem
from swarmrun.core.pricing import TokenUsage

#: Tokens that a provider's chat template may add to what the body holds.
TEMPLATE_TOKENS: Final = 1024
#: No model writes more in one call; also keeps the arithmetic small.
MAX_OUTPUT_TOKENS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One model call, understood. `body` is what goes to the provider."""

    model: str
    stream: bool
    input_tokens_bound: int
    max_output_tokens: int
    body: bytes


class StreamMeter(Protocol):
    """Reads along with a streamed answer. `usage` stays None until the provider has stated the final one."""

    @property
    def usage(self) -> TokenUsage | None:
        """Final usage, or None while unknown."""

    @property
    def stop_reason(self) -> str:
        """The provider's word for why the answer ended; empty until it was seen."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream; never raises."""


class Dialect(Protocol):
    """One provider's wire format."""

    @property
    def name(self) -> Literal["openai", "anthropic"]:
        """Short name, as in the path of the gateway."""

    @property
    def default_base_url(self) -> str:
        """The vendor's own base URL."""

    @property
    def endpoint(self) -> str:
        """Path of the call below the base URL."""

    def parse(self, body: bytes, *, max_output: Callable[[str], int]) -> ModelCall:
        """Understand a request, and set what the ledger needs in it.

        `max_output` gives a model's cap on output tokens: a higher limit is lowered to it, a missing one set.

        Raises:
            Invalid: not JSON, a field of the wrong type, or one that changes the price.
        """

    def headers(self, key: str, client: Mapping[str, str]) -> dict[str, str]:
        """Headers for the provider: the key, and what of the client's headers matters to it."""

    def meter(self) -> StreamMeter:
        """Start reading along with a stream."""

    def usage_of(self, body: bytes) -> TokenUsage | None:
        """Usage stated in a whole answer, or None."""

    def error_body(self, status: int, code: str, message: str) -> bytes:
        """Render an error of the hub the way the provider's SDK expects it."""


def problem(path: str, value: object, rule: str, fix: str) -> Invalid:
    """One fault as an exception; the value is cut to 80 characters."""
    return Invalid([Problem(path=path, value=repr(value)[:80], rule=rule, fix=fix)])


def load_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        Invalid: not JSON, or no object.
    """
    try:
        document = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise problem("body", body[:40], "must be JSON", str(error)[:200]) from None
    if not isinstance(document, dict):
        raise problem("body", document, "must be a JSON object", "send the provider's request format")
    return document


def load_answer(data: bytes) -> dict[str, Any] | None:
    """Parse a JSON object that a provider sent; None when it is none."""
    try:
        document = pydantic_core.from_json(data)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def dump(document: Mapping[str, Any]) -> bytes:
    """Serialise compactly. Always done anew: of a doubled key, the provider might take the other one."""
    return pydantic_core.to_json(document)


def refuse_unknown(document: Mapping[str, Any], allowed: frozenset[str]) -> None:
    """Let only fields pass that leave the price alone.

    Raises:
        Invalid: lists every other field.
    """
    unknown = [name for name in document if name not in allowed]
    if unknown:
        raise Invalid(
            [
                Problem(
                    path=name[:80],
                    value=repr(document[name])[:80],
                    rule="must be a field whose effect on the price is known",
                    fix="leave it out",
                )
                for name in unknown[:20]
            ]
        )


def refuse_other_types(path: str, items: object, allowed: frozenset[str], *, default: str) -> None:
    """Demand that a list holds objects of the allowed types only; `None` and plain text pass.

    Raises:
        Invalid: names the first item that breaks the rule.
    """
    if items is None or isinstance(items, str):
        return
    if not isinstance(items, list):
        raise problem(path, items, "must be text or a list", "send text")
    for index, item in enumerate(items):
        kind = item.get("type", default) if isinstance(item, dict) else None
        if kind not in allowed:
            names = ", ".join(sorted(allowed))
            raise problem(f"{path}.{index}.type", kind, f"must be one of {names}", "send text only")


def text_field(document: Mapping[str, Any], name: str) -> str:
    """Read a mandatory text field.

    Raises:
        Invalid: missing, empty or no text.
    """
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise problem(name, value, "must be a non-empty text", f"set {name}")
    return value


def flag_field(document: Mapping[str, Any], name: str) -> bool:
    """Read an optional boolean; absent and null are False.

    Raises:
        Invalid: neither true nor false.
    """
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise problem(name, value, "must be true or false", f"correct {name}")
    return bool(value)


def cap_output(document: dict[str, Any], names: Iterable[str], default: str, cap: int) -> int:
    """Hold a request's output limits to `cap`, set `default` when there is none; return the largest.

    Raises:
        Invalid: no whole number within bounds.
    """
    limits: list[int] = []
    for name in names:
        value = document.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_OUTPUT_TOKENS:
            raise problem(
                name, value, f"must be a whole number from 1 to {MAX_OUTPUT_TOKENS}", f"correct {name}"
            )
        document[name] = min(value, cap)
        limits.append(document[name])
    if not limits:
        document[default] = cap
    return max(limits, default=cap)


def token_bound(body: bytes) -> int:
    """Return a number of tokens that the prompt in `body` cannot exceed.

    A token holds at least one byte of the text. Some tokenizers normalise first (NFKC), which can make text
    up to eleven times longer, so the longer form counts.
    """
    if body.isascii():
        return len(body) + TEMPLATE_TOKENS
    normal = unicodedata.normalize("NFKC", body.decode("utf-8", "replace"))
    return max(len(body), len(normal.encode())) + TEMPLATE_TOKENS


def count(usage: Mapping[str, Any], name: str) -> int:
    """Read a token count; absent, null or nonsense is 0."""
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0

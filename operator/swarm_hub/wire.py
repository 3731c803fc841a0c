"""Bodies and errors of the hub's HTTP API."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Final, TypeVar

import pydantic_core
from aiohttp import web
from pydantic import BaseModel, ValidationError

from swarmrun.core.errors import Invalid, Problem, SwarmError

_M = TypeVar("_M", bound=BaseModel)
_FIXES: Final = {
    "missing": "add the field",
    "extra_forbidden": "remove the field",
    "json_invalid": "send valid JSON",
}


class BodyTooLargeError(SwarmError):
    """A request's body exceeds what its route takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body must have at most {limit} bytes; send less")
        self.limit = limit


async def read_body(request: web.Request, limit: int) -> bytes:
    """Read a body of at most `limit` bytes.

    Raises:
        BodyTooLargeError: it is longer; the rest is not read.
    """
    if (request.content_length or 0) > limit:
        raise BodyTooLargeError(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise BodyTooLargeError(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def parse(model: type[_M], body: bytes) -> _M:
    """Validate a JSON body.

    Raises:
        Invalid: lists every fault.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise Invalid(problems_of(error)) from None


def problems_of(error: ValidationError) -> list[Problem]:
    """Translate pydantic's findings, at most 50."""
    return [
        Problem(
            path=".".join(map(str, item["loc"])) or "body",
            value=repr(item["input"])[:80],
            rule=item["msg"],
            fix=_FIXES.get(item["type"], "correct the value"),
        )
        for item in error.errors(include_url=False, include_context=False)[:50]
    ]


def json_response(value: BaseModel, status: int = 200) -> web.Response:
    """Serialise a model."""
    return web.Response(body=pydantic_core.to_json(value), status=status, content_type="application/json")


def error_response(
    status: int,
    code: str,
    message: str,
    *,
    problems: tuple[Problem, ...] = (),
    retry_after: int | None = None,
) -> web.Response:
    """Error of the queue API: `{"error": {"code", "message", "problems": [{path, value, rule, fix}]}}`."""
    found = [p.model_dump() for p in problems]
    body = pydantic_core.to_json({"error": {"code": code, "message": message, "problems": found}})
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


def is_authorized(headers: Mapping[str, str], token: str) -> bool:
    """Compare the caller's token in constant time. Older Anthropic SDKs send it as `x-api-key`."""
    scheme, _, given = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        given = headers.get("x-api-key", "")
    return hmac.compare_digest(given.strip().encode(), token.encode())

"""The connection to the model provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

import aiohttp
from multidict import CIMultiDictProxy

from swarm_hub.dialects import Dialect, ModelCall
from swarmrun.core.errors import SwarmError

_CONNECT_SECONDS: Final = 15.0
_MAX_CONNECTIONS: Final = 512
#: Longest silence within an answer; models think for minutes before the first token.
_SILENCE_SECONDS: Final = 300.0
#: Headers of an answer that concern the caller. All others, hop-by-hop ones included, stay here.
_FORWARDED: Final = (
    "content-type",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "x-request-id",
    "request-id",
)
_FORWARDED_PREFIXES: Final = ("x-ratelimit-", "anthropic-ratelimit-")


class NotSentError(SwarmError):
    """The provider was not reached, so the call cannot have cost anything."""


class OutcomeUnknownError(SwarmError):
    """The call may have reached the provider; its answer did not reach us."""


class Upstream:
    """Sends calls to one provider. Redirects are not followed: the key goes to the configured host only."""

    def __init__(self, dialect: Dialect, base_url: str, key: str, *, deadline_seconds: float) -> None:
        self._dialect, self._key = dialect, key
        self._url = (base_url or dialect.default_base_url).rstrip("/") + dialect.endpoint
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(
                total=deadline_seconds, connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=True,  # clusters behind a proxy set HTTPS_PROXY
        )

    async def open(self, call: ModelCall, client: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Send a call and return its answer with the headers read.

        Raises:
            NotSentError: no connection was made.
            OutcomeUnknownError: the connection broke, or the deadline passed.
        """
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if call.stream else "application/json",
            "Accept-Encoding": "identity",  # the stream is read along with
            **self._dialect.headers(self._key, client),
        }
        try:
            return await self._session.post(self._url, data=call.body, headers=headers, allow_redirects=False)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise NotSentError(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OutcomeUnknownError(type(error).__name__) from error

    def without_key(self, body: bytes) -> bytes:
        """Blot out our own key, should the provider quote it."""
        return body.replace(self._key.encode(), b"[redacted]") if self._key else body

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def chunks_of(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the body as it comes.

    Raises:
        OutcomeUnknownError: it broke off.
    """
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise OutcomeUnknownError(type(error).__name__) from error


async def read_answer(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a whole answer of at most `limit` bytes.

    Raises:
        OutcomeUnknownError: it broke off or is longer.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in chunks_of(answer):
        size += len(chunk)
        if size > limit:
            raise OutcomeUnknownError(f"answer longer than {limit} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def forwarded_headers(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Select what of the provider's headers the caller gets."""
    return {
        name: value
        for name, value in headers.items()
        if name.lower() in _FORWARDED or name.lower().startswith(_FORWARDED_PREFIXES)
    }

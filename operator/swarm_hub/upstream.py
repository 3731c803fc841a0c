"""The connection to the model provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from swarm_hub.dialects import Dialect, ModelCall
from swarmrun.core.errors import SwarmError

_CONNECT_SECONDS: Final = 15.0
_MAX_CONNECTIONS: Final = 4096
#: Longest silence within an answer; models think for minutes before the first token.
SILENCE_SECONDS: Final = 300.0
#: What comes sooner after a write waits for company: every write costs the hub and the caller a system call,
#: and nobody reads a model's words faster.
_BEAT_SECONDS: Final = 0.05
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

    def __init__(
        self,
        dialect: Dialect,
        base_url: str,
        key: str,
        *,
        deadline_seconds: float,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._dialect, self._key = dialect, key
        self._url = URL((base_url or dialect.default_base_url).rstrip("/") + dialect.endpoint)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS),
            timeout=aiohttp.ClientTimeout(
                total=deadline_seconds, connect=_CONNECT_SECONDS, sock_read=silence_seconds
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy_for(self._url),
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
    """Yield the body as it comes, but no more often than the beat; its end is never waited for.

    Raises:
        OutcomeUnknownError: it broke off.
    """
    content, beat = answer.content, _Beat()
    content.on_eof(beat.end)
    try:
        while chunk := await content.readany():
            if beat.too_soon() and not content.is_eof():
                await beat.rest()
                chunk += content.read_nowait()
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise OutcomeUnknownError(type(error).__name__) from error


class _Beat:
    """Lets a write through at once when the last one is long past, else makes it wait for its turn."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._next = 0.0
        self._rest: asyncio.Future[None] | None = None

    def too_soon(self) -> bool:
        """Tell whether a write should rest; if not, the next beat counts from now."""
        now = self._loop.time()
        if now < self._next:
            return True
        self._next = now + _BEAT_SECONDS
        return False

    async def rest(self) -> None:
        """Wait for the next beat, or the end of what is read."""
        self._rest = self._loop.create_future()
        timer = self._loop.call_at(self._next, self.end)
        try:
            await self._rest
        finally:
            timer.cancel()
        self._next = self._loop.time() + _BEAT_SECONDS

    def end(self) -> None:
        """Rest no longer."""
        if self._rest is not None and not self._rest.done():
            self._rest.set_result(None)


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


def _proxy_for(url: URL) -> str | None:
    """Find the proxy that the environment sets for the provider; asked once, as it reads files and more."""
    if url.host is None or proxy_bypass(url.host):
        return None
    return getproxies().get(url.scheme)

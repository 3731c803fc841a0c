"""Callers that cost little: requests are ready bytes, answers are only looked at for their end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, cast

_END: Final = b"0\r\n\r\n"
_DONE: Final = b"data: [DONE]"
_SECONDS: Final = 120.0


@dataclass
class Seen:
    """What all callers saw. Gaps are seconds between two readings within a stream, the first one left out."""

    calls: int = 0
    failures: list[bytes] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)


class Caller(asyncio.Protocol):
    """One connection that makes one call after the other."""

    def __init__(self, seen: Seen, request: bytes, calls: int) -> None:
        self._seen, self._request, self._left = seen, request, calls
        self._tail = b""
        self._began = self._last = 0.0
        self._transport: asyncio.Transport
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make the first call."""
        self._transport = cast("asyncio.Transport", transport)
        self._call()

    def _call(self) -> None:
        if not self._left:
            self._transport.close()
            return
        self._left -= 1
        self._tail, self._last, self._began = b"", 0.0, time.monotonic()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Note the gap, and see whether the answer has ended."""
        now = time.monotonic()
        if self._last:
            self._seen.gaps.append(now - self._last)
        else:
            self._head = data[:200]
        self._last = now
        self._tail = self._tail[-64:] + data
        if self._tail.endswith(_END) or b" 200 " not in self._head:
            self._seen.durations.append(now - self._began)
            self._seen.calls += 1
            if _DONE not in self._tail[-64 - len(data) :]:
                self._seen.failures.append(self._head)
            self._call()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that this caller has ended."""
        if self._left:
            self._seen.failures.append(repr(exc).encode())
        if not self.finished.done():
            self.finished.set_result(None)


def request_bytes(path: str, token: str, body: bytes) -> bytes:
    """Render a call."""
    head = f"POST {path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def drive(port: int, requests: list[bytes], calls_each: int) -> Seen:
    """Let one caller per request make `calls_each` calls, all at the same time."""
    seen, loop = Seen(), asyncio.get_running_loop()
    callers: list[Caller] = []
    for request in requests:

        def caller(request: bytes = request) -> Caller:
            return Caller(seen, request, calls_each)

        _, made = await loop.create_connection(caller, "127.0.0.1", port)
        callers.append(made)
    async with asyncio.timeout(_SECONDS):
        await asyncio.gather(*(each.finished for each in callers))
    return seen

"""python -m hubbench.upstream PORT CHUNKS GAP_MS: a provider that does nothing but stream.

It speaks just enough HTTP/1.1 to cost little beside the hub: every POST is answered by CHUNKS events of a
chat completion, each a write of its own and GAP_MS milliseconds apart (0: back to back), then stop reason and
usage.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Final, cast

import uvloop

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def _event(choices: list[dict[str, object]], usage: dict[str, int] | None = None) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "local"}
    return _framed(json.dumps({**chunk, "choices": choices, "usage": usage}, separators=(",", ":")))


def _framed(data: str) -> bytes:
    text = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(text), text)


_DELTA: Final = _event([{"index": 0, "delta": {"content": "return await repository.find"}}])
_END: Final = (
    _event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    + _event([], {"prompt_tokens": 4000, "completion_tokens": 30, "total_tokens": 4030})
    + _framed("[DONE]")
    + b"0\r\n\r\n"
)


class Provider(asyncio.Protocol):
    """One connection."""

    def __init__(self, chunks: int, gap: float) -> None:
        self._chunks, self._gap = chunks, gap
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer once the body is whole."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if found and len(body) >= _length_in(head):
            self._buffer = b""
            self._transport.write(_HEAD)
            self._send(self._chunks)

    def _send(self, left: int) -> None:
        if not left:
            self._transport.write(_END)
        elif self._gap:
            self._transport.write(_DELTA)
            asyncio.get_running_loop().call_later(self._gap, self._send, left - 1)
        else:
            for _ in range(left):
                self._transport.write(_DELTA)
            self._transport.write(_END)


def _length_in(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _serve(port: int, chunks: int, gap: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Provider(chunks, gap), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))

"""A TCP proxy in front of a server, which breaks connections in the ways networks do, and reads nothing."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

_CHUNK: Final = 65_536


class Fault(StrEnum):
    """What happens to the next request on any connection."""

    #: Nothing.
    NONE = "none"
    #: The connection ends before the request is passed on.
    DROP = "drop"
    #: The request is late, but within the client's patience.
    DELAY = "delay"
    #: The request is accepted, never passed on, never answered.
    HALF_OPEN = "half-open"
    #: The request is passed on, its reply swallowed, the connection ended.
    LOSE_REPLY = "lose reply"
    #: The request is passed on and never answered; the connection stays.
    SILENCE = "silence"
    #: The request is passed on, half of its reply comes back, then the connection ends.
    CUT_REPLY = "cut reply"
    #: The request is kept, and passed on when `release` is called: after it was repeated.
    LATE = "late"


#: Faults whose request has taken effect when the client hears of the failure.
EXECUTED: Final = frozenset({Fault.LOSE_REPLY, Fault.SILENCE, Fault.CUT_REPLY})


@dataclass(eq=False)
class _Link:
    """A client's connection and ours to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    up_reader: asyncio.StreamReader
    up_writer: asyncio.StreamWriter

    def close(self, *, upstream: bool) -> None:
        self.writer.close()
        if upstream:
            self.up_writer.close()


@dataclass
class Proxy:
    """Listens on a free port of 127.0.0.1. `arm` breaks one request; others pass."""

    server: Path
    delay: float = 0.05
    port: int = 0
    _armed: Fault = Fault.NONE
    _listener: asyncio.Server | None = None
    _kept: list[tuple[_Link, bytes]] = field(default_factory=list)
    _links: set[_Link] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_CHUNK)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for link in list(self._links):
            link.close(upstream=True)
        if self._listener is not None:
            self._listener.close()

    def arm(self, fault: Fault) -> None:
        """Break the next request."""
        self._armed = fault

    async def release(self) -> None:
        """Pass on what LATE has kept, and wait until the server has answered it."""
        while self._kept:
            link, request = self._kept.pop()
            link.up_writer.write(request)
            await link.up_writer.drain()
            await link.up_reader.read(_CHUNK)
            link.close(upstream=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            link = _Link(reader, writer, *await asyncio.open_unix_connection(str(self.server)))
            self._links.add(link)
            replies = asyncio.create_task(_pump(link.up_reader, writer))
            try:
                await self._pass_on(link, replies)
            finally:
                replies.cancel()
                self._links.discard(link)
                link.close(upstream=not any(link is kept for kept, _ in self._kept))

    async def _pass_on(self, link: _Link, replies: asyncio.Task[None]) -> None:
        while request := await link.reader.read(_CHUNK):
            fault, self._armed = self._armed, Fault.NONE
            if fault not in {Fault.NONE, Fault.DELAY}:
                replies.cancel()
                await asyncio.wait([replies])
                await self._break(fault, request, link)
                return
            if fault is Fault.DELAY:
                await asyncio.sleep(self.delay)
            link.up_writer.write(request)
            await link.up_writer.drain()

    async def _break(self, fault: Fault, request: bytes, link: _Link) -> None:
        if fault is Fault.LATE:
            self._kept.append((link, request))
        if fault in EXECUTED:
            link.up_writer.write(request)
            reply = await link.up_reader.read(_CHUNK)
            if fault is Fault.CUT_REPLY:
                link.writer.write(reply[: len(reply) // 2])
                await link.writer.drain()
        if fault in {Fault.HALF_OPEN, Fault.SILENCE, Fault.LATE}:
            # Until the client loses patience.
            while await link.reader.read(_CHUNK):
                pass


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()

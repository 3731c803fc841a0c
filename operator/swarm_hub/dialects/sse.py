"""Server-sent events, as much of them as metering needs."""

from __future__ import annotations

from typing import Final

#: No provider's event is longer; a longer line ends the metering, and with it the chance of a known usage.
MAX_LINE: Final = 1_048_576


class Lines:
    """Cuts a byte stream into blocks of whole lines; those that hold nothing to meter stay whole."""

    def __init__(self) -> None:
        self._tail = b""
        self.overflowed = False

    def feed(self, chunk: bytes) -> bytes:
        """Return the lines that the chunk completes; empty when there is none."""
        if self.overflowed:
            return b""
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._tail += chunk
            block = b""
        else:
            block = self._tail + chunk[:end]
            self._tail = chunk[end:]
        if len(self._tail) > MAX_LINE:
            self._tail, self.overflowed = b"", True
        return block


def payloads(block: bytes, start: int = 0) -> list[bytes]:
    """Return the payloads of the `data:` lines of a block, from the line that holds the byte at `start`."""
    begin = block.rfind(b"\n", 0, start) + 1
    return [line[5:].strip() for line in block[begin:].split(b"\n") if line.startswith(b"data:")]

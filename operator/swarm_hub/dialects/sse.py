"""Server-sent events, as much of them as metering needs."""

from __future__ import annotations

from typing import Final

#: No provider's event is longer; a longer line ends the metering, and with it the chance of a known usage.
MAX_LINE: Final = 1_048_576


class DataLines:
    """Cut a byte stream into the payloads of its `data:` lines."""

    def __init__(self) -> None:
        self._tail = b""
        self.overflowed = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the payloads that the chunk completes."""
        if self.overflowed:
            return []
        lines = (self._tail + chunk).split(b"\n")
        self._tail = lines.pop()
        if len(self._tail) > MAX_LINE:
            self._tail, self.overflowed = b"", True
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]

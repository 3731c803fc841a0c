"""The record of acknowledged transitions: written by many processes, read by the parent.

A line is one write(2) on a file opened for appending, so that it outlives the process that wrote it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, Self

#: Transitions whose reply OK is an acknowledged write.
WRITES: Final = frozenset({"claim", "submit", "land", "release", "fail", "reject", "send_back"})
#: A claim that begins, and may never be answered.
CLAIMING: Final = "claiming"
_SUFFIX: Final = ".acks"


class Ack(NamedTuple):
    """One answered call: when it began and ended by the machine's monotonic clock, and what was said.

    `what`: a name of `WRITES`, `heartbeat` or `CLAIMING`. `detail`: the commit of a landing.
    """

    began: float
    ended: float
    pod: str
    what: str
    run: str
    task: str
    token: str
    reply: str
    detail: str = ""

    def line(self) -> str:
        """Render it."""
        times = f"{self.began:.6f}\t{self.ended:.6f}"
        return "\t".join((times, *map(str, self[2:]))) + "\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read it back."""
        began, ended, *rest = line.rstrip("\n").split("\t")
        return cls(float(began), float(ended), *rest)


class Journal:
    """The journal of one process. `batch`: lines per write; 1 for processes that are killed."""

    def __init__(self, folder: Path, name: str, *, batch: int = 1) -> None:
        self._file = os.open(folder / f"{name}{_SUFFIX}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._batch, self._lines = batch, list[str]()

    def add(self, ack: Ack) -> None:
        """Append one answer."""
        self._lines.append(ack.line())
        if len(self._lines) >= self._batch:
            self.flush()

    def flush(self) -> None:
        """Write what is kept back."""
        if self._lines:
            os.write(self._file, "".join(self._lines).encode())
            self._lines.clear()


class Reader:
    """Reads what is new in all journals of a folder, whole lines only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}

    def new(self) -> list[Ack]:
        """Return the answers since the last call, those of one process in order."""
        found: list[Ack] = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                whole = file.read().rpartition(b"\n")[0]
            if whole:
                self._offsets[path] = self._offsets.get(path, 0) + len(whole) + 1
                found += map(Ack.parse, whole.decode().split("\n"))
        return found


def acknowledged(acks: Iterable[Ack]) -> int:
    """Count the acknowledged writes."""
    return sum(ack.reply == "OK" and ack.what in WRITES for ack in acks)

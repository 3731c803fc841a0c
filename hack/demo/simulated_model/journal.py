"""What was asked and answered, without any text or key."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

_KEPT = 20_000


@dataclass(frozen=True)
class Entry:
    """One request."""

    number: int
    dialect: str
    model: str
    status: int
    task_id: str = ""
    type: str = ""
    attempt: int = 0
    round: int = 0
    fault: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class Journal:
    """The last requests, and counts of all."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_KEPT)
        self._seen: Counter[tuple[str, int, int]] = Counter()
        self._numbers = 0
        self.faults: Counter[str] = Counter()

    def number(self) -> int:
        """Give the next request its number, from 1."""
        self._numbers += 1
        return self._numbers

    def seen(self, task_id: str, attempt: int, round_: int) -> int:
        """Count this request, and tell how many came before it for the same round."""
        key = (task_id, attempt, round_)
        self._seen[key] += 1
        return self._seen[key] - 1

    def add(self, entry: Entry) -> None:
        """Write down one request."""
        self._entries.append(entry)
        if entry.fault:
            self.faults[entry.fault] += 1

    def report(self) -> dict[str, Any]:
        """Give everything as JSON values."""
        return {
            "requests": self._numbers,
            "inputTokens": sum(e.input_tokens for e in self._entries),
            "outputTokens": sum(e.output_tokens for e in self._entries),
            "faults": dict(sorted(self.faults.items())),
            "entries": [asdict(e) for e in self._entries],
        }

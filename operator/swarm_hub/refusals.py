"""What the provider has refused before. The same words again cost time, and sometimes the account."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from swarm_hub.dialects import ModelCall

#: Statuses that judge the request itself: malformed, too long, against a policy.
_JUDGED: Final = frozenset({400, 413, 422})
#: Words for an answer that a policy has stopped: OpenAI, Anthropic.
_STOPS: Final = frozenset({"content_filter", "refusal"})
_REMEMBERED: Final = 1024


class Refusals:
    """Remembers requests by their digest; nothing is digested while nothing was refused."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, str] = OrderedDict()

    def before(self, call: ModelCall) -> str | None:
        """Return how this very request was refused before, or None."""
        return self._seen.get(_digest(call)) if self._seen else None

    def answered(self, call: ModelCall, status: int) -> None:
        """Learn from the status of an answer."""
        if status in _JUDGED:
            self._remember(call, f"HTTP {status}")

    def stopped(self, call: ModelCall, reason: str) -> None:
        """Learn from the stop reason of an answer."""
        if reason in _STOPS:
            self._remember(call, reason)

    def _remember(self, call: ModelCall, how: str) -> None:
        self._seen[_digest(call)] = how
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)


def _digest(call: ModelCall) -> bytes:
    return hashlib.blake2b(call.body, digest_size=16).digest()

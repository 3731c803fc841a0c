"""Whether the provider takes our calls, and what the run is told about it.

    unproven ──2xx──▶ proven
        └──401, 403, 404, no credit──▶ refused ──the process ends; it comes back unproven with the Secret's
                                                 current value──▶
        refused ──a look after a while, while another credential serves, 2xx──▶ proven

While unproven, one call goes out at a time: a hundred agents with a revoked key make one call per start of
the hub. Once refused, calls are answered from memory.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final

from swarm_hub.background import Background, persist
from swarm_hub.dialects.base import load_answer
from swarmrun.core.errors import Stalled
from swarmrun.core.task import Frozen
from swarmrun.queue.port import Signal
from swarmrun.telemetry import redact

_MESSAGE_LIMIT: Final = 300
#: Codes and words of OpenAI and Anthropic for an empty account; a mere rate limit does not use them.
_NO_CREDIT: Final = re.compile(
    r"insufficient_quota|billing_not_active|credit balance is too low", re.IGNORECASE
)
_SERVER_ERROR: Final = 500
_FREE: Final = nullcontext()
#: A signal that is not delivered stops the run or hides why it stands: keep trying for some three hours.
_SIGNAL_ATTEMPTS: Final = 1000


class Refusal(Frozen):
    """Why the provider takes no calls."""

    status: int
    reason: str
    message: str


class ProviderRefused(Stalled):
    """The provider has refused before; the call was not made."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason, refusal.message)
        self.refusal = refusal


def refusal_of(status: int, body: bytes, secret: str) -> Refusal | None:
    """Judge an error answer: a refusal that only a person can lift, or None for one that passes by itself."""
    text = body.decode("utf-8", "replace")
    reason = _reason(status, text)
    if reason is None:
        return None
    said = " ".join(_message_in(body, text).split()) or f"HTTP {status} without a message"
    hidden = said.replace(secret, "[redacted]") if secret else said
    return Refusal(status=status, reason=reason, message=redact(hidden)[:_MESSAGE_LIMIT])


def _message_in(body: bytes, text: str) -> str:
    """Both dialects say `{"error": {"message": …}}`; others may say anything."""
    error = (load_answer(body) or {}).get("error")
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else text


def _reason(status: int, text: str) -> str | None:
    if status in {401, 403}:
        return "ProviderUnauthorized"
    if status == 404:  # noqa: PLR2004 — HTTP's own number
        return "ModelNotFound"
    if status == 402 or (status in {400, 429} and _NO_CREDIT.search(text)):  # noqa: PLR2004 — HTTP's own numbers
        return "ProviderQuotaExhausted"
    return None


class ProviderHealth:
    """Keeps the verdict of this process and reports it under the component `provider`."""

    def __init__(
        self,
        signal: Callable[[str, Signal], Awaitable[None]],
        background: Background,
        secret: str,
        *,
        look_again_seconds: float = math.inf,
    ) -> None:
        self._signal, self._background, self._secret = signal, background, secret
        self._look_again, self._look_at = look_again_seconds, math.inf
        self._probe, self._reporting = asyncio.Lock(), asyncio.Lock()
        self._proven = self._announced = self._unpriced = False
        self._refusal: Refusal | None = None
        #: Set once the provider has refused.
        self.refused = asyncio.Event()

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Span a call until its status is known; alone, while the provider is unproven.

        Raises (here or on entering):
            ProviderRefused: the provider has refused an earlier call.
        """
        if (now := asyncio.get_running_loop().time()) >= self._look_at:
            self._look_at = now + self._look_again
            return _FREE  # this one call looks; the others stay refused
        self._check()
        return _FREE if self._proven else self._alone()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        async with self._probe:
            self._check()
            if not self._proven:
                yield
                return
        yield

    def begin(self) -> None:
        """Let claims go on after a restart, whatever an earlier process reported."""
        self._report(Signal(ok=True, reason="Probing"))

    def succeeded(self) -> None:
        """The provider took a call."""
        self._proven = True
        if self.refused.is_set() and self._look_at < math.inf:
            self._refusal, self._announced, self._look_at = None, False, math.inf
            self.refused.clear()
        if not (self._refusal or self._unpriced or self._announced):
            self._announced = True
            self._report(Signal(ok=True, reason="Available"))

    def failed(self, status: int, body: bytes) -> Refusal | None:
        """The provider answered a call with an error; return its refusal, if it is one."""
        refusal = refusal_of(status, body, self._secret)
        if refusal is not None:
            self._look_at = asyncio.get_running_loop().time() + self._look_again
            self.refuse(refusal)
        elif status < _SERVER_ERROR:
            self._proven = (
                True  # a rate limit or a complaint about the prompt comes after the key was accepted
            )
        return refusal

    def refuse(self, refusal: Refusal) -> None:
        """Take no more calls, and say so. The first reason stays."""
        if self._refusal is None:
            self._refusal = refusal
            self._report(Signal(ok=False, reason=refusal.reason, message=refusal.message))
            self.refused.set()

    def report_unpriced(self, message: str) -> None:
        """Say that a model has no price. Only a new configuration, and with it a new hub, mends that."""
        self._unpriced = True
        self._report(Signal(ok=False, reason="PriceUnknown", message=message[:_MESSAGE_LIMIT]))

    def _check(self) -> None:
        if self._refusal is not None:
            raise ProviderRefused(self._refusal)

    def _report(self, signal: Signal) -> None:
        self._background.spawn(self._send(signal))

    async def _send(self, signal: Signal) -> None:
        async with self._reporting:  # in order: a late "Available" must not cover a refusal
            await persist(lambda: self._signal("provider", signal), attempts=_SIGNAL_ATTEMPTS)

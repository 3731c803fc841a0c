"""Money around one model call: hold the worst case, call, settle. Whatever happens, exactly once."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from swarm_hub.admission import Admission, Held, Worst
from swarm_hub.background import STORE_ERRORS, Background, persist
from swarm_hub.metrics import HubMetrics
from swarmrun.core.errors import SwarmError
from swarmrun.core.money import format_usd
from swarmrun.core.pricing import Price, TokenUsage, cost_micro_usd
from swarmrun.core.task import Lease, TaskType
from swarmrun.queue.port import ReserveOutcome, Usage, WorkQueue

_LOG: Final = logging.getLogger(__name__)
#: Seconds that a hold lives without being renewed: so long the money of a dead hub's calls is neither spent
#: nor free. A hold that expires counts as spent; a usage that arrives after that corrects it.
HOLD_SECONDS: Final = 120
_RENEWALS_PER_LIFE: Final = 3


class CallRefusedError(SwarmError):
    """The call is not made. `status` and `code` are those of docs/contracts.md."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after


@dataclass(frozen=True, slots=True)
class Purchase:
    """What is about to be bought, and for which task."""

    lease: Lease
    model: str
    task_type: str
    price: Price
    worst_micro_usd: int
    worst_tokens: int


class Hold:
    """A reservation, a context; leaving it settles.

    Set `may_cost` before the call goes out, and unset it when nothing was billed for certain. Set `usage`
    once it is stated; of a call that may cost, unknown usage spends the whole hold.
    """

    def __init__(self, ledger: Ledger, purchase: Purchase) -> None:
        self._ledger, self.purchase = ledger, purchase
        self.call_id = uuid.uuid4().hex
        self.usage: TokenUsage | None = None
        self.may_cost = False
        self.closed = False
        self.renewal: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._ledger.open(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._ledger.close(self)


class Ledger:
    """Makes holds, keeps them alive and ends them."""

    def __init__(
        self,
        queue: WorkQueue,
        admission: Admission,
        metrics: HubMetrics,
        background: Background,
        *,
        hold_seconds: int = HOLD_SECONDS,
    ) -> None:
        self._queue, self._admission = queue, admission
        self._metrics, self._background = metrics, background
        self._ttl = hold_seconds

    def hold(self, purchase: Purchase) -> Hold:
        """Return a context that holds the worst case of a call.

        Raises (on entering):
            CallRefusedError: no budget, no lease, or the run is paused.
        """
        return Hold(self, purchase)

    async def open(self, hold: Hold) -> None:
        """Reserve; see `hold`."""
        purchase = hold.purchase
        outcome = await self._admission.reserve(
            hold.call_id,
            purchase.lease,
            Worst(
                micro_usd=purchase.worst_micro_usd,
                tokens=purchase.worst_tokens,
                fix=purchase.task_type == TaskType.FIX_BUG,
            ),
            model=purchase.model,
            ttl_seconds=self._ttl,
        )
        if outcome is not ReserveOutcome.RESERVED:
            raise _refusal(outcome, purchase)
        self._renew_later(hold)

    async def close(self, hold: Hold) -> None:
        """End a hold, once; survives the cancellation of the caller and a short absence of the store."""
        if hold.closed:
            return
        hold.closed = True
        if hold.renewal is not None:
            hold.renewal.cancel()
        try:
            await self._settle(hold)
        except asyncio.CancelledError:
            # Settling is idempotent by the call's id.
            self._background.spawn(self._settle(hold))
            raise

    def _renew_later(self, hold: Hold) -> None:
        loop = asyncio.get_running_loop()
        hold.renewal = loop.call_later(self._ttl / _RENEWALS_PER_LIFE, self._renew_now, hold)

    def _renew_now(self, hold: Hold) -> None:
        self._background.spawn(self._renew(hold))
        self._renew_later(hold)

    async def _renew(self, hold: Hold) -> None:
        try:
            await self._queue.renew_reservation(hold.call_id, ttl_seconds=self._ttl)
        except STORE_ERRORS as error:
            _LOG.warning("a hold was not renewed; trying again", extra={"error": type(error).__name__})

    async def _settle(self, hold: Hold) -> None:
        try:
            if not hold.may_cost:
                await persist(lambda: self._queue.cancel_reservation(hold.call_id))
            else:
                usage = _priced(hold)
                await persist(lambda: self._queue.settle(hold.call_id, usage))
                self._count(hold, usage)
        except STORE_ERRORS as error:
            # The hold stays until it expires, and then counts as spent: dearer than it was, never cheaper.
            _LOG.warning("a call was not settled", extra={"error": type(error).__name__})
        self._admission.settled()

    def _count(self, hold: Hold, usage: Usage | None) -> None:
        purchase = hold.purchase
        cost = purchase.worst_micro_usd if usage is None else usage.cost_micro_usd
        if cost > purchase.worst_micro_usd:
            _LOG.error(
                "a call cost more than its reservation",
                extra={"model": purchase.model, "cost": cost, "reserved": purchase.worst_micro_usd},
            )
        self._metrics.spent(purchase.model, purchase.task_type, cost, hold.usage)


def _priced(hold: Hold) -> Usage | None:
    usage = hold.usage
    if usage is None:
        return None
    return Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens + usage.cache_write_long_tokens,
        output_tokens=usage.output_tokens,
        cost_micro_usd=cost_micro_usd(hold.purchase.price, usage),
    )


def _refusal(outcome: ReserveOutcome | Held, purchase: Purchase) -> CallRefusedError:
    worst = format_usd(purchase.worst_micro_usd)
    if outcome is ReserveOutcome.BUDGET:
        return CallRefusedError(
            402,
            "budget_exhausted",
            f"the call may cost up to ${worst} and {purchase.worst_tokens} tokens, more than the budget has "
            "left for it; raise spec.budget.maxCostUSD or spec.budget.maxTokens",
        )
    if outcome is Held.HELD:
        return CallRefusedError(
            503,
            "budget_held",
            f"the call may cost up to ${worst}, and calls in flight hold what is left; come again",
            retry_after=5,
        )
    if outcome is ReserveOutcome.PAUSED:
        return CallRefusedError(503, "run_paused", "the run is paused; give the claim back", retry_after=30)
    return CallRefusedError(
        409, "stale_lease", "the lease has ended or belongs to another agent; drop the task"
    )

"""The ledger in memory: holds, settlements, and sums that never pass the limit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto

from swarmrun.core.task import Reply, TaskType
from swarmrun.queue.port import Totals, Usage
from swarmrun.queue.rules import CostLine


class CallState(Enum):
    """What became of a reservation."""

    HELD = auto()
    EXPIRED = auto()
    SETTLED = auto()
    CANCELLED = auto()


@dataclass
class Call:
    """One reservation."""

    amount: int
    task_id: str
    task_type: TaskType
    model: str
    deadline: float
    state: CallState = CallState.HELD


@dataclass
class Ledger:
    """The sums are derived from the calls but for `spent`, which outlives them."""

    limit: int = 0
    spent: int = 0
    calls: dict[str, Call] = field(default_factory=dict)
    #: The smallest worst case refused since the last time there was room; None when there is no stop.
    refused: int | None = None
    tokens: Counter[str] = field(default_factory=Counter)
    cost: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    by_task: Counter[str] = field(default_factory=Counter)

    @property
    def reserved(self) -> int:
        """The sum of all holds."""
        return sum(call.amount for call in self.calls.values() if call.state is CallState.HELD)

    def set_limit(self, limit: int) -> None:
        """Set the limit; a higher one ends the stop."""
        limit = max(limit, self.spent + self.reserved)
        if limit > self.limit:
            self.refused = None
        self.limit = limit

    def hold(self, call_id: str, call: Call) -> bool:
        """Hold the amount if it fits; remember the refusal if not."""
        if self.spent + self.reserved + call.amount > self.limit:
            self.refused = call.amount if self.refused is None else min(self.refused, call.amount)
            return False
        self.calls[call_id] = call
        return True

    def expire(self, now: float, limit: int) -> int:
        """Charge expired holds whole: a frozen caller may still spend them."""
        due = sorted(
            (call.deadline, call_id)
            for call_id, call in self.calls.items()
            if call.state is CallState.HELD and call.deadline <= now
        )[:limit]
        for _, call_id in due:
            self._charge_whole(self.calls[call_id], CallState.EXPIRED)
        return len(due)

    def settle(self, call_id: str, usage: Usage | None) -> Reply:
        """Replace the hold, or the charge of an expired one, by the real cost."""
        call = self.calls.get(call_id)
        if call is None:
            return Reply.STALE
        correctable = call.state is CallState.EXPIRED and usage is not None
        if call.state is not CallState.HELD and not correctable:
            return Reply.DUP
        if usage is None:
            self._charge_whole(call, CallState.SETTLED)
        else:
            if correctable:
                self._charge(call, -call.amount, calls=-1, unknown=-1)
            call.state = CallState.SETTLED
            self._charge(call, usage.cost_micro_usd, calls=1)
            self._count(call, usage)
        self._reconsider()
        return Reply.OK

    def cancel(self, call_id: str) -> Reply:
        """Free the hold, or undo the charge of an expired one."""
        call = self.calls.get(call_id)
        if call is None or call.state is CallState.SETTLED:
            return Reply.STALE
        if call.state is CallState.CANCELLED:
            return Reply.DUP
        if call.state is CallState.EXPIRED:
            self._charge(call, -call.amount, calls=-1, unknown=-1)
        call.state = CallState.CANCELLED
        self._reconsider()
        return Reply.OK

    def totals(self) -> Totals:
        """Show the sums."""
        return Totals(
            limit_micro_usd=self.limit,
            spent_micro_usd=self.spent,
            reserved_micro_usd=self.reserved,
            tokens_in=self.tokens["in"],
            tokens_out=self.tokens["out"],
            tokens_cached=self.tokens["cached"],
            calls=self.tokens["calls"],
            exhausted=self.refused is not None,
        )

    def breakdown(self) -> tuple[CostLine, ...]:
        """Show what each model cost for each task type."""
        return tuple(
            CostLine.model_validate({"model": model, "task_type": kind, **counts})
            for (model, kind), counts in sorted(self.cost.items())
        )

    def _reconsider(self) -> None:
        if self.refused is not None and self.spent + self.reserved + self.refused <= self.limit:
            self.refused = None

    def _charge_whole(self, call: Call, state: CallState) -> None:
        call.state = state
        self._charge(call, call.amount, calls=1, unknown=1)

    def _charge(self, call: Call, amount: int, *, calls: int, unknown: int = 0) -> None:
        self.spent += amount
        self.by_task[call.task_id] += amount
        self.tokens["calls"] += calls
        line = self.cost.setdefault((call.model, call.task_type.value), Counter())
        line["cost_micro_usd"] += amount
        line["calls"] += calls
        line["unknown"] += unknown

    def _count(self, call: Call, usage: Usage) -> None:
        self.tokens["in"] += usage.input_tokens + usage.cache_write_tokens
        self.tokens["cached"] += usage.cache_read_tokens
        self.tokens["out"] += usage.output_tokens
        line = self.cost[call.model, call.task_type.value]
        line["input_tokens"] += usage.input_tokens
        line["cache_read_tokens"] += usage.cache_read_tokens
        line["cache_write_tokens"] += usage.cache_write_tokens
        line["output_tokens"] += usage.output_tokens

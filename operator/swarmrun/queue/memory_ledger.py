"""The ledger in memory: holds, settlements, and sums that never pass the limit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf

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
    worst_tokens: int
    task_id: str
    task_type: TaskType
    model: str
    deadline: float
    state: CallState = CallState.HELD

    @property
    def fix(self) -> bool:
        """Tell whether it is for a repair."""
        return self.task_type is TaskType.FIX_BUG


@dataclass
class Ledger:
    """The sums are derived from the calls but for `spent`, which outlives them."""

    limit: int = 0
    fix_reserve: int = 0
    max_tokens: int | None = None
    spent: int = 0
    calls: dict[str, Call] = field(default_factory=dict)
    #: By whether it is of repairs: the smallest worst cases (money, tokens) refused since there was room.
    refused: dict[bool, tuple[int, int]] = field(default_factory=dict)
    tokens: Counter[str] = field(default_factory=Counter)
    cost: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    by_task: Counter[str] = field(default_factory=Counter)

    @property
    def reserved(self) -> int:
        """The sum of all holds."""
        return sum(call.amount for call in self.calls.values() if call.state is CallState.HELD)

    @property
    def tokens_committed(self) -> int:
        """All tokens that are spent or held."""
        held = sum(call.worst_tokens for call in self.calls.values() if call.state is CallState.HELD)
        return held + sum(self.tokens[name] for name in ("in", "cached", "out", "unknown"))

    def seed(self, known: Totals) -> None:
        """Raise the sums to what is known to be spent or was in flight."""
        self.spent = max(self.spent, known.spent_micro_usd + known.reserved_micro_usd - self.reserved)
        inward = known.tokens_in + known.tokens_cached - self.tokens["cached"]
        unknown = known.tokens_unknown + known.reserved_tokens
        least = {"in": inward, "out": known.tokens_out, "unknown": unknown, "calls": known.calls}
        for name, count in least.items():
            self.tokens[name] = max(self.tokens[name], count)

    def set_limit(self, limit: int, max_tokens: int | None, fix_reserve: int) -> None:
        """Set the limits; more of anything ends the stop."""
        limit = max(limit, self.spent + self.reserved)
        before, after = (inf if most is None else most for most in (self.max_tokens, max_tokens))
        if limit > self.limit or after > before or fix_reserve < self.fix_reserve:
            self.refused = {}
        self.limit, self.max_tokens, self.fix_reserve = limit, max_tokens, fix_reserve

    def _fits(self, amount: int, tokens: int, *, fix: bool) -> bool:
        limit = self.limit if fix else self.limit - self.fix_reserve
        most = inf if self.max_tokens is None else self.max_tokens
        return self.spent + self.reserved + amount <= limit and self.tokens_committed + tokens <= most

    def hold(self, call_id: str, call: Call) -> bool:
        """Hold the amount if it fits; remember the refusal if not."""
        if not self._fits(call.amount, call.worst_tokens, fix=call.fix):
            least, fewest = self.refused.get(call.fix, (call.amount, call.worst_tokens))
            self.refused[call.fix] = min(least, call.amount), min(fewest, call.worst_tokens)
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

    def renew(self, call_id: str, deadline: float) -> Reply:
        """Prolong a hold; one that expired was charged."""
        call = self.calls.get(call_id)
        if call is None or call.state is not CallState.HELD:
            return Reply.STALE
        call.deadline = deadline
        return Reply.OK

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
                self._uncharge_whole(call)
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
            self._uncharge_whole(call)
        call.state = CallState.CANCELLED
        self._reconsider()
        return Reply.OK

    def totals(self) -> Totals:
        """Show the sums."""
        return Totals(
            limit_micro_usd=self.limit,
            fix_reserve_micro_usd=self.fix_reserve,
            spent_micro_usd=self.spent,
            reserved_micro_usd=self.reserved,
            max_tokens=self.max_tokens,
            tokens_in=self.tokens["in"],
            tokens_out=self.tokens["out"],
            tokens_cached=self.tokens["cached"],
            tokens_unknown=self.tokens["unknown"],
            reserved_tokens=sum(c.worst_tokens for c in self.calls.values() if c.state is CallState.HELD),
            calls=self.tokens["calls"],
            exhausted=bool(self.refused),
            exhausted_for_fixes=True in self.refused,
        )

    def breakdown(self) -> tuple[CostLine, ...]:
        """Show what each model cost for each task type."""
        return tuple(
            CostLine.model_validate({"model": model, "task_type": kind, **counts})
            for (model, kind), counts in sorted(self.cost.items())
        )

    def _reconsider(self) -> None:
        self.refused = {fix: worst for fix, worst in self.refused.items() if not self._fits(*worst, fix=fix)}

    def _uncharge_whole(self, call: Call) -> None:
        self.tokens["unknown"] -= call.worst_tokens
        self._charge(call, -call.amount, calls=-1, unknown=-1)

    def _charge_whole(self, call: Call, state: CallState) -> None:
        call.state = state
        self.tokens["unknown"] += call.worst_tokens
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

"""The hub's side of the queue in memory."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress

from swarmrun.core.task import (
    AFFINITY,
    FINAL,
    ChangeSet,
    Failure,
    Lease,
    Reply,
    TaskState,
    TaskType,
    specialization_of,
)
from swarmrun.queue import rules
from swarmrun.queue.memory_base import MemorySide
from swarmrun.queue.memory_ledger import Call
from swarmrun.queue.memory_state import Agent, Record
from swarmrun.queue.port import (
    AgentView,
    Claimed,
    Empty,
    EmptyReason,
    ReserveOutcome,
    RunState,
    Totals,
    Usage,
)
from swarmrun.queue.rules import CostLine, QueueClosed, QueueFull


class MemoryWork(MemorySide):
    """Implements `WorkQueue`."""

    async def register(self, pod: str) -> AgentView:
        """Give the pod the lowest free index, idempotent.

        Raises:
            QueueClosed: the run is not open.
            QueueFull: no index is free.
        """
        if self._state.epoch is None:
            raise QueueClosed("the run's queue is not open")
        return self._register(pod).view()

    def _register(self, pod: str) -> Agent:
        now, agents = self._now(), self._state.agents
        if pod not in agents:
            by_index = {agent.index: agent for agent in agents.values()}
            for index in range(rules.MAX_AGENTS):
                holder = by_index.get(index)
                if holder is None:
                    agents[pod] = Agent(index, pod, now)
                    break
                if holder.seen < now - rules.AGENT_GONE_SECONDS:
                    agents[pod] = agents.pop(holder.pod)
                    agents[pod].pod = pod
                    break
            else:
                raise QueueFull(f"all {rules.MAX_AGENTS} agent indexes are taken")
        agents[pod].seen = now
        return agents[pod]

    async def claim(self, pod: str, *, ttl_seconds: int) -> Claimed | Empty:
        """Take the best task. A lease that the pod still holds goes back first: its answer was lost."""
        if self._state.epoch is None:
            return Empty(reason=EmptyReason.PAUSED)
        self._reap_leases(rules.REAP_PER_CLAIM)
        agent = self._register(pod)
        if agent.task:
            self._state.give_back(self._state.tasks[agent.task], self._now())
        ready = [record for record in self._state.tasks.values() if record.state is TaskState.READY]
        totals = self._ledger.totals()
        if totals.exhausted:
            ready = [record for record in ready if record.task.type is TaskType.FIX_BUG]
        reason = self._why_nothing(broke=totals.exhausted_for_fixes or (totals.exhausted and not ready))
        if reason is None and not ready:
            reason = EmptyReason.NO_WORK
        if reason is not None:
            self._work.clear()
            return Empty(reason=reason)
        own = [record for record in ready if record.task.type in AFFINITY[specialization_of(agent.index)]]
        return self._lease(min(own or ready, key=lambda record: record.rank), agent, ttl_seconds)

    def _why_nothing(self, *, broke: bool) -> EmptyReason | None:
        state = self._state
        if state.run_state is RunState.FINISHED:
            return EmptyReason.DONE
        if state.run_state is not RunState.ACTIVE:
            return EmptyReason.PAUSED
        if state.unreported is not None and state.unreported > self._now():
            return EmptyReason.PAUSED
        if state.tasks and all(record.state in FINAL for record in state.tasks.values()):
            return EmptyReason.DONE
        if broke:
            return EmptyReason.BUDGET
        provider = state.signals.get("provider")
        return EmptyReason.PROVIDER if provider is not None and not provider.ok else None

    def _lease(self, record: Record, agent: Agent, ttl_seconds: int) -> Claimed:
        now, state = self._now(), self._state
        state.counter += 1
        lease = Lease(
            task_id=record.task.id,
            token=f"{state.epoch}-{state.counter}",
            agent=agent.name,
            attempt=(state.tasks[record.task.fix_of] if record.task.fix_of else record).failures + 1,
            ttl_seconds=ttl_seconds,
        )
        state.move(record, TaskState.LEASED, now)
        record.lease, record.agent, record.claimed_at = lease, agent.name, now
        record.deadline = now + ttl_seconds
        agent.task = record.task.id
        state.note(now, "claimed", record, agent.name)
        below = state.tasks[record.task.fix_of].change_set if record.task.fix_of else None
        return Claimed(
            lease=lease,
            task=record.task,
            failures=tuple(record.evidence),
            stack=(below,) if below else (),
            hint=record.hint,
        )

    async def wait(self, pod: str, *, timeout_seconds: float) -> None:  # noqa: ARG002 — the port names the pod
        """Return when work may have appeared, or at the timeout (of the event loop's clock)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._work.wait()

    def _held(self, lease: Lease) -> Record | None:
        """Find the record if this lease is still its holder's: the token decides, until it is reaped."""
        record = self._state.tasks.get(lease.task_id)
        if record is None or record.state is not TaskState.LEASED or record.lease is None:
            return None
        return record if record.lease.token == lease.token else None

    def _did(self, lease: Lease, act: str) -> bool:
        record = self._state.tasks.get(lease.task_id)
        return record is not None and record.done == (act, lease.token)

    def _seen(self, record: Record) -> None:
        agent = self._state.agent(record.agent)
        if agent is not None:
            agent.seen = self._now()

    async def heartbeat(self, lease: Lease) -> Reply:
        """Prolong the lease by the ttl it was claimed with."""
        record = self._held(lease)
        if record is None or record.lease is None:
            return Reply.STALE
        record.deadline = self._now() + record.lease.ttl_seconds
        self._seen(record)
        return Reply.OK

    async def submit(self, lease: Lease, change_set: ChangeSet) -> Reply:
        """Store the change set and end the lease. DUP: this very content was accepted under this token."""
        digest = hashlib.sha256(change_set.model_dump_json().encode()).hexdigest()
        known = self._state.tasks.get(lease.task_id)
        if known is not None and known.accepted == (lease.token, digest):
            return Reply.DUP
        record = self._held(lease)
        if record is None:
            return Reply.STALE
        self._seen(record)
        self._state.move(record, TaskState.SUBMITTED, self._now())
        record.change_set, record.accepted = change_set, (lease.token, digest)
        self._state.note(self._now(), "submitted", record, record.agent)
        self._merge.set()
        return Reply.OK

    async def submit_and_claim(
        self, lease: Lease, change_set: ChangeSet, pod: str, *, ttl_seconds: int
    ) -> tuple[Reply, Claimed | Empty]:
        """Submit, then claim for the pod."""
        reply = await self.submit(lease, change_set)
        return reply, await self.claim(pod, ttl_seconds=ttl_seconds)

    async def fail(self, lease: Lease, failure: Failure) -> Reply:
        """End the lease with evidence; failures of infrastructure spend no attempt."""
        if self._did(lease, "fail"):
            return Reply.DUP
        record = self._held(lease)
        if record is None:
            return Reply.STALE
        self._seen(record)
        record.done = ("fail", lease.token)
        self._judge(record, failure, TaskState.READY)
        return Reply.OK

    async def release(self, lease: Lease, reason: str) -> Reply:  # noqa: ARG002 — kept by the caller's log
        """Give the claim back."""
        if self._did(lease, "release"):
            return Reply.DUP
        record = self._held(lease)
        if record is None:
            return Reply.STALE
        record.done = ("release", lease.token)
        self._state.give_back(record, self._now())
        self._hint_work()
        return Reply.OK

    async def reserve(
        self,
        call_id: str,
        lease: Lease,
        *,
        worst_micro_usd: int,
        model: str,
        ttl_seconds: int,
        worst_tokens: int = 0,
    ) -> ReserveOutcome:
        """Hold the worst case. Unlike the other calls, this one is STALE from the lease's deadline on."""
        rules.check_money("worst case", worst_micro_usd)
        rules.check_tokens("worst case", worst_tokens)
        if call_id in self._ledger.calls:
            return ReserveOutcome.DUPLICATE
        record = self._held(lease)
        if record is None or record.deadline <= self._now():
            return ReserveOutcome.STALE
        if self._state.run_state is not RunState.ACTIVE:
            return ReserveOutcome.PAUSED
        deadline = self._now() + ttl_seconds
        call = Call(worst_micro_usd, worst_tokens, record.task.id, record.task.type, model, deadline)
        return ReserveOutcome.RESERVED if self._ledger.hold(call_id, call) else ReserveOutcome.BUDGET

    async def renew_reservation(self, call_id: str, *, ttl_seconds: int) -> Reply:
        """Prolong a hold while its call runs."""
        return self._ledger.renew(call_id, self._now() + ttl_seconds)

    async def settle(self, call_id: str, usage: Usage | None) -> Reply:
        """Replace the hold by the real cost. STALE: unknown call; DUP: settled before."""
        if usage is not None:
            rules.check_money("cost", usage.cost_micro_usd)
        reply = self._ledger.settle(call_id, usage)
        self._hint_work()
        return reply

    async def cancel_reservation(self, call_id: str) -> Reply:
        """Drop the hold. STALE: unknown or settled."""
        reply = self._ledger.cancel(call_id)
        self._hint_work()
        return reply

    async def totals(self) -> Totals:
        """Read the ledger."""
        return self._ledger.totals()

    async def cost_breakdown(self) -> tuple[CostLine, ...]:
        """Read calls, tokens and cost by model and task type."""
        return self._ledger.breakdown()

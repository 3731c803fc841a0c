"""The hub's side of the queue on Redis: claims and money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from swarmrun.core.task import ChangeSet, Failure, Lease, Reply, Task
from swarmrun.queue import rules, snapshot
from swarmrun.queue.port import AgentView, Claimed, Empty, EmptyReason, ReserveOutcome, Totals, Usage
from swarmrun.queue.redis_base import RedisSide
from swarmrun.queue.redis_errors import unavailable
from swarmrun.queue.rules import CostLine


class RedisWork(RedisSide):
    """Implements `WorkQueue`. Of a lease only task and token count; the rest is the store's to say."""

    async def register(self, pod: str) -> AgentView:
        """Give the pod the lowest free index, idempotent."""
        index, task, seen, completed, failed = await self._scripts.register(pod)
        return snapshot.agent_view(index, (pod, str(seen), task, str(completed), str(failed)))

    async def claim(self, pod: str, *, ttl_seconds: int) -> Claimed | Empty:
        """Take the best task. A lease that the pod still holds goes back first: its answer was lost."""
        return _claimed(await self._scripts.claim(pod, ttl_seconds), ttl_seconds)

    async def wait(self, pod: str, *, timeout_seconds: float) -> None:  # noqa: ARG002 — the port names the pod
        """Return when work may have appeared, or at the timeout."""
        await self._await_hint("wake", timeout_seconds)

    async def heartbeat(self, lease: Lease) -> Reply:
        """Prolong the lease by the ttl it was claimed with."""
        return await self._scripts.heartbeat(lease.task_id, lease.token)

    async def submit(self, lease: Lease, change_set: ChangeSet) -> Reply:
        """Store the change set and end the lease. DUP: this very content was accepted under this token."""
        return await self._scripts.submit(lease.task_id, lease.token, change_set.model_dump_json())

    async def submit_and_claim(
        self, lease: Lease, change_set: ChangeSet, pod: str, *, ttl_seconds: int
    ) -> tuple[Reply, Claimed | Empty]:
        """Submit, and take the next task in the same round trip, whatever the reply is."""
        text = change_set.model_dump_json()
        reply, answer = await self._scripts.submit_and_claim(
            lease.task_id, lease.token, text, pod, ttl_seconds
        )
        return reply, _claimed(answer, ttl_seconds)

    async def fail(self, lease: Lease, failure: Failure) -> Reply:
        """End the lease with evidence; failures of infrastructure spend no attempt."""
        return await self._scripts.fail(lease.task_id, lease.token, failure)

    async def release(self, lease: Lease, reason: str) -> Reply:  # noqa: ARG002 — kept by the caller's log
        """Give the claim back."""
        return await self._scripts.release(lease.task_id, lease.token)

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
        worst = (worst_micro_usd, worst_tokens)
        return await self._scripts.reserve(call_id, lease, worst, model=model, ttl_seconds=ttl_seconds)

    async def renew_reservation(self, call_id: str, *, ttl_seconds: int) -> Reply:
        """Prolong a hold while its call runs. STALE: unknown, ended, or expired and charged."""
        return await self._scripts.renew(call_id, ttl_seconds)

    async def settle(self, call_id: str, usage: Usage | None) -> Reply:
        """Replace the hold by the real cost. STALE: unknown call; DUP: settled before.

        The cost is charged as reported: that it stays within the hold is the caller's promise.
        """
        if usage is not None:
            rules.check_money("cost", usage.cost_micro_usd)
        return await self._scripts.settle(call_id, usage)

    async def cancel_reservation(self, call_id: str) -> Reply:
        """Drop the hold. STALE: unknown or settled."""
        return await self._scripts.cancel(call_id)

    async def totals(self) -> Totals:
        """Read the ledger."""
        with unavailable("ledger"):
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hgetall(self._keys["ledger"])
                pipe.hmget(self._keys["run"], ["refused", "refused_fix"])
                ledger, (refused, refused_fix) = await pipe.execute()
        return snapshot.totals(ledger, {"refused": refused, "refused_fix": refused_fix})

    async def cost_breakdown(self) -> tuple[CostLine, ...]:
        """Read calls, tokens and cost by model and task type."""
        return snapshot.cost_lines(await self._read("cost"))

    async def _read(self, name: str) -> Mapping[str, str]:
        with unavailable(name):
            return cast("Mapping[str, str]", await self._client.hgetall(self._keys[name]))


def _claimed(answer: Sequence[str], ttl_seconds: int) -> Claimed | Empty:
    if answer[0] == "EMPTY":
        return Empty(reason=EmptyReason(answer[1]))
    _, task_id, token, index, attempt, body, evidence, below, hint = answer
    agent = snapshot.agent_name(index)
    return Claimed(
        lease=Lease(task_id=task_id, token=token, agent=agent, attempt=int(attempt), ttl_seconds=ttl_seconds),
        task=Task.model_validate_json(body),
        failures=snapshot.failures(evidence),
        stack=(ChangeSet.model_validate_json(below),) if below else (),
        hint=hint,
    )

"""The operator's side of the queue on Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from swarmrun.core.task import LEAST_RUNGS, Reply, Task
from swarmrun.queue import rules
from swarmrun.queue.audit import Books, violations
from swarmrun.queue.keys import READY
from swarmrun.queue.port import RunState, Snapshot, Totals
from swarmrun.queue.redis_base import RedisSide
from swarmrun.queue.redis_errors import unavailable
from swarmrun.queue.snapshot import RawSnapshot, decode, held_amount, record, working

_SCAN_COUNT: Final = 500


class RedisAdmin(RedisSide):
    """Implements `QueueAdmin`."""

    async def open(self, epoch: int, *, spent: Totals | None = None) -> None:
        """Plant the generation key and raise the fence; a new run starts PAUSED until `set_state`."""
        await self._scripts.open(epoch, spent)

    async def generation(self) -> tuple[str, int] | None:
        """Return (run id of the server as it runs now, planted epoch); None when the epoch is lost.

        A run id unlike the one seen after `open` means that the server has restarted or another took
        over: what it knows may be old, so the epoch must rise.
        """
        with unavailable("generation"):
            epoch = await self._client.hget(self._keys["run"], "epoch")
        return None if epoch is None else (await self._server(), int(epoch))

    async def _server(self) -> str:
        with unavailable("info"):
            return str((await self._client.info("server"))["run_id"])

    async def enqueue(
        self,
        tasks: Sequence[Task],
        *,
        plan_hash: str,
        max_attempts: int,
        landed: Mapping[str, str],
        rungs: int = LEAST_RUNGS,
    ) -> int:
        """Add tasks in one piece, idempotent by id. A known task stays as it is, unless it has landed.

        Raises:
            Invalid: the batch breaks a rule; nothing was added.
        """
        rules.check_plan(tasks, max_attempts)
        return await self._scripts.enqueue(plan_hash, (max_attempts, rungs), tasks, list(landed.items()))

    async def set_state(self, state: RunState) -> None:
        """Let work be claimed, or not."""
        await self._scripts.set_state(state)

    async def set_limit(
        self, limit_micro_usd: int, *, max_tokens: int | None = None, fix_reserve_micro_usd: int = 0
    ) -> None:
        """Set the budget; never lowers its money below spent + reserved."""
        rules.check_limits(limit_micro_usd, max_tokens, fix_reserve_micro_usd)
        await self._scripts.set_limit(limit_micro_usd, max_tokens, fix_reserve_micro_usd)

    async def reap(self, *, limit: int = 100) -> int:
        """Return expired leases to READY, charge expired reservations whole."""
        return await self._scripts.reap(limit)

    async def resolve(self, task_id: str, action: str, hint: str = "") -> Reply:
        """Answer an escalation. STALE: unknown, final or a repair (answer its target); DUP: done before."""
        if action not in rules.RESOLUTIONS:
            raise rules.unknown_action(action)
        return await self._scripts.resolve(task_id, action, hint)

    async def snapshot(self) -> Snapshot:
        """Read everything at one moment."""
        hashes = ("run", "tasks", "evidence", "agents", "ledger", "signals", "documents")
        with unavailable("snapshot"):
            async with self._client.pipeline(transaction=True) as pipe:
                for name in hashes:
                    pipe.hgetall(self._keys[name])
                pipe.xrevrange(self._keys["events"], count=rules.ACTIVITY_LENGTH)
                pipe.time()
                *tables, events, (whole, micro) = await pipe.execute()
        facts = dict(zip(hashes, tables, strict=True))
        return decode(RawSnapshot(**facts, events=events, server_time=int(whole) + int(micro) / 1e6))

    async def audit(self) -> tuple[str, ...]:
        """Read sets, counters and sums at one moment, and compare them."""
        zsets = (*READY.values(), "leases", "submitted", "holds")
        hashes = ("run", "tasks", "dependents", "agents", "ledger", "calls")
        with unavailable("audit"):
            async with self._client.pipeline(transaction=True) as pipe:
                for name in zsets:
                    pipe.zrange(self._keys[name], 0, -1)
                for name in hashes:
                    pipe.hgetall(self._keys[name])
                pipe.hkeys(self._keys["changes"])
                *answers, changes = await pipe.execute()
        members = dict(zip(zsets, answers, strict=False))
        facts = dict(zip(hashes, answers[len(zsets) :], strict=True))
        return violations(
            Books(
                run=facts["run"],
                records={task_id: record(line) for task_id, line in facts["tasks"].items()},
                ready={pool: frozenset(members[name]) for pool, name in READY.items()},
                leases=frozenset(members["leases"]),
                submitted=frozenset(members["submitted"]),
                changes=frozenset(changes),
                dependents={task_id: text.split() for task_id, text in facts["dependents"].items()},
                working=working(facts["agents"]),
                ledger=facts["ledger"],
                held={call: held_amount(facts["calls"].get(call)) for call in members["holds"]},
            )
        )

    async def purge(self) -> int:
        """Delete every key of the run, in bounded batches. Returns how many."""
        with unavailable("purge"):
            gone = int(await self._client.unlink(*self._keys.all))
            # Keys of an older version's names, if any.
            cursor = 0
            while True:
                cursor, found = await self._client.scan(cursor, self._keys.prefix + "*", _SCAN_COUNT)
                if found:
                    gone += int(await self._client.unlink(*found))
                if cursor == 0:
                    return gone

"""One typed function per Lua script: EVALSHA, falling back to EVAL when the server has forgotten it.

Every script gets the same text in front: constants generated from the Python models, then `lua/common.lua`.
So the lifecycle table and the bounds have one source, in Python.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

import redis.asyncio as redis
from redis.exceptions import NoScriptError

from swarmrun.core.task import AFFINITY, FINAL, TRANSITIONS, TYPE_RANK, Lease, Reply, Specialization, Task
from swarmrun.queue import rules
from swarmrun.queue.keys import NAMES, Keys
from swarmrun.queue.port import ReserveOutcome, Totals, Usage
from swarmrun.queue.redis_errors import unavailable
from swarmrun.queue.rules import QueueClosed, QueueFull

#: Length of the capped lists of hints.
WAKE_LENGTH: Final = 64

_TYPES: Final = sorted(TYPE_RANK, key=lambda kind: TYPE_RANK[kind])
_AFFINITIES: Final = tuple(
    " ".join(kind for kind in _TYPES if kind in AFFINITY[specialization]) for specialization in Specialization
)


def _lua_set(words: Sequence[str]) -> str:
    return "{" + ",".join(f"['{word}']=true" for word in words) + "}"


@cache
def _prelude() -> str:
    keys = ",".join(f"['{name}']=KEYS[{position}]" for position, name in enumerate(NAMES, start=1))
    legal = ",".join(f"['{state}']={_lua_set(sorted(moves))}" for state, moves in TRANSITIONS.items())
    constants = {
        "WAKE_LENGTH": WAKE_LENGTH,
        "ACTIVITY_LENGTH": rules.ACTIVITY_LENGTH,
        "EVIDENCE_LENGTH": rules.EVIDENCE_LENGTH,
        "MAX_AGENTS": rules.MAX_AGENTS,
        "AGENT_GONE_MS": rules.AGENT_GONE_SECONDS * 1000,
        "CALLS_REMEMBERED": rules.CALLS_REMEMBERED,
        "LANDED_WAIT_MS": rules.LANDED_WAIT_SECONDS * 1000,
    }
    lines = [
        f"local K = {{{keys}}}",
        f"local LEGAL = {{{legal}}}",
        f"local FINAL = {_lua_set(sorted(FINAL))}",
    ]
    lines += [f"local {name} = {value}" for name, value in constants.items()]
    lines.append(f"local ALL_TYPES = '{' '.join(_TYPES)}'")
    return "\n".join(lines) + "\n" + _text("common")


def _text(name: str) -> str:
    return (resources.files("swarmrun.queue") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


@cache
def source(name: str) -> tuple[str, str]:
    """Return the whole text of a script and its SHA-1, by which the server knows it."""
    text = _prelude() + _text(name)
    return text, hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 — Redis names scripts by SHA-1


class Scripts:
    """The transitions of one run's queue, as the server executes them.

    Raises (every method):
        QueueUnavailable: the connection failed or timed out.
    """

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client, self._keys = client, keys

    async def _run(self, name: str, *args: str | int) -> Any:
        text, sha = source(name)
        keys = self._keys.all
        with unavailable(name):
            try:
                return await self._client.evalsha(sha, len(keys), *keys, *args)
            except NoScriptError:
                return await self._client.eval(text, len(keys), *keys, *args)

    # the operator's side

    async def open(self, epoch: int, server: str, spent: Totals | None) -> None:
        """Plant the generation and raise the fence; with it the ledger's sums, to what was spent before."""
        sums: tuple[int, ...] = ()
        if spent is not None:
            sums = (
                spent.spent_micro_usd + spent.reserved_micro_usd,
                spent.tokens_in + spent.tokens_cached,
                spent.tokens_out,
                spent.tokens_unknown + spent.reserved_tokens,
                spent.calls,
            )
        await self._run("open", epoch, server, *sums)

    async def enqueue(
        self, plan_hash: str, max_attempts: int, tasks: Sequence[Task], landed: Sequence[tuple[str, str]]
    ) -> int:
        """Add tasks in one piece.

        Raises:
            Invalid: a dependency is unknown; nothing was added.
        """
        args: list[str | int] = [plan_hash, max_attempts, len(tasks)]
        for task in tasks:
            body = task.model_dump_json()
            dependencies = " ".join(dict.fromkeys(task.depends_on))
            args += [task.id, task.type, task.title, task.priority, body, dependencies]
        for task_id, commit in landed:
            args += [task_id, commit]
        answer = await self._run("enqueue", *args)
        if answer[0] == "UNKNOWN":
            raise rules.unknown_dependency(answer[1], answer[2])
        return int(answer[1])

    async def set_state(self, state: str) -> None:
        """Let work be claimed, or not."""
        await self._run("set_state", state)

    async def set_limit(self, limit_micro_usd: int, max_tokens: int | None, fix_reserve: int) -> None:
        """Set the budget."""
        await self._run("set_limit", limit_micro_usd, "" if max_tokens is None else max_tokens, fix_reserve)

    async def reap(self, limit: int) -> int:
        """Return expired leases, charge expired holds."""
        return int(await self._run("reap", limit))

    async def resolve(self, task_id: str, action: str, hint: str) -> Reply:
        """Carry out a person's decision."""
        return Reply(await self._run("resolve", task_id, action, hint))

    # the hub's side

    async def register(self, pod: str) -> tuple[int, str, int, int, int]:
        """Return index, task, last seen in milliseconds, completed, failed.

        Raises:
            QueueFull: no index is free.
            QueueClosed: the run has no open queue.
        """
        answer = await self._run("register", pod)
        if answer[0] == "FULL":
            raise QueueFull(f"all {rules.MAX_AGENTS} agent indexes are taken")
        if answer[0] == "CLOSED":
            raise QueueClosed("the run's queue is not open")
        index, task, seen, completed, failed = answer[1:]
        return int(index), task, int(seen), int(completed), int(failed)

    async def claim(self, pod: str, ttl_seconds: int) -> list[str]:
        """Return ["EMPTY", reason] or ["CLAIMED", id, token, agent, attempt, body, evidence, below, hint].

        Raises:
            QueueFull: no index is free.
        """
        numbers = (ttl_seconds * 1000, ttl_seconds, rules.REAP_PER_CLAIM)
        answer: list[str] = await self._run("claim", pod, *numbers, *_AFFINITIES)
        if answer[0] == "FULL":
            raise QueueFull(f"all {rules.MAX_AGENTS} agent indexes are taken")
        return answer

    async def heartbeat(self, task_id: str, token: str) -> Reply:
        """Prolong a lease."""
        return Reply(await self._run("heartbeat", task_id, token))

    async def submit(self, task_id: str, token: str, change_set: str) -> Reply:
        """End a lease with a change set."""
        return Reply(await self._run("submit", task_id, token, change_set))

    async def fail(self, task_id: str, token: str, failure: str, *, counts: bool) -> Reply:
        """End a lease with evidence."""
        return Reply(await self._run("fail", task_id, token, failure, int(counts)))

    async def release(self, task_id: str, token: str) -> Reply:
        """Give a lease back."""
        return Reply(await self._run("release", task_id, token))

    async def reserve(
        self, call_id: str, lease: Lease, worst: tuple[int, int], *, model: str, ttl_seconds: int
    ) -> ReserveOutcome:
        """Hold the worst case of a call, given in micro-dollars and tokens."""
        micro_usd, tokens = worst
        args = (call_id, lease.task_id, lease.token, micro_usd, model, ttl_seconds * 1000, tokens)
        return ReserveOutcome(await self._run("reserve", *args))

    async def settle(self, call_id: str, usage: Usage | None) -> Reply:
        """Replace a hold by the real cost."""
        counts: tuple[int, ...] = ()
        if usage is not None:
            counts = (
                usage.cost_micro_usd,
                usage.input_tokens,
                usage.cache_read_tokens,
                usage.cache_write_tokens,
                usage.output_tokens,
            )
        return Reply(await self._run("settle", call_id, *counts))

    async def cancel(self, call_id: str) -> Reply:
        """Drop a hold."""
        return Reply(await self._run("cancel", call_id))

    # the merger's side

    async def submissions(self, limit: int) -> list[tuple[list[str], list[str] | None]]:
        """Return rows of (submission, target of a repair)."""
        return [(own, target) for own, target in await self._run("submissions", limit)]

    async def land(self, task_id: str, token: str, commit: str, target_commit: str) -> Reply:
        """Complete a submission and what lies beneath it."""
        return Reply(await self._run("land", task_id, token, commit, target_commit))

    async def reject(
        self, task_id: str, token: str, failure: str, fix: Task | None, *, counts: bool
    ) -> Reply:
        """Judge a submission red.

        Raises:
            Invalid: the repair's id belongs to another task.
        """
        repair: tuple[str | int, ...] = ("",)
        if fix is not None:
            repair = (fix.id, fix.type, fix.title, fix.priority, fix.model_dump_json())
        answer = await self._run("reject", task_id, token, failure, int(counts), *repair)
        if answer == "OCCUPIED":
            raise rules.occupied_fix(str(repair[0]))
        return Reply(answer)

    async def send_back(self, task_id: str, token: str) -> Reply:
        """Return a submission; nobody's work was judged."""
        return Reply(await self._run("send_back", task_id, token))

    async def mark_landed(self, epoch: int, landed: Sequence[tuple[str, str]]) -> Reply:
        """Complete what is on the branch, and let claims go on."""
        args = [word for pair in landed for word in pair]
        return Reply(await self._run("mark_landed", epoch, *args))

    async def record(self, key: str, field: str, value: str) -> None:
        """Keep a fact for conditions and report, while the run is open."""
        await self._run("record", key, field, value)

"""One typed function per Lua script: EVALSHA, falling back to EVAL when the server has forgotten it.

A script is assembled from the blocks of `lua/lib/` that it reaches, in front of them constants generated from
the Python models, so the lifecycle table and the bounds have one source. It receives exactly the keys that
its text mentions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

from swarmrun.core.task import (
    AFFINITY,
    FINAL,
    TRANSITIONS,
    TYPE_RANK,
    Failure,
    Lease,
    Reply,
    Specialization,
    Task,
    TaskType,
)
from swarmrun.queue import rules
from swarmrun.queue.batching import SERVER, Caller, Script
from swarmrun.queue.keys import NAMES, POOLS, READY, RECORD, Keys
from swarmrun.queue.port import ReserveOutcome, Totals, Usage
from swarmrun.queue.redis_errors import unavailable
from swarmrun.queue.rules import QueueClosed, QueueFull

#: Length of the capped lists of hints.
WAKE_LENGTH: Final = 64
_RANKS_APART: Final = 16
#: Files of `lua/lib/`, each behind those it uses.
_LIBRARIES: Final = (
    "base",
    "clock",
    "wake",
    "records",
    "agents",
    "tasks",
    "verdicts",
    "budget",
    "calls",
    "submitting",
    "claiming",
)
_COMMENT: Final = re.compile(r"^ *--.*\n", re.MULTILINE)
_BLOCK: Final = re.compile(r"\n\n(?=\S)")
_DEFINED: Final = re.compile(r"^local (?:function )?([\w, ]+)", re.MULTILINE)
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_KEY: Final = re.compile(r"\bK\.(\w+)|\bK\['([\w:]+)'|\bwake\('([\w:]+)'\)")
_NAMED_KEY: Final = re.compile(r"\bK\.(\w+)|\bK\['([\w:]+)'\]")
_COMPUTED: Final = ("wake", "ready:")
#: Runs the transition for each row; an error of one row is the answer to that row alone.
_LOOP: Final = """
local answers, width = {}, tonumber(ARGV[1])
for first = 2, #ARGV, width do
  local row = {}
  for i = 1, width do row[i] = ARGV[first + i - 1] end
  local ok, answer = pcall(transition, row)
  if not ok and type(answer) ~= 'table' then answer = redis.error_reply(tostring(answer)) end
  answers[#answers + 1] = answer
end"""
#: How the changes of a script reach the store when it is done: by what keeps them meanwhile.
_SAVES: Final = {"changed": "save_records()", "agents": "save_agents()", "noted": "save_events()"}


def _words(words: Sequence[str]) -> str:
    return f"' {' '.join(words)} '"


def _table(values: dict[str, str]) -> str:
    return "{" + ",".join(f"{key}={value}" for key, value in values.items()) + "}"


def _list(values: Iterable[str]) -> str:
    return "{" + ",".join(f"'{value}'" for value in values) + "}"


def _pools_of(specialization: Specialization, *, others: bool = False) -> str:
    """Name the pools that a specialization prefers, or the others, parted by spaces."""
    own = {POOLS[kind] for kind in AFFINITY[specialization]}
    return " ".join(pool for pool in READY if (pool in own) != others)


def _constants() -> dict[str, str]:
    legal = [f"{state}>{to}" for state, moves in TRANSITIONS.items() for to in sorted(moves)]
    fields = {field.upper(): str(position) for position, field in enumerate(RECORD, start=1)}
    return {
        "RECORD": "'^" + r"([^\t]*)\t" * (len(RECORD) - 1) + "(.*)$'",
        **fields,
        "LEGAL": _words(legal),
        "FINAL": _words(sorted(FINAL)),
        "KEEPS_CHANGES": _words(sorted(rules.KEEPS_CHANGES)),
        "POOLS": _table({kind: f"'{pool}'" for kind, pool in POOLS.items()}),
        "RANKS": _table({kind: str(rank) for kind, rank in TYPE_RANK.items()}),
        "RANKS_APART": str(_RANKS_APART),
        "OWN_POOLS": _list(_pools_of(s) for s in Specialization),
        "OTHER_POOLS": _list(_pools_of(s, others=True) for s in Specialization),
        "REPAIRS": f"'{POOLS[TaskType.FIX_BUG]}'",
        "WAKE_LENGTH": str(WAKE_LENGTH),
        "EVENTS_LENGTH": str(rules.EVENTS_LENGTH),
        "EVIDENCE_LENGTH": str(rules.EVIDENCE_LENGTH),
        "MAX_AGENTS": str(rules.MAX_AGENTS),
        "AGENT_GONE_MS": str(rules.AGENT_GONE_SECONDS * 1000),
        "CALLS_REMEMBERED": str(rules.CALLS_REMEMBERED),
        "LANDED_WAIT_MS": str(rules.LANDED_WAIT_SECONDS * 1000),
    }


def _read(name: str) -> str:
    """Return a Lua file without its comments: a word in one reaches nothing."""
    path = resources.files("swarmrun.queue") / "lua" / f"{name}.lua"
    return _COMMENT.sub("", path.read_text(encoding="utf-8"))


@cache
def _blocks() -> tuple[tuple[frozenset[str], str], ...]:
    """Return every library's blocks in order, each with the names that it defines."""
    blocks = [block for library in _LIBRARIES for block in _BLOCK.split(_read(f"lib/{library}").strip())]
    return tuple((frozenset(_WORD.findall(" ".join(_DEFINED.findall(block)))), block) for block in blocks)


def _reached(body: str) -> list[tuple[frozenset[str], str]]:
    """Return the blocks that a script reaches, in order: last to first, for none uses a later one."""
    wanted, found = set(_WORD.findall(body)), []
    for names, block in reversed(_blocks()):
        if names & wanted:
            wanted |= set(_WORD.findall(block))
            found.append((names, block))
    return found[::-1]


@cache
def source(name: str) -> Script:
    """Assemble a script: its keys, the constants that occur, blocks, the transition, and what it saves.

    The transition is run once for each row of arguments (`ARGV[1]`: their number in a row), all on one
    reading of the clock and the records; its parameter stands for the ARGV of a script of its own.
    """
    body = _read(name)
    saves = [save for keeper, save in _SAVES.items() if any(keeper in n for n, _ in _reached(body))]
    blocks = [block for _, block in _reached(body + "".join(saves))]
    transition = ["local function transition(ARGV)", body.rstrip(), "end", _LOOP, *saves, "return answers\n"]
    code = "\n".join([*blocks, *transition])
    mentioned = {"".join(groups) for groups in _KEY.findall(code)}
    if "ready:" in mentioned:
        mentioned |= set(READY.values())
    keys = tuple(key for key in NAMES if key in mentioned)
    position = {key: at for at, key in enumerate(keys, start=1)}
    # A key by its number costs nothing; the table is for those whose name a script computes.
    code = _NAMED_KEY.sub(lambda match: f"KEYS[{position[match[1] or match[2]]}]", code)
    computed = (f"['{key}']=KEYS[{at}]" for key, at in position.items() if key.startswith(_COMPUTED))
    table = ",".join(computed)
    words = set(_WORD.findall(code))
    constants = "".join(f"local {key} = {value}\n" for key, value in _constants().items() if key in words)
    # With a first line of its own the server refuses a script at once where it could not write.
    text = f"#!lua\nlocal K = {{{table}}}\n{constants}{code}"
    digest = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 — Redis names scripts by SHA-1
    return Script(text, digest, keys)


class Scripts:
    """The transitions of one run's queue, as the server executes them.

    Raises (every method):
        QueueUnavailable: the connection failed or timed out.
    """

    def __init__(self, caller: Caller, keys: Keys) -> None:
        self._caller, self._keys = caller, keys
        self._names: dict[str, tuple[str, ...]] = {}

    async def _run(self, name: str, *args: str | int) -> Any:
        script = source(name)
        keys = self._names.get(name)
        if keys is None:
            keys = self._names[name] = tuple(self._keys[key] for key in script.keys)
        with unavailable(name):
            return await self._caller.call(script, keys, args)

    # the operator's side

    async def open(self, epoch: int, spent: Totals | None) -> None:
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
        await self._run("open", epoch, SERVER, *sums)

    async def enqueue(
        self,
        plan_hash: str,
        bounds: tuple[int, int],
        tasks: Sequence[Task],
        landed: Sequence[tuple[str, str]],
    ) -> int:
        """Add tasks in one piece. `bounds`: most attempts of a task, rungs of its ladder.

        Raises:
            Invalid: a dependency is unknown; nothing was added.
        """
        args: list[str | int] = [plan_hash, *bounds, len(tasks)]
        for task in tasks:
            body = task.model_dump_json(exclude_defaults=True)
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
        answer: list[str] = await self._run("claim", pod, ttl_seconds, rules.REAP_PER_CLAIM, SERVER)
        return _room(answer)

    async def heartbeat(self, task_id: str, token: str) -> Reply:
        """Prolong a lease."""
        return Reply(await self._run("heartbeat", task_id, token))

    async def submit(self, task_id: str, token: str, change_set: str) -> Reply:
        """End a lease with a change set."""
        return Reply(await self._run("submit", task_id, token, change_set, _digest(change_set)))

    async def submit_and_claim(
        self, task_id: str, token: str, change_set: str, pod: str, ttl_seconds: int
    ) -> tuple[Reply, list[str]]:
        """End a lease with a change set and take the next task: the answers of `submit` and `claim`.

        Raises:
            QueueFull: the change set is in, but no index is free.
        """
        claim = (pod, ttl_seconds, rules.REAP_PER_CLAIM, SERVER)
        args = (task_id, token, change_set, _digest(change_set), *claim)
        reply, answer = await self._run("submit_and_claim", *args)
        return Reply(reply), _room(answer)

    async def fail(self, task_id: str, token: str, failure: Failure) -> Reply:
        """End a lease with evidence."""
        return Reply(await self._run("fail", task_id, token, *_evidence(failure)))

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

    async def renew(self, call_id: str, ttl_seconds: int) -> Reply:
        """Prolong a hold."""
        return Reply(await self._run("renew", call_id, ttl_seconds * 1000))

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

    async def reject(self, task_id: str, token: str, failure: Failure, fix: Task | None) -> Reply:
        """Judge a submission red.

        Raises:
            Invalid: the repair's id belongs to another task.
        """
        repair: tuple[str | int, ...] = ("",)
        if fix is not None:
            repair = (fix.id, fix.type, fix.title, fix.priority, fix.model_dump_json(exclude_defaults=True))
        answer = await self._run("reject", task_id, token, *_evidence(failure), *repair)
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


def _digest(text: str) -> str:
    """Recognise a content that comes again."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _evidence(failure: Failure) -> tuple[str, int, str]:
    """Give what a judgement takes: the text to keep, whether it spends an attempt, how to recognise it."""
    kept = rules.clip(failure)
    return kept.model_dump_json(), int(rules.spends_attempt(failure)), kept.fingerprint


def _room(answer: list[str]) -> list[str]:
    if answer[0] == "FULL":
        raise QueueFull(f"all {rules.MAX_AGENTS} agent indexes are taken")
    return answer

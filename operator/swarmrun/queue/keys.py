r"""The keys of a run in Redis: a fixed set under one hash tag, so every script can declare all it touches.

| key | type | holds |
|---|---|---|
| run | hash | epoch, generation, unreported, state, refusals, signals' signs, plan_hash, tests, counters |
| tasks | hash | task id → record: the fields of `RECORD`, separated by tabs |
| bodies, changes, evidence, hints, dependents | hash | task id → Task, ChangeSet, Failure lines, text, ids |
| ready:<pool> | zset | task ids, the most urgent at the head; a pool is what the same agents prefer |
| leases | zset | task id by deadline, milliseconds of server time |
| submitted | zset | task id by order of arrival |
| wake, wake:merge | list | capped hints for those who wait |
| events | stream | verb, agent, task id; capped |
| agents | hash | index → pod, last seen, task, completed, failed; `pod:<name>` → index; count, gone_from |
| ledger | hash | limit, spent, reserved, tokens, calls |
| calls, holds, settled | hash, zset, zset | call id → record, deadline of a hold, time of a settlement |
| cost | hash | `<metric>\t<task type>\t<model>` |
| signals, documents | hash | component → Signal, name → JSON |
"""

from __future__ import annotations

import re
from typing import Final

from swarmrun.core.task import AFFINITY, Specialization, TaskType

#: Fields of a task's record, in order. The title is last: it alone may hold anything but a tab.
RECORD: Final = (
    "state",
    "type",
    "priority",
    "waits",
    "failures",
    "fingerprint",
    "token",
    "agent",
    "attempt",
    "ttl",
    "claimed",
    "submitted",
    "finished",
    "done",
    "accepted",
    "fix_of",
    "fix",
    "evidence",
    "hint",
    "cost",
    "commit",
    "title",
)


def _pools() -> dict[TaskType, str]:
    """Put types that the very same specializations prefer into one pool, named after the first of them."""
    names: dict[frozenset[Specialization], str] = {}
    pools: dict[TaskType, str] = {}
    for kind in TaskType:
        fans = frozenset(s for s in Specialization if kind in AFFINITY[s])
        pools[kind] = names.setdefault(fans, kind.value.partition("_")[2] or kind.value)
    return pools


#: Pool of each task type.
POOLS: Final = _pools()
READY: Final = {pool: f"ready:{pool}" for pool in dict.fromkeys(POOLS.values())}

NAMES: Final[tuple[str, ...]] = (
    "run",
    "tasks",
    "bodies",
    "changes",
    "evidence",
    "hints",
    "dependents",
    "leases",
    "submitted",
    "wake",
    "wake:merge",
    "events",
    "agents",
    "ledger",
    "calls",
    "holds",
    "settled",
    "cost",
    "signals",
    "documents",
    *READY.values(),
)

_UID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


def prefix(uid: str) -> str:
    """Give the prefix of all keys of a run.

    Raises:
        ValueError: `uid` could widen a pattern or leave its hash tag.
    """
    if not _UID.fullmatch(uid):
        raise ValueError(f"uid must be 1 to 64 letters, digits or hyphens, got {uid!r}")
    return f"swr:{{{uid}}}:"


class Keys:
    """The full names of one run's keys."""

    def __init__(self, uid: str) -> None:
        self.prefix = prefix(uid)
        #: Every key that a run may have.
        self.all = tuple(self.prefix + name for name in NAMES)

    def __getitem__(self, name: str) -> str:
        """Return the full name of a key.

        Raises:
            KeyError: no such key is declared.
        """
        if name not in NAMES:
            raise KeyError(name)
        return self.prefix + name

r"""The keys of a run in Redis: a fixed set under one hash tag, so every script can declare all it touches.

| key | type | holds |
|---|---|---|
| run | hash | epoch, generation, unreported, state, plan_hash, tests, and the counters |
| tasks | hash | `<id>:<attribute>`, the small facts of every task |
| bodies, changes, evidence, dependents | hash | task id → Task, ChangeSet, Failure lines, ids |
| ready:<type> | zset | task id by negated priority: the head is the most urgent |
| leases | zset | task id by deadline, milliseconds of server time |
| submitted | zset | task id by order of arrival |
| wake, wake:merge | list | capped hints for those who wait |
| activity | list | newest first, capped |
| agents | hash | `<index>:<attribute>`, `pod:<name>` → index |
| ledger | hash | limit, spent, reserved, refused, tokens, calls |
| calls, holds, settled | hash, zset, zset | call id → record, deadline of a hold, time of a settlement |
| cost | hash | `<metric>\t<task type>\t<model>` |
| signals, documents | hash | component → Signal, name → JSON |
"""

from __future__ import annotations

import re
from typing import Final

from swarmrun.core.task import TaskType

READY: Final = {kind: f"ready:{kind.value}" for kind in TaskType}

NAMES: Final[tuple[str, ...]] = (
    "run",
    "tasks",
    "bodies",
    "changes",
    "evidence",
    "dependents",
    "leases",
    "submitted",
    "wake",
    "wake:merge",
    "activity",
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
        #: In the order in which every script receives them.
        self.all = tuple(self.prefix + name for name in NAMES)

    def __getitem__(self, name: str) -> str:
        """Return the full name of a key.

        Raises:
            KeyError: no such key is declared.
        """
        if name not in NAMES:
            raise KeyError(name)
        return self.prefix + name

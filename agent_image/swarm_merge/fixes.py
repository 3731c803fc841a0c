"""The `fix_bug` task that repairs a red change set. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from swarmrun.core.task import Task, TaskType

#: Above every planned priority: a repair holds back finished work and all that depends on it.
FIX_PRIORITY: Final = 1_000_000
_MAX_ID: Final = 120
_MAX_TITLE: Final = 200


def fix_task(target: Task, *, subject_paths: Sequence[str] = ()) -> Task:
    """Write the repair of `target`. For `write_tests` the fix owns the code under test, never the tests.

    `subject_paths`: that code; unknown, it is what the tests' author was given to read.
    """
    owned = target.owned
    if target.type is TaskType.WRITE_TESTS:
        owned = tuple(subject_paths) or tuple(p for p in target.reads if p not in target.tests) or owned
    return Task(
        id=fix_id(target.id),
        type=TaskType.FIX_BUG,
        title=f"Fix {target.title}"[:_MAX_TITLE],
        resource=target.resource,
        owned=owned,
        reads=tuple(dict.fromkeys((*target.reads, *target.tests))),
        spec={**target.spec, "target": {"id": target.id, "type": target.type.value, "title": target.title}},
        weight=target.weight,
        priority=FIX_PRIORITY,
        tests=target.tests,
        fix_of=target.id,
        subject=target.subject,
    )


def fix_id(target: str) -> str:
    """Name the fix of a task; a name too long for an id ends in a digest of the whole."""
    name = f"fix.{target}"
    if len(name) <= _MAX_ID:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return re.sub(r"[.-]+$", "", name[: _MAX_ID - 13]) + f"-{digest}"

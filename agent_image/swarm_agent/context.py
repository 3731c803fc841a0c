"""Chooses the files that a prompt shows, and reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from swarm_agent.draft import Draft
from swarmrun.core.ownership import matches
from swarmrun.core.prompt import FILES_BUDGET, PromptFile, PromptInput, fit
from swarmrun.core.task import Failure, Task
from swarmrun.queue.port import Claimed
from swarmrun.vcs.workspace import Snapshot, Workspace

#: Files considered; a glob may match thousands.
MAX_FILES: Final = 200
_PATH: Final = re.compile(r"[\w./-]{1,200}\.\w{1,8}")


def relevant(task: Task, paths: list[str], failures: Sequence[Failure] = ()) -> list[str]:
    """Order the paths by use: the task's own, those that failures name, each glob of `reads` in turn.

    Each path once. A failure's own file is what an attempt without it could not see.
    """
    groups = [[p for p in paths if matches(p, task.owned)], _named(failures, paths)]
    groups += [[p for p in paths if matches(p, [glob])] for glob in task.reads]
    return list(dict.fromkeys(path for group in groups for path in group))[:MAX_FILES]


def _named(failures: Sequence[Failure], paths: Sequence[str]) -> list[str]:
    known = set(paths)
    words = (word for failure in reversed(failures) for word in _PATH.findall(failure.output))
    return [path for word in dict.fromkeys(words) if (path := word.removeprefix("./")) in known]


async def gather(claimed: Claimed, snapshot: Snapshot, draft: Draft, workspace: Workspace) -> PromptInput:
    """Read all that the user message depends on.

    Raises:
        WorkspaceFailed: the clone cannot be read.
    """
    # The second rung of the ladder: the same model, with more to look at.
    budget = FILES_BUDGET if claimed.lease.attempt == 1 else 2 * FILES_BUDGET
    wanted = relevant(claimed.task, draft.paths(), claimed.failures)
    stacked = {p: text for p in wanted if (text := draft.text_of_stack(p)) is not None}
    rest = [p for p in wanted if p not in stacked]
    read = await workspace.read(snapshot.tree, rest, limit=budget)
    texts = stacked | {p: text for p, data in read.items() if (text := _decoded(data)) is not None}
    files, left_out = fit([PromptFile(path=p, content=texts[p]) for p in wanted if p in texts], budget)
    unreadable = tuple(p for p in wanted if p not in texts)
    return PromptInput(
        task=claimed.task,
        attempt=claimed.lease.attempt,
        failures=claimed.failures,
        hint=claimed.hint,
        files=files,
        left_out=left_out + unreadable,
        changes=snapshot.changes,
    )


def _decoded(data: bytes) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text.replace("\r\n", "\n")

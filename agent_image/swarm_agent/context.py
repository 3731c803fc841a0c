"""Chooses the files that a prompt shows, and reads them."""

from __future__ import annotations

from typing import Final

from swarm_agent.draft import Draft
from swarmrun.core.ownership import matches
from swarmrun.core.prompt import FILES_BUDGET, PromptFile, PromptInput, fit
from swarmrun.core.task import Task
from swarmrun.queue.port import Claimed
from swarmrun.vcs.workspace import Snapshot, Workspace

#: Files considered; a glob may match thousands.
MAX_FILES: Final = 200


def relevant(task: Task, paths: list[str]) -> list[str]:
    """Order the paths by use: the task's own, then each glob of `reads` in turn; each path once."""
    groups = [[p for p in paths if matches(p, task.owned)]]
    groups += [[p for p in paths if matches(p, [glob])] for glob in task.reads]
    return list(dict.fromkeys(path for group in groups for path in group))[:MAX_FILES]


async def gather(claimed: Claimed, snapshot: Snapshot, draft: Draft, workspace: Workspace) -> PromptInput:
    """Read all that the user message depends on.

    Raises:
        WorkspaceFailed: the clone cannot be read.
    """
    wanted = relevant(claimed.task, draft.paths())
    stacked = {p: text for p in wanted if (text := draft.text_of_stack(p)) is not None}
    rest = [p for p in wanted if p not in stacked]
    read = await workspace.read(snapshot.tree, rest, limit=FILES_BUDGET)
    texts = stacked | {p: text for p, data in read.items() if (text := _decoded(data)) is not None}
    files, left_out = fit([PromptFile(path=p, content=texts[p]) for p in wanted if p in texts])
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

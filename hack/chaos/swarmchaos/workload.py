"""Plans and change sets that cost nothing to think of."""

from __future__ import annotations

from typing import Final

from swarmrun.core.task import ChangeSet, FileEdit, Task, TaskType

#: Every so many-th task waits for the one before.
_CHAIN: Final = 4
_TOP: Final = 1_000_000


def plan(first: int, count: int, *, chained: bool = True) -> list[Task]:
    """Make tasks `first`, `first + 1`, ...

    Earlier ones are more urgent. Some wait for the one before; they are the least urgent, so that a task that
    comes back and waits for nothing is the first in the queue.
    """
    return [
        _task(number, waits=chained and number > first and number % _CHAIN == 0)
        for number in range(first, first + count)
    ]


def _task(number: int, *, waits: bool) -> Task:
    return Task(
        id=f"t{number:06}",
        type=TaskType.IMPLEMENT_ENDPOINT,
        title=f"Do {number}",
        depends_on=(f"t{number - 1:06}",) if waits else (),
        priority=0 if waits else _TOP - number,
    )


def change_set(task: str, token: str) -> ChangeSet:
    """Make the result of one claim; every claim's differs."""
    edit = FileEdit(path=path_of(task), content=f"{task} under {token}\n")
    return ChangeSet(base="", edits=(edit,), summary=token)


def path_of(task: str) -> str:
    """Return a task's own file, few to a folder."""
    return f"done/{task[-3:-1]}/{task}.txt"

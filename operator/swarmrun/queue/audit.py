"""Does what the store keeps agree with itself? Pure: facts in, violations out.

Every task is in exactly the set that its state names, so nothing waits where nobody looks; every counter
equals what it counts; the ledger's sums are the sums of its parts. A violation is a fault of ours, or of
somebody who wrote into the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from swarmrun.core.task import FINAL, TaskState, TaskType
from swarmrun.queue.keys import POOLS

#: Violations that are reported; one cause makes many.
MOST: Final = 20
_OPEN_STATES: Final = tuple(state for state in TaskState if state not in FINAL)


@dataclass(frozen=True)
class Books:
    """All that must agree, as read at one moment. Records are keyed by task id, fields by name."""

    run: Mapping[str, str]
    records: Mapping[str, Mapping[str, str]]
    #: Task ids by pool.
    ready: Mapping[str, frozenset[str]]
    leases: frozenset[str]
    submitted: frozenset[str]
    changes: frozenset[str]
    #: Dependency → ids that waited for it when they were queued.
    dependents: Mapping[str, Sequence[str]]
    #: Task of each working agent.
    working: Mapping[str, str]
    ledger: Mapping[str, str]
    #: Worst case of every call in flight; None: the call has no record.
    held: Mapping[str, int | None]


def violations(books: Books) -> tuple[str, ...]:
    """List what does not agree, at most `MOST`, in a stable order."""
    checks = (_sets(books), _waiting(books), _repairs(books), _counters(books), _money(books))
    found = [text for check in checks for text in check]
    return tuple(found[:MOST])


def _in_state(books: Books, *states: TaskState) -> frozenset[str]:
    return frozenset(task_id for task_id, facts in books.records.items() if facts["state"] in states)


def _sets(books: Books) -> Iterator[str]:
    for pool, members in sorted(books.ready.items()):
        wanted = {
            task_id
            for task_id in _in_state(books, TaskState.READY)
            if POOLS[TaskType(books.records[task_id]["type"])] == pool
        }
        yield from _differences(f"ready:{pool}", members, wanted)
    leased = _in_state(books, TaskState.LEASED)
    yield from _differences("leases", books.leases, leased)
    yield from _differences("submitted", books.submitted, _in_state(books, TaskState.SUBMITTED))
    with_changes = _in_state(books, TaskState.SUBMITTED, TaskState.FIXING)
    yield from _differences("changes", books.changes, with_changes)
    yield from _differences("agents at work", frozenset(books.working.values()), leased)


def _differences(name: str, members: AbstractSet[str], wanted: AbstractSet[str]) -> Iterator[str]:
    for task_id in sorted(wanted - members):
        yield f"task {task_id} is not in {name}, where its state puts it"
    for task_id in sorted(members - wanted):
        yield f"task {task_id} is in {name}, where its state does not put it"


def _waiting(books: Books) -> Iterator[str]:
    """A pending task waits for something that can still happen."""
    waits: dict[str, int] = {}
    for dependency, dependents in books.dependents.items():
        record = books.records.get(dependency)
        if record is not None and record["state"] not in FINAL:
            for task_id in dependents:
                waits[task_id] = waits.get(task_id, 0) + 1
    for task_id in sorted(_in_state(books, TaskState.PENDING)):
        counted = int(books.records[task_id].get("waits", 0))
        real = waits.get(task_id, 0)
        if counted != real or real == 0:
            yield f"task {task_id} waits for {counted} tasks, and {real} that are open would wake it"


def _repairs(books: Books) -> Iterator[str]:
    for task_id in sorted(_in_state(books, TaskState.FIXING)):
        fix = books.records[task_id].get("fix", "")
        if books.records.get(fix, {}).get("state", "") not in _OPEN_STATES:
            yield f"task {task_id} is fixing, and its repair {fix or '(none)'} is not open"


def _counters(books: Books) -> Iterator[str]:
    opened = _in_state(books, *_OPEN_STATES)
    for name, real in (("total", len(books.records)), ("open", len(opened))):
        counted = int(books.run.get(name, 0))
        if counted != real:
            yield f"the counter {name} says {counted}, and there are {real}"


def _money(books: Books) -> Iterator[str]:
    limit, spent, reserved = (int(books.ledger.get(name, 0)) for name in ("limit", "spent", "reserved"))
    if spent + reserved > limit:
        yield f"spent {spent} and reserved {reserved} exceed the limit {limit} (micro-dollars)"
    for call in sorted(call for call, amount in books.held.items() if amount is None):
        yield f"call {call} is in flight and has no record"
    held = sum(amount or 0 for amount in books.held.values())
    if held != reserved:
        yield f"reserved is {reserved}, and the calls in flight hold {held} (micro-dollars)"
    charged = sum(int(facts.get("cost", 0)) for facts in books.records.values())
    if charged > spent:
        yield f"spent is {spent}, and the tasks were charged {charged} (micro-dollars)"

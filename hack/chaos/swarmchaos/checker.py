"""From a history of answers to the promises it breaks. Pure; a checker that cannot fail is worth nothing.

A token is "epoch-counter". Within one run the order of tokens is the order of claims, for an epoch only rises
and a counter only grows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

from swarmchaos.journal import CLAIMING, Ack
from swarmchaos.values import Kind, Violation
from swarmrun.core.task import TaskState

#: How far a task has come, where claims are never given back.
_RANK: Final = {
    TaskState.PENDING: 0,
    TaskState.READY: 0,
    TaskState.LEASED: 1,
    TaskState.SUBMITTED: 2,
    TaskState.COMPLETED: 3,
}
_REACHED: Final = {"claim": 1, "submit": 2, "land": 3}


def token_order(token: str) -> tuple[int, int]:
    """Return what tokens are ordered by."""
    epoch, _, counter = token.partition("-")
    return int(epoch), int(counter)


def tokens_given_twice(acks: Iterable[Ack]) -> list[Violation]:
    """Find tokens that two claims were answered with: two holders of one lease."""
    given = Counter((ack.run, ack.token) for ack in acks if ack.what == "claim" and ack.reply == "OK")
    return [
        Violation(Kind.DOUBLE, f"{run}: token {token} was given {times} times")
        for (run, token), times in given.items()
        if times > 1
    ]


def stale_accepted(acks: Iterable[Ack]) -> list[Violation]:
    """Find calls that were answered OK although a later claim had been answered before they began."""
    by_task: dict[tuple[str, str], list[Ack]] = defaultdict(list)
    for ack in acks:
        if ack.reply == "OK":
            by_task[ack.run, ack.task].append(ack)
    found = []
    for (run, task), own in by_task.items():
        claims = [ack for ack in own if ack.what == "claim"]
        for ack in own:
            later = [
                c for c in claims if c.ended < ack.began and token_order(c.token) > token_order(ack.token)
            ]
            if later:
                told = f"{ack.what} under {ack.token} was accepted after claim {later[0].token}"
                found.append(Violation(Kind.DOUBLE, f"{run}/{task}: {told}"))
    return found


def done_twice(acks: Iterable[Ack]) -> list[Violation]:
    """Find tasks that were completed twice. Pure bookkeeping of the queue; the branch has its own check."""
    landings = Counter((ack.run, ack.task) for ack in acks if ack.what == "land" and ack.reply == "OK")
    return [
        Violation(Kind.DOUBLE, f"{run}/{task}: completed {times} times")
        for (run, task), times in landings.items()
        if times > 1
    ]


def claims_lost(acks: Iterable[Ack]) -> list[Violation]:
    """Find tasks with two answered claims, where a claim never ends but by its task's completion."""
    claims = Counter((ack.run, ack.task) for ack in acks if ack.what == "claim" and ack.reply == "OK")
    return [
        Violation(Kind.LOST, f"{run}/{task}: {times} claims were answered, none was given back")
        for (run, task), times in claims.items()
        if times > 1
    ]


def writes_lost(
    acks: Iterable[Ack],
    states: Mapping[str, Mapping[str, TaskState]],
    commits: Mapping[str, Mapping[str, str]],
) -> list[Violation]:
    """Compare answers with a store read after them: what was answered must be there.

    `states`, `commits`: run → task → what the store says. Runs that it does not hold are not judged. Valid
    where claims are never given back.
    """
    found = []
    for ack in acks:
        if ack.reply not in {"OK", "DUP"} or ack.what not in _REACHED or ack.run not in states:
            continue
        state = states[ack.run].get(ack.task)
        if state is None or _RANK.get(state, -1) < _REACHED[ack.what]:
            told = f"{ack.what} under {ack.token} was acknowledged, the store says {state}"
            found.append(Violation(Kind.LOST, f"{ack.run}/{ack.task}: {told}"))
        elif ack.what == "land" and commits[ack.run].get(ack.task) != ack.detail:
            told = f"landed as {ack.detail}, the store says {commits[ack.run].get(ack.task)}"
            found.append(Violation(Kind.LOST, f"{ack.run}/{ack.task}: {told}"))
    return found


def refused_holders(acks: Iterable[Ack]) -> list[Violation]:
    """Find answered claims whose holder then heard STALE, where no lease expires or is given back."""
    held = {(ack.run, ack.token) for ack in acks if ack.what == "claim" and ack.reply == "OK"}
    return [
        Violation(Kind.LOST, f"{ack.run}/{ack.task}: {ack.what} of the holder of {ack.token} was STALE")
        for ack in acks
        if ack.reply == "STALE" and ack.what in {"heartbeat", "submit"} and (ack.run, ack.token) in held
    ]


def branch(planned: Sequence[str], commits: Sequence[tuple[str, str]]) -> list[Violation]:
    """Compare a plan with the branch, (task, commit) per commit: each task exactly once."""
    times = Counter(task for task, _ in commits)
    lost = [Violation(Kind.LOST, f"{task}: not on the branch") for task in planned if task not in times]
    double = [
        Violation(Kind.DOUBLE, f"{task}: {count} commits on the branch")
        for task, count in times.items()
        if count > 1
    ]
    foreign = set(times) - set(planned)
    return [*lost, *double, *(Violation(Kind.DOUBLE, f"{task}: nobody planned it") for task in foreign)]


def agreement(
    states: Mapping[str, TaskState], commits: Mapping[str, str], on_branch: Sequence[tuple[str, str]]
) -> list[Violation]:
    """Compare the ended queue with the branch: every task is completed, under the branch's commit."""
    named = dict(on_branch)
    found = [
        Violation(Kind.STUCK, f"{task}: {state} at the end")
        for task, state in states.items()
        if state is not TaskState.COMPLETED
    ]
    found += [
        Violation(Kind.LOST, f"{task}: the queue says {commits.get(task)}, the branch {named.get(task)}")
        for task, state in states.items()
        if state is TaskState.COMPLETED and commits.get(task) != named.get(task)
    ]
    return found


def recoveries(
    acks: Iterable[Ack], deaths: Iterable[tuple[float, str]], *, urgent: Container[str]
) -> list[float]:
    """Return the seconds from each death of a holder, (time, pod), to the next claim of its task.

    Tasks that are not `urgent` may have waited behind others, and are not counted; nor are those that another
    pod may have claimed and taken to its grave.
    """
    by_pod: dict[str, list[Ack]] = defaultdict(list)
    claims: dict[tuple[str, str], list[Ack]] = defaultdict(list)
    for ack in sorted(acks, key=lambda ack: ack.ended):
        if ack.what != "heartbeat":
            by_pod[ack.pod].append(ack)
        if ack.what == "claim" and ack.reply == "OK":
            claims[ack.run, ack.task].append(ack)
    last = [(at, _last(by_pod[pod], at)) for at, pod in deaths]
    unknown = [at for at, ack in last if ack is not None and ack.what == CLAIMING]
    found = []
    for at, held in last:
        if held is None or held.what != "claim" or held.task not in urgent:
            continue
        again = [c.ended for c in claims[held.run, held.task] if c.ended > at and c.token != held.token]
        # Whoever died while he claimed may have had it in between.
        if again and not any(at < other < again[0] for other in unknown):
            found.append(again[0] - at)
    return found


def _last(acks: Sequence[Ack], at: float) -> Ack | None:
    """Return the last of a pod's answers before a moment."""
    before = [ack for ack in acks if ack.ended <= at]
    return before[-1] if before else None


def late(seconds: Iterable[float], limit: float) -> list[Violation]:
    """Find recoveries that took longer than promised."""
    return [
        Violation(Kind.LATE, f"ready again after {each:.2f} s, more than {limit:.2f} s")
        for each in seconds
        if each > limit
    ]

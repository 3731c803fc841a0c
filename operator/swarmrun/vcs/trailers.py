"""Commit messages and their trailers: how the branch itself says which task a commit completes. Pure.

Only the last paragraph of a message counts, and only when every line of it is a trailer (the rule of
`git interpret-trailers`, without its leniency). Text that a model wrote goes above it, so it can never speak
as a trailer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

RUN: Final = "Swarm-Run"
TASK: Final = "Swarm-Task"
ATTEMPT: Final = "Swarm-Attempt"
AGENT: Final = "Swarm-Agent"

_TRAILER = re.compile(r"^([A-Za-z][A-Za-z0-9-]*): (\S.*)$")
_SUBJECT_LIMIT: Final = 200
_BODY_LIMIT: Final = 2000


@dataclass(frozen=True, slots=True)
class Trailers:
    """What one commit of the swarm says of itself."""

    run: str
    task: str
    attempt: int
    agent: str


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def commit_message(*, task_type: str, title: str, summary: str, trailers: Trailers) -> str:
    """Write the message of one task's commit: subject, summary, trailers."""
    subject = _one_line(f"{task_type}: {title}")[:_SUBJECT_LIMIT]
    body = "\n".join(_one_line(line) for line in summary[:_BODY_LIMIT].splitlines()).strip()
    block = "\n".join(
        f"{key}: {_one_line(value)}"
        for key, value in (
            (RUN, trailers.run),
            (TASK, trailers.task),
            (ATTEMPT, str(trailers.attempt)),
            (AGENT, trailers.agent),
        )
    )
    return "\n\n".join(part for part in (subject, body, block) if part) + "\n"


def parse(message: str) -> Trailers | None:
    """Read the trailers of a commit message; None when it is not a commit of a swarm."""
    paragraphs = [p for p in re.split(r"\n\s*\n", message.strip()) if p]
    if len(paragraphs) < 2:  # noqa: PLR2004 — a subject alone carries no trailers
        return None
    found: dict[str, str] = {}
    for line in paragraphs[-1].splitlines():
        match = _TRAILER.match(line.rstrip())
        if match is None:
            return None
        found[match[1]] = match[2]
    attempt = found.get(ATTEMPT, "1")
    if RUN not in found or TASK not in found or not attempt.isascii() or not attempt.isdigit():
        return None
    return Trailers(run=found[RUN], task=found[TASK], attempt=int(attempt), agent=found.get(AGENT, ""))


def landed(messages: Iterable[tuple[str, str]], *, run: str) -> Mapping[str, str]:
    """Map task id to commit for the commits (hash, message) of one run, newest first: the newest wins."""
    found: dict[str, str] = {}
    for commit, message in messages:
        trailers = parse(message)
        if trailers is not None and trailers.run == run:
            found.setdefault(trailers.task, commit)
    return found

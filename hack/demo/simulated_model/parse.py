"""Read the agents' prompt: sections, their JSON, and the conversation's repair rounds."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

_FENCE = re.compile(r"^(`{3,})([^`]*)$")


@dataclass(frozen=True)
class Message:
    """One turn of a conversation, as plain text."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True)
class Fence:
    """A fenced block and the info string that opens it."""

    info: str
    content: str


@dataclass(frozen=True)
class Section:
    """What stands below one `## Title`."""

    lines: tuple[str, ...] = ()
    fences: tuple[Fence, ...] = ()

    def json(self) -> Any:
        """Decode the first fenced JSON; None without one."""
        for fence in self.fences:
            if fence.info.strip() == "json":
                return json.loads(fence.content)
        return None

    def items(self) -> list[str]:
        """Give the texts of `- item` lines."""
        return [line[2:].strip() for line in self.lines if line.startswith("- ")]


@dataclass(frozen=True)
class Prompt:
    """All that an answer may depend on."""

    task_id: str
    type: str
    title: str
    attempt: int
    #: Answers of this conversation that came before, so 0 in the first round.
    round: int
    project: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, Any] | None = None
    related: tuple[dict[str, Any], ...] = ()
    detail: dict[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    hint: str = ""
    #: The agent asks again because the last answer hit the limit of output tokens.
    shortened: bool = False
    #: Files of this answer that came before the cut, when the agent asks for the rest.
    received: tuple[str, ...] = ()


class NotAPromptError(ValueError):
    """The conversation holds no `## Task` section with an id and a type."""


def sections(text: str) -> dict[str, Section]:
    """Split a prompt at its `## ` headings; headings inside fences are content."""
    found: dict[str, Section] = {}
    title, lines, fences = "", [], []  # type: str, list[str], list[Fence]
    opening, info, content = "", "", []  # type: str, str, list[str]
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if opening:
            if fence and fence[1] == opening and not fence[2].strip():
                fences.append(Fence(info, "\n".join(content)))
                opening, content = "", []
            else:
                content.append(line)
        elif fence:
            opening, info = fence[1], fence[2]
        elif line.startswith("## "):
            found[title] = Section(tuple(lines), tuple(fences))
            title, lines, fences = line[3:].strip(), [], []
        else:
            lines.append(line)
    found[title] = Section(tuple(lines), tuple(fences))
    return found


def _task_lines(section: Section) -> dict[str, str]:
    pairs = (item.partition(":") for item in section.items())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _number(text: str, fallback: int) -> int:
    return int(text) if text.isdigit() else fallback


def parse(messages: Sequence[Message]) -> Prompt:
    """Read a conversation.

    Raises:
        NotAPromptError: it is something else than a task, such as a greeting.
    """
    users = [m.text for m in messages if m.role == "user"]
    parts = sections(users[0]) if users else {}
    facts = _task_lines(parts.get("Task", Section()))
    if not facts.get("id") or not facts.get("type"):
        raise NotAPromptError("the first user message has no '## Task' section with '- id:' and '- type:'")
    detail = parts["Task"].json() or {}
    resource = parts.get("Resource", Section()).json() or detail.get("resource")
    related = parts.get("Related resources", Section()).json() or detail.get("related") or []
    files = {
        f.info.partition(":")[2].strip(): f.content for f in parts.get("Existing files", Section()).fences
    }
    return Prompt(
        task_id=facts["id"],
        type=facts["type"],
        title=facts.get("title", ""),
        attempt=_number(facts.get("attempt", ""), 1),
        round=sum(m.role == "assistant" for m in messages),
        project=parts.get("Project", Section()).json() or detail.get("project") or {},
        resource=resource,
        related=tuple(related),
        detail=detail,
        paths=tuple(parts.get("Paths you may write", Section()).items()),
        files=files,
        hint="\n".join(parts.get("Hint", Section()).lines).strip(),
        shortened="Answer too long" in parts,
        received=tuple(sections(users[-1]).get("Answer cut off", Section()).items()),
    )

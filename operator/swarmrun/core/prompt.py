"""The text that a model gets: two messages, sections in the order of docs/contracts.md. Pure.

What is the same for all tasks of a run comes first, so that providers can cache the prefix. Budgets are
characters; every one is bounded. Content is fenced longer than any fence it holds. The fixed wording is
data in `swarmrun.core.prompts`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from swarmrun.core import prompts
from swarmrun.core.edits import fence_for, language_of, render_file
from swarmrun.core.errors import Problem
from swarmrun.core.sandbox import StepResult
from swarmrun.core.task import Failure, Frozen, Specialization, Task, TaskType

FILES_BUDGET: Final = 60_000
FAILURE_BUDGET: Final = 6_000
STEP_BUDGET: Final = 8_000
HINT_BUDGET: Final = 4_000
MAX_FAILURES: Final = 5
MAX_CHANGES: Final = 10
_SECTIONS_OF_SPEC: Final = frozenset({"project", "resource", "related"})


class PromptFile(Frozen):
    """A file of the repository as the model sees it."""

    path: str
    content: str


class PromptInput(Frozen):
    """All that the user message depends on."""

    task: Task
    attempt: int
    failures: tuple[Failure, ...] = ()
    hint: str = ""
    #: Own files first, then those worth reading, as `fit` chose them.
    files: tuple[PromptFile, ...] = ()
    #: Paths that exist but are not shown.
    left_out: tuple[str, ...] = ()
    #: "sha subject" of recent commits, newest first.
    changes: tuple[str, ...] = ()


def fit(
    files: Sequence[PromptFile], budget: int = FILES_BUDGET
) -> tuple[tuple[PromptFile, ...], tuple[str, ...]]:
    """Choose whole files in order while the budget bears them; return those, and the paths of the rest."""
    chosen: list[PromptFile] = []
    left_out: list[str] = []
    for file in files:
        if len(file.content) <= budget:
            budget -= len(file.content)
            chosen.append(file)
        else:
            left_out.append(file.path)
    return tuple(chosen), tuple(left_out)


def system_prompt(
    project_name: str, conventions: str, specialization: Specialization, task_type: TaskType
) -> str:
    """Render the system message; the same bytes for the same arguments."""
    parts = [
        prompts.IDENTITY.format(
            project=_one_line(project_name), specialization=prompts.SPECIALIZATIONS[specialization]
        ),
        prompts.RULES,
        prompts.ANSWER_FORMAT,
        f"# This kind of task\n\n{prompts.GUIDANCE[task_type]}",
        f"# Conventions\n\n{conventions.strip()}" if conventions.strip() else "",
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def user_prompt(given: PromptInput) -> str:
    """Render the user message; sections without content are left out."""
    spec = given.task.spec
    sections = [
        _section("Project", _json(spec["project"]) if spec.get("project") else ""),
        _section("Resource", _json(spec["resource"]) if spec.get("resource") else ""),
        _section("Related resources", _json(spec["related"]) if spec.get("related") else ""),
        _section("Task", _task(given.task, given.attempt)),
        _section("Paths you may write", "\n".join(f"- {glob}" for glob in given.task.owned)),
        _section("Existing files", _files(given.files, given.left_out)),
        _section("Recent changes", "\n".join(f"- {_one_line(c)}" for c in given.changes[:MAX_CHANGES])),
        _section("Hint", _quoted_headings(given.hint.strip()[:HINT_BUDGET])),
        _section("Previous failures", _failures(given.failures[-MAX_FAILURES:])),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def check_failed(results: Sequence[StepResult]) -> str:
    """Render the message of a repair round from the steps that failed."""
    parts = ["## Check failed"]
    for step in results:
        if step.exit_code not in (0, None):
            how = "timed out" if step.timed_out else f"exit code {step.exit_code}"
            parts.append(f"### {_one_line(step.name)}\n\n{how}\n\n{_fenced(tail(step.output, STEP_BUDGET))}")
    return "\n\n".join([*parts, prompts.REPAIR]) + "\n"


def format_refused(problems: Sequence[Problem]) -> str:
    """Render the message that asks again after an answer that could not be used."""
    found = "\n".join(f"- {_one_line(str(problem))[:500]}" for problem in problems)
    return f"## Answer refused\n\n{prompts.REFUSED}\n\n{found}\n\n{prompts.ASK_AGAIN}\n"


def answer_cut(max_tokens: int) -> str:
    """Render what is added to the user message after an answer that hit the output limit."""
    return f"\n## Answer too long\n\n{prompts.TOO_LONG.format(tokens=max_tokens)}\n"


def answer_continues(received: Sequence[str], max_tokens: int) -> str:
    """Render the request to go on after an answer that was cut; `received` are its whole files."""
    listed = "\n".join(f"- {path}" for path in received)
    return f"## Answer cut off\n\n{prompts.CONTINUE.format(tokens=max_tokens)}\n\n{listed}\n"


def tail(text: str, limit: int) -> str:
    """Keep the last `limit` characters, from a line's beginning on where there is one."""
    if len(text) <= limit:
        return text
    kept = text[-limit:]
    return kept[kept.find("\n") + 1 :] if "\n" in kept[:-1] else kept


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _task(task: Task, attempt: int) -> str:
    lines = (
        f"- id: {task.id}",
        f"- type: {task.type.value}",
        f"- title: {_one_line(task.title)}",
        f"- attempt: {attempt}",
    )
    rest = {key: value for key, value in task.spec.items() if key not in _SECTIONS_OF_SPEC}
    return "\n".join(lines) + (f"\n\n{_json(rest)}" if rest else "")


def _files(files: Sequence[PromptFile], left_out: Sequence[str]) -> str:
    shown = [render_file(file.path, file.content, language_of(file.path)) for file in files]
    named = "\n".join(f"- not shown for lack of space: {path}" for path in left_out[:50])
    return "\n\n".join([*shown, named] if named else shown)


def _failures(failures: Sequence[Failure]) -> str:
    parts = []
    for failure in failures:
        title = f"### {failure.kind.value} {_one_line(failure.step)}".rstrip()
        output = f"\n\n{_fenced(tail(failure.output, FAILURE_BUDGET))}" if failure.output.strip() else ""
        parts.append(f"{title}\n\n{_quoted_headings(failure.message)}{output}")
    return "\n\n".join(parts)


def _json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    mark = fence_for(text)
    return f"{mark}json\n{text}\n{mark}"


def _fenced(text: str) -> str:
    mark = fence_for(text)
    return f"{mark}text\n{text.rstrip()}\n{mark}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted_headings(text: str) -> str:
    """Keep free text from posing as a section or opening a fence."""
    return "\n".join(
        f"\\{line}" if line.lstrip().startswith(("#", "```", "~~~")) else line for line in text.split("\n")
    )

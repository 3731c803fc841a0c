"""From a prompt to the text of an answer. Pure: the same conversation gives the same answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulated_model.docs import docs_page
from simulated_model.endpoint import endpoint_module, read_endpoint
from simulated_model.endpoint_tests import test_module
from simulated_model.faults import Faults, spoil
from simulated_model.parse import Message, NotAPromptError, Prompt, parse
from simulated_model.requirement import requirement_files
from simulated_model.scaffold import scaffold_files
from simulated_model.schema import factory, migration, model_module, read_schema

_LANGUAGES = {"ts": "typescript", "mjs": "javascript", "sql": "sql", "md": "markdown", "json": "json"}
_HELLO = "I write files for tasks. This conversation has no '## Task' section, so there is nothing to write."


@dataclass(frozen=True)
class Answer:
    """What the model says, and the fault that was put into it."""

    text: str
    prompt: Prompt | None
    fault: str = ""
    #: False when the answer stops in the middle, as at the limit of output tokens.
    whole: bool = True


def _glob(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*\*|\*)", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return re.compile("".join(known.get(p, re.escape(p)) for p in parts))


def _allowed(path: str, patterns: Sequence[str]) -> bool:
    return any(_glob(p).fullmatch(path) for p in patterns)


def _database(prompt: Prompt) -> dict[str, str]:
    schema = read_schema(prompt)
    files = {}
    for path in prompt.paths:
        if path.endswith(".sql"):
            files[path] = migration(schema)
        elif path.startswith("src/models/"):
            files[path] = model_module(schema.model)
        elif path.startswith("tests/factories/"):
            files[path] = factory(schema.model)
    return files


def _endpoint(prompt: Prompt) -> dict[str, str]:
    endpoint = read_endpoint(prompt)
    return {p: endpoint_module(endpoint) for p in prompt.paths if p.startswith("src/") and p.endswith(".ts")}


def _tests(prompt: Prompt) -> dict[str, str]:
    """The tests; or, when a repair gave us the code that they exercise, that code."""
    endpoint = read_endpoint(prompt)
    tests = {p: test_module(endpoint) for p in prompt.paths if p.endswith(".test.ts")}
    return tests or _endpoint(prompt)


def _docs(prompt: Prompt) -> dict[str, str]:
    return {p: docs_page(prompt) for p in prompt.paths if p.endswith(".md")}


def _scaffold(prompt: Prompt) -> dict[str, str]:
    return {p: c for p, c in scaffold_files(prompt).items() if _allowed(p, prompt.paths)}


def _refactor(prompt: Prompt) -> dict[str, str]:
    """A refactoring that is safe without understanding: the task's own files, with tidy line ends."""
    own = {p: c for p, c in prompt.files.items() if _allowed(p, prompt.paths)}
    return {p: "\n".join(line.rstrip() for line in c.splitlines()) + "\n" for p, c in own.items()}


_WRITERS: dict[str, Callable[[Prompt], dict[str, str]]] = {
    "scaffold": _scaffold,
    "implement_database": _database,
    "implement_endpoint": _endpoint,
    "write_tests": _tests,
    "implement_requirement": requirement_files,
    "write_docs": _docs,
    "refactor": _refactor,
}


def files_for(prompt: Prompt) -> dict[str, str]:
    """Write the files that a task asks for, by path.

    Raises:
        KeyError: the prompt lacks what its type needs.
    """
    kind = prompt.type
    if kind == "fix_bug":
        kind = str((prompt.detail.get("target") or {}).get("type") or "")
    writer = _WRITERS.get(kind)
    if writer is None:
        raise KeyError(f"task type {kind!r}")
    return writer(prompt)


def _fence(content: str) -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", content)), default=2)
    return "`" * (longest + 1)


def render(files: dict[str, str]) -> str:
    """Write files in the answer format: fences with `language:path`, then the count."""
    blocks = []
    for path, content in files.items():
        language = _LANGUAGES.get(path.rpartition(".")[2], "text")
        fence = _fence(content)
        blocks.append(f"{fence}{language}:{path}\n{content}{fence}\n")
    return "\n".join(blocks) + f"\nFILES: {len(files)}\n"


def _spoiled(files: dict[str, str], fault: str) -> dict[str, str]:
    if fault != "wrong-code":
        return files
    return {path: spoil(path, content) for path, content in files.items()}


def _broken(text: str, fault: str) -> str:
    """Break the form of an answer."""
    if fault == "malformed":
        return text.replace("FILES: ", "I wrote this many files: ").replace(":src/", " src/", 1)
    return text[: max(1, len(text) * 2 // 3)] if fault == "truncate" else text


def answer(messages: Sequence[Message], faults: Faults) -> Answer:
    """Answer a conversation."""
    try:
        prompt = parse(messages)
    except NotAPromptError:
        return Answer(_HELLO, None)
    fault = faults.content(
        prompt.task_id,
        prompt.attempt,
        prompt.round,
        hint=bool(prompt.hint),
        shortened=prompt.shortened,
    )
    if fault == "wrong-code" and prompt.type == "fix_bug" and not faults.stubborn:
        fault = ""
    try:
        files = files_for(prompt)
    except KeyError as error:
        return Answer(f"I cannot do this task: the prompt lacks {error}.\n\nFILES: 0\n", prompt)
    files = {path: content for path, content in files.items() if path not in prompt.received} or files
    spoiled = _spoiled(files, fault)
    if fault == "wrong-code" and spoiled == files:
        fault = ""
    text = f"{prompt.title or prompt.task_id}: done as the conventions ask.\n\n" + render(spoiled)
    return Answer(_broken(text, fault), prompt, fault, whole=fault != "truncate")

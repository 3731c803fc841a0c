"""From a model's answer to file edits, or to a list of everything that is wrong with it. Pure.

The format is that of docs/contracts.md: one fence per file with the info string `lang:path`, `DELETE: path`
lines, and a last line `FILES: <count>`. Fences follow CommonMark 0.31 §4.5 (closing: same character, at
least as long, nothing behind it, at most three spaces before it). CommonMark has an answer for every text;
here whatever could be read in two ways is a fault: a truncated or wrongly nested fence must never become a
file. Either all edits of an answer are taken or none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from swarmrun.core.errors import Invalid, Problem
from swarmrun.core.ownership import MAX_PATH, path_problem
from swarmrun.core.task import FileEdit

MAX_FILES: Final = 200
MAX_CONTENT: Final = 262_144
MIN_FENCE: Final = 3
#: Faults told in one go; a hopeless answer has thousands.
MAX_PROBLEMS: Final = 20

_OPENING = re.compile(r"^( {0,3})(`{3,}|~{3,})[ \t]*(.*)$")
_FILE_INFO = re.compile(r"^([A-Za-z0-9+#._-]*):(\S.*)$")
_LOOKS_LIKE_PATH = re.compile(r"^\S*[/.]\S+$")
_DELETE = re.compile(r"^DELETE:[ \t]*`?([^`]*)`?$")
_MANIFEST = re.compile(r"^[*_`]*FILES:[ \t]*(\d{1,6})[*_`]*$")
#: A comment that stands for text which the model did not want to repeat.
_ELISION = re.compile(
    r"""^\s*(?://|\#|/\*+|\*|<!--|--|;|\{/\*)\s*
    (?: [\[(<]?\s*(?:\.{3}|…).{0,40}
        \b(?:existing|rest|remaining|previous|unchanged|omitted|same|as\ before|more|other)\b
      | (?:the\s+)?(?:rest|remainder)\s+of\s+(?:(?:the|this)\s+)?(?:\w+\s+)?
        (?:code|file|implementation|function|class|module|tests?|content)\s*
        (?:here|goes|remains?|stays?|is|are|as|unchanged|omitted|\.{3}|…|\*/|-->|$)
      | (?:existing|previous|remaining|other)\s+
        (?:code|content|imports|methods|functions|tests|implementation)\s+
        (?:here|goes\ here|remains?|stays?|unchanged|omitted|as\ before|above|below)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
#: Prose and data may quote such a comment.
_PROSE: Final = (".md", ".rst", ".txt")


class FormatProblem(Invalid):
    """The answer does not follow the format. Nothing of it may be used; ask again with `problems`."""


@dataclass
class _Block:
    """A fence being read. `path` is empty for a fence that is no file."""

    line: int
    indent: int
    mark: str
    info: str
    path: str
    lines: list[str] = field(default_factory=list)

    def closed_by(self, line: str) -> bool:
        found = _OPENING.match(line)
        return found is not None and found[2].startswith(self.mark) and not found[3].strip()

    def holds_opening(self, line: str) -> bool:
        """Tell whether `line` would open a fence if this one had been closed before it."""
        found = _OPENING.match(line)
        return found is not None and found[2].startswith(self.mark) and bool(found[3].strip())

    def add(self, line: str) -> None:
        leading = len(line) - len(line.lstrip(" "))
        self.lines.append(line[min(leading, self.indent) :])


@dataclass
class _Reading:
    """What was found so far."""

    edits: list[FileEdit] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    block: _Block | None = None
    manifest: int | None = None
    manifest_last: bool = False

    def fault(self, where: str, found: str, rule: str, fix: str) -> None:
        self.problems.append(Problem(path=where, value=ascii(found[:80]), rule=rule, fix=fix))


def parse_answer(text: str) -> tuple[FileEdit, ...]:
    """Read all edits of an answer, in its order.

    Raises:
        FormatProblem: with every fault found, at most `MAX_PROBLEMS`; no edit may be used then.
    """
    reading = _Reading()
    for number, line in enumerate(_lines(text), start=1):
        if reading.block is not None:
            _inside(reading, reading.block, line, number)
        else:
            _outside(reading, line, number)
    _end(reading)
    if reading.problems:
        raise FormatProblem(reading.problems[:MAX_PROBLEMS])
    return tuple(reading.edits)


def parse_whole_files(text: str) -> tuple[FileEdit, ...]:
    """Read the edits of an answer that was cut off: those that ended before the cut, or none if in doubt.

    The last closed fence counts only when something opened after it: at the very end it may be the
    end of a fence inside the file.
    """
    reading = _Reading()
    for number, line in enumerate(_lines(text), start=1):
        if reading.block is not None:
            _inside(reading, reading.block, line, number)
        else:
            _outside(reading, line, number)
    if reading.problems:
        return ()
    return tuple(reading.edits if reading.block is not None else reading.edits[:-1])


def _lines(text: str) -> Iterator[str]:
    """Split at line feeds only: other separators of Unicode are content."""
    for line in text.split("\n"):
        yield line.removesuffix("\r")


def _inside(reading: _Reading, block: _Block, line: str, number: int) -> None:
    if block.closed_by(line):
        reading.block = None
        if block.path:
            _take_file(reading, block)
        return
    if block.holds_opening(line):
        reading.fault(
            f"line {number}",
            line,
            f"must not open a fence inside the fence of line {block.line}, which is not longer",
            "close the outer fence first, or give it more backticks than any fence in its content",
        )
    block.add(line)


def _outside(reading: _Reading, line: str, number: int) -> None:
    text = line.strip()
    if (opening := _OPENING.match(line)) is not None:
        reading.block = _opened(reading, opening, number)
    elif (deletion := _DELETE.match(text)) is not None:
        _take(reading, _Draft(deletion[1].strip(), None, number))
    elif (manifest := _MANIFEST.match(text)) is not None:
        reading.manifest, reading.manifest_last = int(manifest[1]), True
        return
    if text:
        reading.manifest_last = False


def _opened(reading: _Reading, opening: re.Match[str], number: int) -> _Block:
    indent, mark, info = len(opening[1]), opening[2], opening[3].strip()
    found = _FILE_INFO.match(info)
    path = found[2].strip() if found else ""
    if not info:
        reading.fault(
            f"line {number}",
            opening[0],
            "must not be a fence without an info string: it may be the end of one that was closed too early",
            "give a file whose content holds fences a longer outer fence, and show nothing else in fences",
        )
    elif not path and _LOOKS_LIKE_PATH.match(info):
        reading.fault(
            f"line {number}", info, "must have the info string lang:path", f"write {mark}text:{info}"
        )
    return _Block(line=number, indent=indent, mark=mark, info=info, path=path)


@dataclass(frozen=True)
class _Draft:
    """An edit before it is judged; `content` is None for a deletion."""

    path: str
    content: str | None
    line: int


def _take_file(reading: _Reading, block: _Block) -> None:
    content = "".join(f"{line}\n" for line in block.lines)
    if not block.path.lower().endswith(_PROSE):
        for offset, line in enumerate(block.lines, start=1):
            if _ELISION.match(line):
                reading.fault(
                    f"{block.path} line {offset}",
                    line.strip(),
                    "must not stand for text that was left out",
                    "write the whole file",
                )
                break
    _take(reading, _Draft(block.path, content, block.line))


def _take(reading: _Reading, draft: _Draft) -> None:
    content = draft.content or ""
    before = len(reading.problems)
    if (unsafe := path_problem(draft.path)) is not None:
        reading.problems.append(unsafe.model_copy(update={"path": f"line {draft.line}"}))
    if any(edit.path == draft.path for edit in reading.edits):
        reading.fault(draft.path, draft.path, "must occur once in an answer", "give its final content only")
    if len(content) > MAX_CONTENT:
        reading.fault(
            draft.path, f"{len(content)} characters", f"must have at most {MAX_CONTENT}", "split it"
        )
    if "\0" in content or any("\ud800" <= char <= "\udfff" for char in content):
        reading.fault(draft.path, "binary", "must be text", "write text files only")
    if len(reading.edits) >= MAX_FILES:
        reading.fault(
            draft.path, draft.path, f"must be one of at most {MAX_FILES} files", "write fewer files"
        )
    if len(reading.problems) == before and len(draft.path) <= MAX_PATH:
        action = "delete" if draft.content is None else "write"
        reading.edits.append(
            FileEdit.model_validate({"path": draft.path, "action": action, "content": content})
        )


def _end(reading: _Reading) -> None:
    if (block := reading.block) is not None:
        reading.fault(
            f"line {block.line}",
            f"{block.mark}{block.info}",
            "must be closed before the answer ends",
            "write fewer or shorter files, so that the whole answer fits",
        )
        return
    count = len(reading.edits)
    if reading.manifest is None:
        reading.fault("answer", "none", "must end with the line FILES: <count>", "add it after the last file")
    elif not reading.manifest_last:
        reading.fault(
            "answer", f"FILES: {reading.manifest}", "must have it as its last line", "move it there"
        )
    elif reading.manifest != count and not reading.problems:
        reading.fault(
            "answer",
            f"FILES: {reading.manifest}",
            f"must count its files and deletions, which are {count}",
            "write every file in a fence of its own with the info string lang:path, and count again",
        )
    if count == 0 and not reading.problems:
        reading.fault(
            "answer", "FILES: 0", "must hold at least one file", "write the files that the task needs"
        )


def fence_for(content: str) -> str:
    """Return a run of backticks longer than any in `content`, at least three."""
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    return "`" * max(MIN_FENCE, longest + 1)


def render_file(path: str, content: str, language: str) -> str:
    """Render one file as the format demands. A missing line end at the end of the file is added."""
    mark = fence_for(content)
    end = "" if not content or content.endswith("\n") else "\n"
    return f"{mark}{language}:{path}\n{content}{end}{mark}"


def render_answer(edits: Sequence[FileEdit]) -> str:
    """Render edits as an answer; `parse_answer` reads it back."""
    return "\n\n".join([render_files(edits), f"FILES: {len(edits)}"])


def render_files(edits: Sequence[FileEdit]) -> str:
    """Render edits without the count that ends an answer."""
    return "\n\n".join(
        f"DELETE: {edit.path}"
        if edit.action == "delete"
        else render_file(edit.path, edit.content, language_of(edit.path))
        for edit in edits
    )


_LANGUAGES: Final = {
    "ts": "typescript",
    "mts": "typescript",
    "tsx": "tsx",
    "js": "javascript",
    "mjs": "javascript",
    "cjs": "javascript",
    "py": "python",
    "sql": "sql",
    "json": "json",
    "md": "markdown",
    "yaml": "yaml",
    "yml": "yaml",
    "toml": "toml",
    "sh": "sh",
    "html": "html",
    "css": "css",
    "go": "go",
    "rs": "rust",
    "java": "java",
}


def language_of(path: str) -> str:
    """Name the language of a file by its extension; `text` when unknown."""
    name = path.rpartition("/")[2]
    return _LANGUAGES.get(name.rpartition(".")[2].lower(), "text") if "." in name else "text"

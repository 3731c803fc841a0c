"""The answer parser: what is taken, what is refused, and that nothing is taken in doubt."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from swarmrun.core.edits import (
    MAX_CONTENT,
    FormatProblem,
    fence_for,
    language_of,
    parse_answer,
    parse_whole_files,
    render_answer,
    render_file,
)
from swarmrun.core.task import FileEdit

TICKS = "```"


def faults(answer: str) -> str:
    with pytest.raises(FormatProblem) as caught:
        parse_answer(answer)
    return str(caught.value)


def test_files_and_deletions_are_read_in_order() -> None:
    answer = (
        "I chose a map.\n\n```typescript:src/a.ts\nexport const a = 1;\n\n```\nDELETE: src/old.ts\n"
        "```sql:db/1.sql\n```\n\nFILES: 3\n"
    )
    assert parse_answer(answer) == (
        FileEdit(path="src/a.ts", content="export const a = 1;\n\n"),
        FileEdit(path="src/old.ts", action="delete"),
        FileEdit(path="db/1.sql", content=""),
    )


def test_a_longer_fence_holds_shorter_fences() -> None:
    answer = "````markdown:README.md\n# A\n```sh\nls\n```\n````\nFILES: 1"
    assert parse_answer(answer)[0].content == "# A\n```sh\nls\n```\n"


def test_a_fence_closes_only_at_the_same_character_and_length_and_bare() -> None:
    content = "a\n~~~~\n```\n    ````\nb ````\n"
    assert parse_answer(f"````text:a.txt\n{content}`````  \nFILES: 1")[0].content == content


def test_windows_line_ends_of_an_answer_are_not_content() -> None:
    answer = "```text:a.txt\r\none\r\ntwo\r\n```\r\nFILES: 1\r\n"
    assert parse_answer(answer)[0].content == "one\ntwo\n"


def test_an_indented_fence_loses_its_indentation_only() -> None:
    answer = "1. a file\n  ```python:a.py\n  if x:\n      y()\n z\n  ```\nFILES: 1"
    assert parse_answer(answer)[0].content == "if x:\n    y()\nz\n"


def test_unusual_separators_are_content() -> None:
    answer = "```text:a.txt\na\x0bb\u2028c\x0c\n```\nFILES: 1"
    assert parse_answer(answer)[0].content == "a\x0bb\u2028c\x0c\n"


def test_example_code_without_a_path_is_no_file() -> None:
    assert len(parse_answer("Run:\n```sh\nnpm test\n```\n```text:a\nx\n```\nFILES: 1")) == 1


def test_an_unclosed_fence_is_refused() -> None:
    assert "line 3: must be closed" in faults("```text:a.txt\n```\n```ts:b.ts\nexport")


def test_a_nested_fence_of_the_same_length_is_refused() -> None:
    answer = "```markdown:README.md\n# A\n```sh\nls\n```\nmore\n```\n```ts:src/b.ts\nb\n```\nFILES: 2"
    found = faults(answer)
    assert "line 3: must not open a fence inside the fence of line 1" in found
    assert "line 7: must not be a fence without an info string" in found


def test_a_file_after_a_forgotten_closing_is_refused() -> None:
    assert "inside the fence of line 1" in faults("```ts:a.ts\na\n```ts:b.ts\nb\n```\nFILES: 2")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("```text:a\n```", "must end with the line FILES"),
        ("```text:a\n```\nFILES: 2", "must count its files and deletions, which are 1"),
        ("FILES: 1\n```text:a\n```", "must have it as its last line"),
        ("```text:a\n```\nFILES: 1\nDone!", "must have it as its last line"),
        ("", "must end with the line FILES"),
        ("Sorry.\nFILES: 0", "must hold at least one file"),
        ("```text:a\n```\n```text:a\n```\nFILES: 2", "a: must occur once"),
        ("```text:a\n```\nDELETE: a\nFILES: 2", "a: must occur once"),
        ("```src/a.ts\nx\n```\nFILES: 1", "must have the info string lang:path"),
        ("```ts:../a.ts\nx\n```\nFILES: 1", "must not have empty, '.' or '..' segments"),
        ("```ts:/etc/passwd\nx\n```\nFILES: 1", "must be relative"),
        ("```ts:.git/config\nx\n```\nFILES: 1", "git's own files"),
        ("```ts:C:\\a.ts\nx\n```\nFILES: 1", "must be relative, without backslash"),
        ("```text:a\nx\0y\n```\nFILES: 1", "must be text"),
        ("```text:a\nx\ud800y\n```\nFILES: 1", "must be text"),
        (f"```text:a\n{'x' * (MAX_CONTENT + 1)}\n```\nFILES: 1", f"must have at most {MAX_CONTENT}"),
    ],
)
def test_what_breaks_the_format_is_named(answer: str, fault: str) -> None:
    assert fault in faults(answer)


@pytest.mark.parametrize(
    "line",
    [
        "// ... existing code ...",
        "  # ... rest of the file unchanged",
        "/* … remaining methods … */",
        "<!-- rest of file unchanged -->",
        "{/* ... existing imports ... */}",
        "// The rest of the code remains the same",
        "# existing code here",
        "-- ... other tables as before",
        "// rest of the implementation",
    ],
)
def test_placeholders_for_left_out_text_are_refused(line: str) -> None:
    assert "a.ts line 2: must not stand for text" in faults(f"```ts:a.ts\na\n{line}\n```\nFILES: 1")


@pytest.mark.parametrize(
    "line",
    [
        "const all = [...existing, ...other];",
        "// The rest of the code base relies on this order.",
        "    ...",
        "# ...",
        "// Keeps the other fields.",
        "// Reads the remaining bytes, then stops.",
        'const s = "// ... existing code ...";',
    ],
)
def test_real_code_is_no_placeholder(line: str) -> None:
    assert parse_answer(f"```ts:a.ts\n{line}\n```\nFILES: 1")[0].content == f"{line}\n"


def test_prose_may_quote_a_placeholder() -> None:
    assert parse_answer("```markdown:a.md\n# ... rest of file unchanged\n```\nFILES: 1")


def test_all_faults_of_an_answer_are_told_at_once() -> None:
    found = faults("```ts:/a\n```\n```ts:b.ts\n// ... existing code\n```\n```ts:c.ts")
    assert all(part in found for part in ("must be relative", "b.ts line 1", "line 6: must be closed"))


def test_faults_are_bounded() -> None:
    with pytest.raises(FormatProblem) as caught:
        parse_answer("```\n```\n" * 1000)
    assert len(caught.value.problems) == 20


def test_languages_follow_the_extension() -> None:
    assert [language_of(p) for p in ("a/b.TS", "Makefile", "x.unknown", ".gitignore")] == [
        "typescript",
        "text",
        "text",
        "text",
    ]


PATHS = st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,3}\.(md|txt)", fullmatch=True)
TEXT = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=200)
FENCY = st.lists(
    st.sampled_from(["```", "````ts:a.ts", "~~~", "", "x", "FILES: 1", "DELETE: a", "  ```"])
).map("\n".join)


@given(st.dictionaries(PATHS, st.none() | TEXT | FENCY, min_size=1, max_size=6))
def test_whatever_is_rendered_is_read_back(files: dict[str, str | None]) -> None:
    edits = tuple(
        FileEdit(path=path, action="delete" if text is None else "write", content=_ended(text))
        for path, text in files.items()
    )
    assert parse_answer(render_answer(edits)) == edits


def _ended(text: str | None) -> str:
    return f"{text}\n" if text and not text.endswith("\n") else text or ""


@given(
    st.text(max_size=500)
    | st.lists(st.sampled_from(["```ts:a.ts", "```", "````", "FILES: 1", "~~~", "x", "DELETE: b"])).map(
        "\n".join
    )
)
@example("```ts:a.ts\n" * 3)
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(FormatProblem):
        assert parse_answer(text)
        assert re.search(r"FILES: *\d", text)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), FENCY)))
def test_a_truncated_answer_is_never_taken(cut_and_text: tuple[int, str]) -> None:
    cut, text = cut_and_text
    answer = render_answer(
        [FileEdit(path="a.md", content=_ended(text)), FileEdit(path="b.md", content="b\n")]
    )
    with pytest.raises(FormatProblem):
        parse_answer(answer[: max(0, len(answer) - cut)])


@given(TEXT | FENCY)
def test_no_content_closes_its_fence(text: str) -> None:
    mark = fence_for(text)
    assert mark not in text
    assert render_file("a.md", text, "markdown").startswith(f"{mark}markdown:a.md\n")


def test_of_an_answer_that_was_cut_only_files_that_surely_ended_are_taken() -> None:
    cut = "Here:\n```ts:a.ts\nA\n```\n\n```ts:b.ts\nB\n```\n\n```ts:c.ts\nhalf"
    assert [edit.path for edit in parse_whole_files(cut)] == ["a.ts", "b.ts"]


def test_a_fence_that_ends_where_the_answer_was_cut_is_not_trusted() -> None:
    assert parse_whole_files("```md:a.md\ntext\n```") == ()


def test_an_answer_that_was_cut_and_wrongly_nested_gives_nothing() -> None:
    assert parse_whole_files("```md:a.md\n```ts\nx\n```\n\n```ts:b.ts\nhalf") == ()

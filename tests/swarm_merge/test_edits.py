from __future__ import annotations

import pytest

from swarm_merge.edits import Clash, Keep, Merge, Remove, Write, effects
from swarmrun.core.task import FileEdit
from swarmrun.vcs.tree import EXECUTABLE, REGULAR, SYMLINK, Entry, Tree, blob_id


def tree(**files: str) -> Tree:
    return {path.replace("__", "/"): Entry(REGULAR, blob_id(text.encode())) for path, text in files.items()}


def write(path: str, content: str) -> FileEdit:
    return FileEdit(path=path, content=content)


def delete(path: str) -> FileEdit:
    return FileEdit(path=path, action="delete")


@pytest.mark.parametrize(
    ("edit", "base", "head", "effect"),
    [
        (write("a", "new"), {}, {}, Write),
        (write("a", "new"), {"a": "old"}, {"a": "old"}, Write),
        (write("a", "new"), {"a": "old"}, {"a": "new"}, Keep),
        (write("a", "new"), {}, {"a": "new"}, Keep),
        (write("a", "old"), {"a": "old"}, {"a": "theirs"}, Keep),
        (write("a", "new"), {"a": "old"}, {"a": "theirs"}, Merge),
        (write("a", "new"), {}, {"a": "theirs"}, Merge),
        (write("a", "new"), {"a": "old"}, {}, Clash),
        (write("a", "old"), {"a": "old"}, {}, Keep),
        (delete("a"), {"a": "old"}, {"a": "old"}, Remove),
        (delete("a"), {"a": "old"}, {}, Keep),
        (delete("a"), {"a": "old"}, {"a": "theirs"}, Clash),
        (delete("a"), {}, {"a": "theirs"}, Clash),
    ],
)
def test_an_edit_meets_the_head_by_its_base(
    edit: FileEdit, base: dict[str, str], head: dict[str, str], effect: type
) -> None:
    (found,) = effects([edit], base=tree(**base), head=tree(**head))
    assert type(found) is effect


def test_no_edit_removes_a_folder_a_file_or_a_link_that_stands_in_its_way() -> None:
    head = {**tree(src__a="1", file="2"), "link": Entry(SYMLINK, "0" * 40)}
    edits = [write("src", "x"), write("file/below", "x"), write("link", "x"), write("SRC/a", "x")]
    assert all(isinstance(e, Clash) for e in effects(edits, base={}, head=head))


def test_a_file_may_become_a_folder_when_the_same_change_set_deletes_it() -> None:
    head = tree(file="2")
    found = effects([delete("file"), write("file/below", "x")], base=head, head=head)
    assert [type(e) for e in found] == [Remove, Write]


def test_a_rewritten_program_stays_executable() -> None:
    head = {"run": Entry(EXECUTABLE, blob_id(b"old"))}
    (found,) = effects([write("run", "new")], base=head, head=head)
    assert isinstance(found, Write)
    assert found.entry.mode == EXECUTABLE

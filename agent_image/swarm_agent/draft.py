"""The attempt's state of the tree, in memory: head, the stack of a fix, own edits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from swarmrun.core.errors import Problem
from swarmrun.core.task import ChangeSet, FileEdit
from swarmrun.vcs.tree import Tree

_BOM: Final = "\ufeff"


@dataclass
class Draft:
    """`stack` lies on `head`, `own` on both; each maps a path to its latest edit."""

    head: Tree
    stack: Mapping[str, FileEdit]
    own: dict[str, FileEdit] = field(default_factory=dict)

    def exists(self, path: str) -> bool:
        """Tell whether the draft has a file at `path`."""
        edit = self.own.get(path)
        return edit.action == "write" if edit is not None else self._exists_below(path)

    def _exists_below(self, path: str) -> bool:
        edit = self.stack.get(path)
        return edit.action == "write" if edit is not None else path in self.head

    def paths(self) -> list[str]:
        """List the draft's files, sorted."""
        return sorted(p for p in {*self.head, *self.stack, *self.own} if self.exists(p))

    def text_of_stack(self, path: str) -> str | None:
        """Return what the stack or the own edits have at `path`; None when it is the head's matter."""
        edit = self.own.get(path) or self.stack.get(path)
        return edit.content if edit is not None and edit.action == "write" else None

    def problems(self, edits: Sequence[FileEdit]) -> list[Problem]:
        """List every edit that does not fit the tree: something in the way, or nothing to delete."""
        deleted = {e.path for e in edits if e.action == "delete"}
        written = {e.path for e in edits if e.action == "write"}
        present = {p for p in self.paths() if p not in deleted} | written
        folders = {path[:cut]: path for path in sorted(present) for cut in _cuts(path)}
        # Existing files come last, so that of two names that differ by case alone theirs wins.
        twins = {path.lower(): path for path in sorted(present, key=lambda p: (self.exists(p), p))}
        found: list[Problem] = []
        for edit in edits:
            path = edit.path
            if path in self.head and not self.head[path].is_text_file:
                found.append(_problem(path, "a link", "must be a plain file", "leave it as it is"))
            elif edit.action == "delete":
                if not self.exists(path):
                    found.append(_problem(path, "no file", "must exist to be deleted", "leave the line out"))
            elif path in folders:
                found.append(_problem(path, folders[path], "must not be a folder", "choose another name"))
            elif parent := next((path[:c] for c in _cuts(path) if path[:c] in present), ""):
                found.append(_problem(path, parent, "must not lie below a file", "choose another folder"))
            elif twins[path.lower()] != path:
                twin = twins[path.lower()]
                found.append(
                    _problem(path, twin, "must not differ from a file by case alone", "use its name")
                )
        return found

    def take(self, edits: Iterable[FileEdit]) -> None:
        """Put edits on top; a file that only this attempt had is forgotten when it is deleted."""
        for edit in edits:
            if edit.action == "delete" and not self._exists_below(edit.path):
                self.own.pop(edit.path, None)
            else:
                self.own[edit.path] = edit

    def overlay(self) -> dict[str, bytes | None]:
        """Return what differs from the head: content, or None for what is deleted."""
        latest = {**self.stack, **self.own}
        return {p: e.content.encode() if e.action == "write" else None for p, e in latest.items()}

    def change_set(self, base: str, summary: str) -> ChangeSet:
        """Return the own edits, in the order of their paths."""
        return ChangeSet(base=base, edits=tuple(self.own[p] for p in sorted(self.own)), summary=summary)


def draft_on(head: Tree, stack: Iterable[ChangeSet]) -> Draft:
    """Begin a draft; later change sets of the stack lie above earlier ones."""
    return Draft(head, {edit.path: edit for change_set in stack for edit in change_set.edits})


def _cuts(path: str) -> list[int]:
    return [index for index, char in enumerate(path) if char == "/"]


def _problem(path: str, value: str, rule: str, fix: str) -> Problem:
    return Problem(path=path, value=value, rule=rule, fix=fix)


def in_style_of(old: bytes, new: FileEdit) -> FileEdit:
    """Keep a file's line ends and byte order mark: answers come with line feeds and without marks."""
    if new.action != "write":
        return new
    content = new.content
    if b"\r\n" in old[:4096] and "\r\n" not in content:
        content = content.replace("\n", "\r\n")
    if old.startswith(_BOM.encode()) and not content.startswith(_BOM):
        content = _BOM + content
    return new.model_copy(update={"content": content})

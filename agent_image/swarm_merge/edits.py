"""What each edit of a change set does to the head's tree. Pure.

Whole files against a base: where the head still has the base's version, the edit applies; where it differs,
the texts must be merged; where a path stands in the way of another (file against folder, link, other case),
the edit clashes. The merge itself is git's and happens at the edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarmrun.core.task import FileEdit
from swarmrun.vcs.tree import REGULAR, Entry, Tree, blob_id


@dataclass(frozen=True, slots=True)
class Keep:
    """The head has it already."""

    path: str


@dataclass(frozen=True, slots=True)
class Write:
    """Put the content at the path."""

    path: str
    content: bytes
    entry: Entry


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the path."""

    path: str


@dataclass(frozen=True, slots=True)
class Merge:
    """Both sides changed the text since the base ("" when the base lacks it)."""

    path: str
    content: bytes
    base_blob: str
    head: Entry


@dataclass(frozen=True, slots=True)
class Clash:
    """The edit cannot apply to this head."""

    path: str
    reason: str


Effect = Keep | Write | Remove | Merge | Clash


def effects(edits: Sequence[FileEdit], *, base: Tree, head: Tree) -> list[Effect]:
    """Decide the effect of every edit; paths are known to be safe."""
    folders = {path[:cut] for path in head for cut in _cuts(path)}
    twins = {path.lower(): path for path in head}
    gone = {edit.path for edit in edits if edit.action == "delete"}
    return [_obstacle(e, head, folders, twins, gone) or _effect(e, base=base, head=head) for e in edits]


def _cuts(path: str) -> list[int]:
    return [index for index, char in enumerate(path) if char == "/"]


def _obstacle(
    edit: FileEdit, head: Tree, folders: set[str], twins: dict[str, str], gone: set[str]
) -> Clash | None:
    path = edit.path
    if (entry := head.get(path)) is not None and not entry.is_text_file:
        return Clash(path, "is a link or a submodule on the branch")
    if edit.action == "delete":
        return None
    if path in folders:
        return Clash(path, "is a folder on the branch")
    for parent in (path[:cut] for cut in _cuts(path)):
        if parent in head and parent not in gone:
            return Clash(path, f"lies below {parent}, which is a file on the branch")
    twin = twins.get(path.lower(), path)
    if twin != path and twin not in gone:
        return Clash(path, f"differs from {twin} on the branch by case alone")
    return None


def _effect(edit: FileEdit, *, base: Tree, head: Tree) -> Effect:
    old, now = base.get(edit.path), head.get(edit.path)
    if edit.action == "delete":
        return _deletion(edit.path, old, now)
    content = edit.content.encode()
    blob = blob_id(content, like=now.blob if now else "")
    if blob in {now.blob if now else "", old.blob if old else ""}:
        # Either the branch has it, or the edit changed nothing and the branch's own version stands.
        return Keep(edit.path)
    if now is None and old is not None:
        return Clash(edit.path, "was deleted on the branch since the base")
    if now is None or (old is not None and old.blob == now.blob):
        return Write(edit.path, content, Entry(now.mode if now else REGULAR, blob))
    return Merge(edit.path, content, old.blob if old else "", now)


def _deletion(path: str, old: Entry | None, now: Entry | None) -> Effect:
    if now is None:
        return Keep(path)
    if old is None or old.blob != now.blob:
        return Clash(path, "changed on the branch since the base, yet to be deleted")
    return Remove(path)

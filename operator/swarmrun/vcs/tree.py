"""A commit's files as a value: path → mode and blob, to decide on. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

REGULAR: Final = "100644"
EXECUTABLE: Final = "100755"
SYMLINK: Final = "120000"
SUBMODULE: Final = "160000"


class Entry(NamedTuple):
    """One file of a tree."""

    mode: str
    blob: str

    @property
    def is_text_file(self) -> bool:
        """Tell whether this is a plain file, so neither a link nor another repository."""
        return self.mode in {REGULAR, EXECUTABLE}


Tree = Mapping[str, Entry]


def parse_ls_tree(output: bytes) -> dict[str, Entry]:
    """Read `git ls-tree -r -z`."""
    found: dict[str, Entry] = {}
    for record in output.split(b"\0"):
        if record:
            head, _, path = record.partition(b"\t")
            mode, _, blob = head.decode().split(" ")
            found[path.decode(errors="surrogateescape")] = Entry(mode, blob)
    return found


def blob_id(content: bytes, *, like: str = "") -> str:
    """Return git's name for `content`; SHA-256 when `like` is a name of that length, else SHA-1."""
    header = b"blob %d\0" % len(content)
    sha256 = len(like) == 64  # noqa: PLR2004 — hex digits of SHA-256
    return (
        hashlib.sha256(header + content).hexdigest()
        if sha256
        else hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
    )

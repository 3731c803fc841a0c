"""From the request's tar to a folder, without trusting one byte of it.

Only plain files and folders are written, by hand: the first releases of Python 3.11, Debian 12's among them,
have no extraction filters. Links inside the tree are made last, so that no file can pass through one; a link
that leads out of the tree is left out. Anything else (devices, hard links, absolute paths) is refused.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

from swarm_sandbox.spec import BadRequestError, relative_path_problem

SPEC_NAME: Final = "run.json"
TREE_PREFIX: Final = "tree/"
MAX_SPEC_BYTES: Final = 1024 * 1024
MAX_MEMBERS: Final = 50_000
#: Sum of the sizes that the tar declares; sparse members could otherwise unfold to any size.
MAX_UNPACKED: Final = 256 * 1024 * 1024


def unpack(archive: IO[bytes], target: Path) -> bytes:
    """Extract `tree/` of the tar into the empty folder `target` and return the bytes of `run.json`.

    Raises:
        BadRequestError: the tar is damaged, too large, or holds what it must not.
    """
    spec: bytes | None = None
    links: list[tuple[str, str]] = []
    size = 0
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            for count, member in enumerate(tar, start=1):
                size += max(member.size, 0)
                if count > MAX_MEMBERS or size > MAX_UNPACKED:
                    raise BadRequestError(
                        [f"the tar must hold at most {MAX_MEMBERS} members, {MAX_UNPACKED} bytes"]
                    )
                if member.name == SPEC_NAME:
                    spec = _spec(tar, member)
                elif (path := _path_in_tree(member)) is not None:
                    _extract(tar, member, path, target, links)
    except (tarfile.TarError, OSError, EOFError, UnicodeError) as error:
        raise BadRequestError([f"the body must be an uncompressed tar: {error}"]) from error
    if spec is None:
        raise BadRequestError([f"{SPEC_NAME}: must be in the tar"])
    for path, link in links:
        _make_inner_link(target, path, link)
    return spec


def _spec(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    source = tar.extractfile(member) if member.isreg() and member.size <= MAX_SPEC_BYTES else None
    if source is None:
        raise BadRequestError([f"{SPEC_NAME}: must be a plain file of at most {MAX_SPEC_BYTES} bytes"])
    return source.read()


def _path_in_tree(member: tarfile.TarInfo) -> str | None:
    """Return the member's path below `tree/`; None for `tree` itself and for git's own headers."""
    name = member.name.rstrip("/")
    if name == TREE_PREFIX.rstrip("/") and member.isdir():
        return None
    if not name.startswith(TREE_PREFIX):
        raise BadRequestError([f"{name!r}: must be {SPEC_NAME} or lie below {TREE_PREFIX}"])
    path = name.removeprefix(TREE_PREFIX)
    if (problem := relative_path_problem(path)) is not None:
        raise BadRequestError([f"{name!r}: {problem}"])
    return path


def _extract(
    tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, target: Path, links: list[tuple[str, str]]
) -> None:
    if member.issym():
        links.append((path, member.linkname))
        return
    if not member.isreg() and not member.isdir():
        raise BadRequestError([f"{member.name!r}: must be a plain file, a folder or a symbolic link"])
    where = target / path
    if member.isdir():
        where.mkdir(parents=True, exist_ok=True)
        return
    where.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    mode = 0o755 if member.mode & 0o100 else 0o644
    descriptor = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        if source is not None:
            shutil.copyfileobj(source, file)


def _make_inner_link(root: Path, path: str, link: str) -> None:
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    leads_out = link.startswith("/") or place.split("/")[0] == ".."
    where = root / path
    # A parent that is itself a link could lead out, however the text looks.
    if (
        leads_out
        or where.parent.resolve() != root.resolve() / posixpath.dirname(path)
        or os.path.lexists(where)
    ):
        return
    where.symlink_to(link)


def link_toolchain(root: Path, links: Mapping[str, str]) -> None:
    """Make the request's links into the image; what the tree has at such a path gives way.

    Raises:
        BadRequestError: a target does not exist.
    """
    missing = [
        f"links[{p!r}]: must exist in the image (found {t!r})"
        for p, t in links.items()
        if not Path(t).exists()
    ]
    if missing:
        raise BadRequestError(missing)
    for path, target in links.items():
        where = root / path
        where.parent.mkdir(parents=True, exist_ok=True)
        if where.parent.resolve() != root.resolve() / posixpath.dirname(path):
            raise BadRequestError([f"links[{path!r}]: must not lie behind a link of the tree"])
        if where.is_symlink() or where.is_file():
            where.unlink()
        elif where.exists():
            shutil.rmtree(where)
        where.symlink_to(target)

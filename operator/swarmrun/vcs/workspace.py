"""An agent's warm clone of the merger's repository: fetch, list, read, export; it writes no file of the tree.

The clone is bare. What an agent changes lives in memory and in the tar for the sandbox, so there is no work
tree whose hooks, filters, attributes or symbolic links could act on the agent. Network calls run in a bounded
process group (`swarmrun.vcs.git`); objects are read with GitPython, whose processes end with each call.
"""

from __future__ import annotations

import asyncio
import base64
import io
import shutil
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeVar

from git import Repo
from git.exc import GitError

from swarmrun.core.errors import Retryable
from swarmrun.vcs.git import Git, GitFailed, GitTimedOut
from swarmrun.vcs.tree import EXECUTABLE, Tree, parse_ls_tree

_USER: Final = "agent"
_FETCH_SECONDS: Final = 180.0
_LIST_SECONDS: Final = 30.0
#: First fetch only; the prompt shows ten commits, and merges need none.
_DEPTH: Final = "30"
_T = TypeVar("_T")


class WorkspaceFailed(Retryable):
    """The repository could not be fetched or read; says nothing about the task."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One commit as a value. `commit` is "" and `tree` empty while the repository is empty."""

    commit: str
    tree: Tree
    #: "sha subject", newest first.
    changes: tuple[str, ...]


class Workspace:
    """The clone at `path` of `branch` of `url`, which the bearer of `token` may read."""

    def __init__(self, path: Path, *, url: str, branch: str, token: str, git: Git | None = None) -> None:
        self._path, self._url, self._branch = path, url, branch
        base = git or Git()
        self._git = Git(env={**base.env, **_with_header(base, url, token)}, timeout=base.timeout)
        self._lock = asyncio.Lock()

    async def sync(self, *, changes: int = 10) -> Snapshot:
        """Fetch, and return the branch's head with its latest `changes` subjects.

        Raises:
            WorkspaceFailed: the merger cannot be reached or the objects cannot be read.
        """
        async with self._lock:
            try:
                return await self._sync(changes)
            except GitTimedOut as error:
                raise WorkspaceFailed(f"the repository cannot be fetched: {error}") from error
            except (GitFailed, WorkspaceFailed) as error:
                await self._blame_remote(error)
            # The remote answers, so the clone is at fault; a new one costs one shallow fetch.
            await asyncio.to_thread(shutil.rmtree, self._path, ignore_errors=True)
            try:
                return await self._sync(changes)
            except GitFailed as error:
                raise WorkspaceFailed(f"the repository cannot be fetched: {error}") from error

    async def _sync(self, changes: int) -> Snapshot:
        await self._fetch()
        return await self._read(lambda repo: _snapshot(repo, self._branch, changes))

    async def _blame_remote(self, cause: Exception) -> None:
        """Return when the remote answers; else raise the cause as its fault."""
        try:
            await self._git.run("ls-remote", "--heads", self._url, timeout=_LIST_SECONDS)
        except GitFailed:
            raise WorkspaceFailed(f"the repository cannot be fetched: {cause}") from cause

    async def _fetch(self) -> None:
        if not (self._path / "HEAD").exists():
            self._path.mkdir(parents=True, exist_ok=True)
            await self._git.run("init", "--quiet", "--bare", "--template=", str(self._path))
        for lock in (*self._path.glob("*.lock"), *(self._path / "refs").rglob("*.lock")):
            lock.unlink(missing_ok=True)  # left by a killed process; nobody else writes here
        ref = f"refs/heads/{self._branch}"
        known = await self._git.run("for-each-ref", "--count=1", ref, repository=self._path)
        if not known and not await self._git.run("ls-remote", "--heads", self._url, timeout=_FETCH_SECONDS):
            return  # an empty repository: a shallow fetch of nothing ends with 1 and no word
        depth = () if known else ("--depth", _DEPTH)
        # A pattern, because a name that is missing is an error, and an empty repository is none.
        refspec = "+refs/heads/*:refs/heads/*"
        await self._git.run(
            *(
                "fetch",
                "--quiet",
                "--no-tags",
                "--prune",
                "--no-write-fetch-head",
                *depth,
                self._url,
                refspec,
            ),
            repository=self._path,
            timeout=_FETCH_SECONDS,
        )

    async def read(self, tree: Tree, paths: Iterable[str], *, limit: int) -> dict[str, bytes]:
        """Read plain files of at most `limit` bytes each; larger ones, links and unknown paths are left out.

        Raises:
            WorkspaceFailed: an object cannot be read.
        """
        wanted = {path: tree[path].blob for path in paths if path in tree and tree[path].is_text_file}

        def blobs(repo: Repo) -> dict[str, bytes]:
            # A stream that is not read to its end would leave the rest in the way of the next.
            ids = ((path, bytes.fromhex(blob)) for path, blob in wanted.items())
            small = ((path, blob) for path, blob in ids if repo.odb.info(blob).size <= limit)
            return {path: bytes(repo.odb.stream(blob).read()) for path, blob in small}

        return await self._read(blobs) if wanted else {}

    async def export(
        self, tree: Tree, overlay: Mapping[str, bytes | None], target: IO[bytes], *, prefix: str
    ) -> None:
        """Write the tree's plain files as a tar, each path below `prefix`.

        `overlay` replaces and adds files, or removes them (None). Links are left out.

        Raises:
            WorkspaceFailed: an object cannot be read.
        """

        def write(repo: Repo | None) -> None:
            with tarfile.open(fileobj=target, mode="w:", format=tarfile.PAX_FORMAT) as tar:
                for path, entry in tree.items():
                    if repo is not None and path not in overlay and entry.is_text_file:
                        stream = repo.odb.stream(bytes.fromhex(entry.blob))
                        info = _member(prefix + path, stream.size, executable=entry.mode == EXECUTABLE)
                        tar.addfile(info, stream)
                for path, content in overlay.items():
                    if content is not None:
                        executable = path in tree and tree[path].mode == EXECUTABLE
                        info = _member(prefix + path, len(content), executable=executable)
                        tar.addfile(info, io.BytesIO(content))

        await (self._read(write) if tree else asyncio.to_thread(write, None))

    async def _read(self, action: Callable[[Repo], _T]) -> _T:
        def act() -> _T:
            with Repo(self._path, search_parent_directories=False, expand_vars=False) as repo:
                repo.git.update_environment(**self._git.environment({"GIT_DIR": str(self._path)}))
                return action(repo)

        try:
            return await asyncio.to_thread(act)
        except (GitError, OSError, ValueError) as error:
            raise WorkspaceFailed(f"the clone cannot be read: {error}") from error


def _with_header(git: Git, url: str, token: str) -> dict[str, str]:
    """Add the credential to git's configuration for this one address; it is in no URL, file or argument."""
    count = int(git.environment()["GIT_CONFIG_COUNT"])
    secret = base64.b64encode(f"{_USER}:{token}".encode()).decode()
    return {
        f"GIT_CONFIG_KEY_{count}": f"http.{url}.extraHeader",
        f"GIT_CONFIG_VALUE_{count}": f"Authorization: Basic {secret}",
        "GIT_CONFIG_COUNT": str(count + 1),
    }


def _snapshot(repo: Repo, branch: str, changes: int) -> Snapshot:
    head = next((h for h in repo.heads if h.path == f"refs/heads/{branch}"), None)
    if head is None:
        return Snapshot("", {}, ())
    commit = head.commit.hexsha
    listing = repo.git.execute(
        ["git", "ls-tree", "-r", "-z", commit],
        stdout_as_string=False,
        strip_newline_in_stdout=False,
        kill_after_timeout=60,
    )
    recent = repo.iter_commits(commit, max_count=changes)
    subjects = tuple(f"{c.hexsha[:10]} {str(c.summary)[:150]}" for c in recent)
    return Snapshot(commit, parse_ls_tree(listing), subjects)


def _member(name: str, size: int, *, executable: bool) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o755 if executable else 0o644
    return info

"""The merger's bare mirror of the user's repository: sync, read, build commits, push fast-forward only.

The mirror holds one public branch, the target; commits under construction live below `refs/swarm/`, which is
never served nor pushed. Nothing here forces: a push that is no fast-forward fails and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from swarmrun.vcs import trailers
from swarmrun.vcs.git import Git, GitFailed, GitTimedOut
from swarmrun.vcs.remote import PushOutcome, RemoteProblem, RemoteReason, explain, push_outcome, reason_of
from swarmrun.vcs.tree import Entry, Tree, parse_ls_tree

BUILD_REF: Final = "refs/swarm/build"
COMMIT_PATTERN: Final = re.compile(r"^([0-9a-f]{40}|[0-9a-f]{64})$")
_COMMITTER: Final = "swarmrun-merger <merger@swarmrun.dev>"
_NETWORK_TIMEOUT: Final = 300.0
#: Neutralise attributes in the user's tree that would change what is exported: info/attributes outranks them.
_ATTRIBUTES: Final = "* -export-ignore -export-subst -filter -text -eol -ident -working-tree-encoding\n"


@dataclass(frozen=True, slots=True)
class Change:
    """One path of a commit: the new content, or None to delete it."""

    path: str
    content: bytes | None
    mode: str = "100644"


@dataclass(frozen=True, slots=True)
class NewCommit:
    """A commit to build: author as `agent-3`, message with trailers, changes against the one before."""

    author: str
    message: str
    changes: tuple[Change, ...]
    at: int


class Mirror:
    """One bare repository on disk, tied to one branch of one remote."""

    def __init__(self, path: Path, *, url: str, branch: str, git: Git) -> None:
        self.path, self.url, self.branch, self.git = path, url, branch, git
        self._ref = f"refs/heads/{branch}"
        self._landed: tuple[str, str, Mapping[str, str]] = ("", "", {})

    async def _git(self, *args: str, stdin: bytes | None = None, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 — passed on to the runner, which enforces it
        return await self.git.run(*args, repository=self.path, stdin=stdin, timeout=timeout)

    async def open(self) -> None:
        """Create the mirror if it is missing or broken, and set what must hold for it."""
        # Locks and half-written files are left by a killed process; nobody else writes here.
        for lock in (*self.path.glob("*.lock"), *(self.path / "refs").rglob("*.lock")):
            lock.unlink(missing_ok=True)
        if not await self._is_whole():
            await asyncio.to_thread(shutil.rmtree, self.path, ignore_errors=True)
            self.path.mkdir(parents=True)
            await self.git.run("init", "--quiet", "--bare", "--template=", str(self.path))
        await self._git("symbolic-ref", "HEAD", self._ref)
        for key, value in (
            ("transfer.hideRefs", "refs/swarm"),
            ("http.receivepack", "false"),
            ("http.uploadpack", "true"),
            ("uploadpack.allowAnySHA1InWant", "false"),
        ):
            await self._git("config", key, value)
        (self.path / "info").mkdir(exist_ok=True)
        (self.path / "info" / "attributes").write_text(_ATTRIBUTES)

    async def _is_whole(self) -> bool:
        if not (self.path / "HEAD").exists():
            return False
        try:
            await self._git("fsck", "--connectivity-only", "--no-dangling", timeout=_NETWORK_TIMEOUT)
        except GitFailed:
            return False
        return True

    async def sync(self) -> str:
        """Bring the branch up to the remote's and return its commit; "" while the repository is empty.

        Raises:
            RemoteProblem: RepositoryUnreachable, AuthenticationFailed or BranchNotFound.
        """
        remote = await self._remote_branches()
        if not remote:
            with contextlib.suppress(GitFailed):
                await self._git("update-ref", "-d", self._ref)
            return ""
        if self._ref not in remote:
            known = ", ".join(sorted(ref.removeprefix("refs/heads/") for ref in remote)[:5])
            raise RemoteProblem(
                RemoteReason.BRANCH,
                f"branch {self.branch!r} must exist in a repository that is not empty; it has {known}",
            )
        if await self.head() != remote[self._ref]:
            await self._talk(
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                self.url,
                f"+{self._ref}:{self._ref}",
            )
        return await self.head()

    async def _remote_branches(self) -> dict[str, str]:
        listing = (await self._talk("ls-remote", "--heads", self.url)).decode(errors="replace")
        pairs = (line.split("\t", 1) for line in listing.splitlines() if "\t" in line)
        return {ref: commit for commit, ref in pairs}

    async def _talk(self, *args: str) -> bytes:
        try:
            return await self._git(*args, timeout=_NETWORK_TIMEOUT)
        except GitTimedOut as error:
            raise RemoteProblem(RemoteReason.UNREACHABLE, explain(error.stderr)) from error
        except GitFailed as error:
            raise RemoteProblem(reason_of(error.stderr), explain(error.stderr)) from error

    async def check_push(self) -> None:
        """Ask the remote whether this credential may push, without pushing.

        Raises:
            RemoteProblem: AuthenticationFailed or PushRejected.
        """
        commit = await self.head()
        if not commit:
            empty = (
                (await self._git("hash-object", "-t", "tree", "-w", "--stdin", stdin=b"")).decode().strip()
            )
            (commit,) = await self._import([NewCommit("swarmrun", "Check\n", (), 0)], parent="", tree=empty)
        try:
            await self._git("push", "--dry-run", "--porcelain", self.url, f"{commit}:{self._ref}", timeout=60)
        except GitFailed as error:
            self._raise_refusal(error, moved_is_fine=True)

    def _raise_refusal(self, error: GitFailed, *, moved_is_fine: bool = False) -> PushOutcome:
        outcome = push_outcome(error.stdout, error.stderr)
        if isinstance(error, GitTimedOut):
            return PushOutcome.UNKNOWN
        if outcome is PushOutcome.MOVED:
            return outcome
        told = explain(f"{error.stdout}\n{error.stderr}")
        if outcome is PushOutcome.REJECTED:
            raise RemoteProblem(RemoteReason.REJECTED, told) from error
        if reason_of(error.stderr) is RemoteReason.AUTHENTICATION or moved_is_fine:
            raise RemoteProblem(reason_of(error.stderr), told) from error
        return PushOutcome.UNKNOWN

    async def push(self, commit: str) -> PushOutcome:
        """Push `commit` to the branch, fast-forward only; on success the mirror's branch follows.

        Raises:
            RemoteProblem: PushRejected or AuthenticationFailed.
        """
        try:
            await self._git(
                "push", "--porcelain", self.url, f"{commit}:{self._ref}", timeout=_NETWORK_TIMEOUT
            )
        except GitFailed as error:
            return self._raise_refusal(error)
        await self._git("update-ref", self._ref, commit)
        return PushOutcome.DONE

    async def head(self) -> str:
        """Return the branch's commit as of the last sync or push, "" when there is none."""
        found = await self.git.run(
            "rev-parse", "--verify", "--quiet", f"{self._ref}^{{commit}}", repository=self.path, accept=(0, 1)
        )
        return found.decode().strip()

    async def has_commit(self, commit: str) -> bool:
        """Tell whether the mirror holds `commit`."""
        if not COMMIT_PATTERN.match(commit):
            return False
        try:
            await self._git("cat-file", "-e", f"{commit}^{{commit}}")
        except GitTimedOut:
            raise
        except GitFailed:
            return False
        return True

    async def landed(self, run: str) -> Mapping[str, str]:
        """Map task id to commit for all that the run has on the branch, by trailers."""
        head = await self.head()
        known_run, known_head, known = self._landed
        if not head:
            return {}
        since = known_head if known_run == run and await self._is_ancestor(known_head, head) else ""
        span = f"{since}..{head}" if since else head
        out = await self._git("log", "-z", "--format=%H%n%B", "--fixed-strings", f"--grep={run}", span, "--")
        records = (r.partition("\n") for r in out.decode(errors="replace").split("\0") if r)
        found = trailers.landed(((commit, body) for commit, _, body in records), run=run)
        merged = {**(known if since else {}), **found}
        self._landed = (run, head, merged)
        return merged

    async def _is_ancestor(self, old: str, new: str) -> bool:
        if not old or not await self.has_commit(old):
            return False
        base = await self.git.run("merge-base", old, new, repository=self.path, accept=(0, 1))
        return base.decode().strip() == old

    async def tree(self, commit: str) -> dict[str, Entry]:
        """List the files of a commit; "" is the empty tree."""
        return parse_ls_tree(await self._git("ls-tree", "-r", "-z", "--full-tree", commit)) if commit else {}

    async def tree_id(self, commit: str) -> str:
        """Return the name of the commit's tree."""
        return (await self._git("rev-parse", "--verify", f"{commit}^{{tree}}")).decode().strip()

    async def changed_paths(self, commit: str) -> tuple[str, ...]:
        """List the paths that one commit changed against its first parent."""
        out = await self._git("diff-tree", "-r", "-z", "--root", "--no-commit-id", "--name-only", commit)
        return tuple(p for p in out.decode(errors="replace").split("\0") if p)

    async def read(self, blob: str) -> bytes:
        """Return a blob's content."""
        return await self._git("cat-file", "blob", blob)

    async def merge_text(self, base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, bool]:
        """Merge two texts over their base; returns the text and whether it is free of conflicts."""
        with tempfile.TemporaryDirectory(prefix="swarm-merge-") as name:
            paths = [Path(name) / part for part in ("branch", "base", "change")]
            for path, content in zip(paths, (ours, base, theirs), strict=True):
                path.write_bytes(content)
            args = ("merge-file", "-p", "--diff3", "-L", "branch", "-L", "base", "-L", "change")
            # The exit code counts the conflicts, capped at 127; 255 is an error such as binary content.
            try:
                return await self.git.run(*args, *map(str, paths)), True
            except GitTimedOut:
                raise
            except GitFailed as error:
                return error.stdout.encode(), False

    async def build(self, commits: Sequence[NewCommit], *, parent: str) -> list[str]:
        """Write a chain of commits on top of `parent` ("" for a root) and return their names in order."""
        return await self._import(commits, parent=parent) if commits else []

    async def _import(self, commits: Sequence[NewCommit], *, parent: str, tree: str = "") -> list[str]:
        stream = b"".join(_stream(commits, parent=parent, tree=tree))
        named = await self._git("fast-import", "--quiet", "--force", stdin=stream, timeout=120)
        return named.decode().split()

    async def export(self, commit: str, target: IO[bytes], *, prefix: str) -> None:
        """Write the commit's files as an uncompressed tar, each path below `prefix`."""
        await self.git.run(
            "archive",
            "--format=tar",
            f"--prefix={prefix}",
            commit,
            repository=self.path,
            stdout=target,
            timeout=120,
        )

    async def tidy(self) -> None:
        """Pack loose objects when there are many. Only between merges: nothing under construction is lost."""
        await self.git.run(
            "-c", "gc.auto=2000", "gc", "--auto", "--quiet", repository=self.path, timeout=_NETWORK_TIMEOUT
        )


def _stream(commits: Sequence[NewCommit], *, parent: str, tree: str) -> Iterable[bytes]:
    """Speak git-fast-import(1). Paths are plain ASCII without spaces or quotes (`core.ownership`)."""
    yield b"feature done\n"
    for number, commit in enumerate(commits, start=1):
        yield f"commit {BUILD_REF}\nmark :{number}\n".encode()
        yield f"author {commit.author} <{commit.author}@swarmrun.dev> {commit.at} +0000\n".encode()
        yield f"committer {_COMMITTER} {commit.at} +0000\n".encode()
        yield _data(commit.message.encode())
        if number > 1:
            yield f"from :{number - 1}\n".encode()
        elif parent:
            yield f"from {parent}\n".encode()
        if tree:
            yield f"M 040000 {tree} \n".encode()
        for change in commit.changes:
            if change.content is None:
                yield f"D {change.path}\n".encode()
            else:
                yield f"M {change.mode} inline {change.path}\n".encode()
                yield _data(change.content)
    for number in range(1, len(commits) + 1):
        yield f"get-mark :{number}\n".encode()  # answered on standard output
    yield b"done\n"


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def overlay(tree: Tree, changes: Iterable[tuple[str, Entry | None]]) -> dict[str, Entry]:
    """Return the tree after changes; None removes a path."""
    out = dict(tree)
    for path, entry in changes:
        if entry is None:
            out.pop(path, None)
        else:
            out[path] = entry
    return out

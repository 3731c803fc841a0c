"""The agent's clone against a real repository over HTTP."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from agent_support import TOKEN, Repository, served
from swarm_merge.gitserver import GitServer
from swarm_merge.server import application
from swarmrun.vcs.git import Git
from swarmrun.vcs.workspace import Workspace, WorkspaceFailed


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "served.git")


@pytest.fixture
async def url(repository: Repository) -> AsyncIterator[str]:
    server = GitServer(repository.path, TOKEN, lambda: True, Git())
    app: web.Application = application(server, alive=lambda: True, ready=lambda: True)
    async with served(app) as address:
        yield f"{address}/repo.git"


def workspace(tmp_path: Path, url: str, token: str = TOKEN) -> Workspace:
    return Workspace(tmp_path / "clone.git", url=url, branch="main", token=token)


async def test_an_empty_repository_is_no_error_and_is_followed_when_it_fills(
    tmp_path: Path, repository: Repository, url: str
) -> None:
    clone = workspace(tmp_path, url)
    empty = await clone.sync()
    assert (empty.commit, empty.tree, empty.changes) == ("", {}, ())
    head = repository.commit({"a.txt": "1\n"}, "feat: a\n\nSwarm-Task: x")
    found = await clone.sync()
    assert (found.commit, set(found.tree)) == (head, {"a.txt"})
    assert found.changes == (f"{head[:10]} feat: a",)


async def test_a_warm_clone_sees_new_commits_and_rewritten_history(
    tmp_path: Path, repository: Repository, url: str
) -> None:
    clone = workspace(tmp_path, url)
    for number in range(40):
        repository.commit({f"{number}.txt": "x\n"}, f"commit {number}")
    first = await clone.sync()
    assert [line.split(" ", 1)[1] for line in first.changes] == [f"commit {n}" for n in range(39, 29, -1)]
    head = repository.commit({"new.txt": "x\n"})
    assert (await clone.sync()).commit == head
    repository.rewind(first.commit)
    other = repository.commit({"other.txt": "x\n"})
    assert (await clone.sync()).commit == other


async def test_files_are_read_within_limits_and_links_never(
    tmp_path: Path, repository: Repository, url: str
) -> None:
    repository.commit({"a.txt": "text\n", "big": "x" * 100, "raw": b"\xff\0\r\n"})
    repository.commit({"link": "a.txt"}, mode="120000")
    clone = workspace(tmp_path, url)
    tree = (await clone.sync()).tree
    read = await clone.read(tree, ["a.txt", "big", "raw", "link", "missing"], limit=50)
    assert read == {"a.txt": b"text\n", "raw": b"\xff\0\r\n"}


async def test_the_export_is_the_tree_with_the_overlay(
    tmp_path: Path, repository: Repository, url: str
) -> None:
    repository.commit({"keep.txt": "keep\n", "change.txt": "old\n", "drop.txt": "x\n"})
    repository.commit({"run.sh": "#!/bin/sh\n"}, mode="100755")
    repository.commit({"link": "/etc/passwd"}, mode="120000")
    clone = workspace(tmp_path, url)
    tree = (await clone.sync()).tree
    target = io.BytesIO()
    overlay = {"change.txt": b"new\n", "drop.txt": None, "src/add.txt": b"add\n", "run.sh": b"#!/bin/bash\n"}
    await clone.export(tree, overlay, target, prefix="tree/")
    target.seek(0)
    with tarfile.open(fileobj=target) as tar:
        found = {m.name: (m.mode, (tar.extractfile(m) or io.BytesIO()).read()) for m in tar}
    assert found == {
        "tree/keep.txt": (0o644, b"keep\n"),
        "tree/change.txt": (0o644, b"new\n"),
        "tree/src/add.txt": (0o644, b"add\n"),
        "tree/run.sh": (0o755, b"#!/bin/bash\n"),
    }


async def test_a_damaged_clone_is_replaced(tmp_path: Path, repository: Repository, url: str) -> None:
    repository.commit({"a.txt": "1\n"})
    clone = workspace(tmp_path, url)
    await clone.sync()
    for file in (tmp_path / "clone.git" / "objects").rglob("*"):
        if file.is_file():
            file.chmod(0o600)
            file.write_bytes(b"rubbish")
    head = repository.commit({"b.txt": "2\n"})
    snapshot = await clone.sync()
    assert snapshot.commit == head
    assert await clone.read(snapshot.tree, ["a.txt"], limit=10) == {"a.txt": b"1\n"}


async def test_a_wrong_token_is_told_without_the_token(
    tmp_path: Path, repository: Repository, url: str
) -> None:
    with pytest.raises(WorkspaceFailed, match="cannot be fetched") as caught:
        await workspace(tmp_path, url, token="wrong-token").sync()
    assert "wrong-token" not in str(caught.value)


async def test_the_token_is_in_no_file_of_the_clone(tmp_path: Path, repository: Repository, url: str) -> None:
    repository.commit({"a.txt": "1\n"})
    await workspace(tmp_path, url).sync()
    texts = [p.read_bytes() for p in (tmp_path / "clone.git").rglob("*") if p.is_file()]
    assert not any(TOKEN.encode() in text for text in texts)


async def test_no_git_process_outlives_a_call(tmp_path: Path, repository: Repository, url: str) -> None:
    repository.commit({"a.txt": "1\n"})
    clone = workspace(tmp_path, url)
    for _ in range(3):
        snapshot = await clone.sync()
        await clone.read(snapshot.tree, ["a.txt"], limit=10)
    assert not [line for line in _children() if "clone.git" in line]


def _children() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                line = (entry / "cmdline").read_text() + (entry / "environ").read_text()
            except (OSError, ValueError):
                continue
            if parent == str(os.getpid()):
                found.append(line)
    return found


async def test_a_server_that_is_not_there_is_a_failure_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceFailed, match="cannot be fetched"):
        await workspace(tmp_path, "http://127.0.0.1:9/repo.git").sync()

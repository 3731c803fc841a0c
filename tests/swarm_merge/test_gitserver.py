from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from git_upstream import GitServer as Upstream
from swarm_merge.gitserver import GitServer
from swarm_merge.server import application, serve
from swarmrun.vcs.git import Git, GitFailed
from swarmrun.vcs.repo import Mirror

TOKEN = "the-agents-token"


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    with Upstream(tmp_path / "upstream") as running:
        running.auth = False
        yield running


@pytest.fixture
async def base(upstream: Upstream, tmp_path: Path) -> AsyncIterator[str]:
    """The server's address; the mirror follows upstream's `app`, created empty."""
    upstream.create("app")
    mirror = Mirror(tmp_path / "mirror.git", url=upstream.url("app"), branch="main", git=Git())
    await mirror.open()
    server = GitServer(mirror.path, TOKEN, lambda: not (tmp_path / "away").exists())
    runner = await serve(application(server, alive=lambda: True, ready=lambda: True), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def client(tmp_path: Path, password: str = TOKEN) -> Git:
    askpass = tmp_path / f"askpass-{password}"
    askpass.write_text(f"#!/bin/sh\ncase $1 in U*) echo agent;; *) echo {password};; esac\n")
    askpass.chmod(0o700)
    return Git(env={"GIT_ASKPASS": str(askpass)}, timeout=20)


async def test_an_empty_repository_can_be_cloned_and_followed(
    base: str, upstream: Upstream, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git = client(tmp_path)
    await git.run("clone", "--quiet", f"{base}/repo.git", str(clone))
    mirror = Mirror(tmp_path / "mirror.git", url=upstream.url("app"), branch="main", git=Git())
    commit = upstream.commit("app", {f"f{n}": os.urandom(3000).hex() for n in range(50)})
    await mirror.sync()
    await git.run("-C", str(clone), "fetch", "--quiet", "origin")
    assert (await git.run("-C", str(clone), "rev-parse", "origin/main")).decode().strip() == commit


async def test_commits_under_construction_are_not_served(base: str, tmp_path: Path) -> None:
    git = client(tmp_path)
    await git.run(
        "update-ref", "refs/swarm/build", await _some_commit(tmp_path), repository=tmp_path / "mirror.git"
    )
    assert await git.run("ls-remote", f"{base}/repo.git") == b""


async def _some_commit(tmp_path: Path) -> str:
    mirror = tmp_path / "mirror.git"
    tree = (
        await Git().run("hash-object", "-t", "tree", "-w", "--stdin", stdin=b"", repository=mirror)
    ).decode()
    text = f"tree {tree.strip()}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nx\n".encode()
    return (
        (await Git().run("hash-object", "-t", "commit", "-w", "--stdin", stdin=text, repository=mirror))
        .decode()
        .strip()
    )


async def test_many_clones_at_once_all_succeed(base: str, upstream: Upstream, tmp_path: Path) -> None:
    upstream.commit("app", {"a": "1\n"})
    await Mirror(tmp_path / "mirror.git", url=upstream.url("app"), branch="main", git=Git()).sync()
    git = client(tmp_path)
    await asyncio.gather(
        *(
            git.run("clone", "--quiet", "--depth=1", f"{base}/repo.git", str(tmp_path / f"c{n}"))
            for n in range(12)
        )
    )


async def test_a_wrong_token_gets_nothing(base: str, tmp_path: Path) -> None:
    with pytest.raises(GitFailed, match="Authentication failed"):
        await client(tmp_path, "wrong").run("ls-remote", f"{base}/repo.git")


async def test_nothing_can_be_pushed_or_read_around_upload_pack(base: str, tmp_path: Path) -> None:
    headers = {"Authorization": "Basic " + base64.b64encode(f"agent:{TOKEN}".encode()).decode()}
    async with aiohttp.ClientSession(headers=headers) as session:
        for method, path, status in [
            ("GET", "/repo.git/info/refs?service=git-receive-pack", 403),
            ("GET", "/repo.git/info/refs", 403),
            ("POST", "/repo.git/git-receive-pack", 404),
            ("GET", "/repo.git/config", 404),
            ("GET", "/repo.git/HEAD", 404),
            ("GET", "/healthz", 200),
            ("GET", "/readyz", 200),
        ]:
            async with session.request(method, base + path) as response:
                assert response.status == status, path
        (tmp_path / "away").touch()
        async with session.get(f"{base}/repo.git/info/refs?service=git-upload-pack") as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Bearer x", "Basic " + base64.b64encode(b"x:y").decode()]
)
async def test_malformed_credentials_are_simply_wrong(base: str, header: str) -> None:
    async with (
        aiohttp.ClientSession(headers={"Authorization": header}) as session,
        session.get(f"{base}/repo.git/info/refs?service=git-upload-pack") as response,
    ):
        assert response.status == 401

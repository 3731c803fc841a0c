from __future__ import annotations

import io
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from git_upstream import GitServer
from swarmrun.vcs.credentials import git_environment, store
from swarmrun.vcs.git import Git, GitFailed
from swarmrun.vcs.remote import PushOutcome, RemoteProblem
from swarmrun.vcs.repo import Change, Mirror, NewCommit
from swarmrun.vcs.trailers import Trailers, commit_message


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "upstream") as running:
        yield running


def mirror_of(url: str, tmp_path: Path, *, password: str = "pass", branch: str = "main") -> Mirror:  # noqa: S107 — guards nothing
    store({"username": "user", "password": password}, tmp_path / "private")
    return Mirror(
        tmp_path / "mirror.git", url=url, branch=branch, git=Git(env=git_environment(tmp_path / "private"))
    )


async def opened(mirror: Mirror) -> Mirror:
    await mirror.open()
    return mirror


def commit_of(task: str, path: str, content: str | None) -> NewCommit:
    trailers = Trailers(run="uid-1", task=task, attempt=1, agent="agent-0")
    return NewCommit(
        "agent-0",
        commit_message(task_type="implement_endpoint", title=task, summary="", trailers=trailers),
        (Change(path, None if content is None else content.encode()),),
        1_700_000_000,
    )


async def reason_of_sync(mirror: Mirror) -> str:
    await mirror.open()
    with pytest.raises(RemoteProblem) as caught:
        await mirror.sync()
    assert "pass" not in caught.value.message.replace("password", "")
    return caught.value.reason


async def test_an_empty_repository_is_fine_and_the_first_push_creates_the_branch(
    server: GitServer, tmp_path: Path
) -> None:
    server.create("app")
    mirror = await opened(mirror_of(server.url("app"), tmp_path))
    assert await mirror.sync() == ""
    await mirror.check_push()
    (commit,) = await mirror.build([commit_of("scaffold", "a.txt", "a\n")], parent="")
    assert await mirror.push(commit) is PushOutcome.DONE
    assert server.git("app", "rev-parse", "main") == commit == await mirror.head()
    assert (
        server.git("app", "log", "--format=%an <%ae> %cn %P")
        == "agent-0 <agent-0@swarmrun.dev> swarmrun-merger"
    )
    assert await mirror.landed("uid-1") == {"scaffold": commit}


async def test_sync_follows_the_remote_and_landed_reads_only_what_is_new(
    server: GitServer, tmp_path: Path
) -> None:
    server.create("app", {"README.md": "hi\n"})
    mirror = await opened(mirror_of(server.url("app"), tmp_path))
    head = await mirror.sync()
    first, second = await mirror.build(
        [commit_of("t1", "a", "1\n"), commit_of("t2", "b", "2\n")], parent=head
    )
    await mirror.push(second)
    assert await mirror.landed("uid-1") == {"t1": first, "t2": second}
    moved = server.commit("app", {"c": "3\n"})
    assert await mirror.sync() == moved
    assert await mirror.landed("uid-1") == {"t1": first, "t2": second}
    server.git("app", "update-ref", "refs/heads/main", first)
    assert await mirror.sync() == first
    assert await mirror.landed("uid-1") == {"t1": first}, "a rewound branch has lost what was on it"


async def test_a_push_that_lost_the_race_says_so_and_changes_nothing(
    server: GitServer, tmp_path: Path
) -> None:
    server.create("app", {"README.md": "hi\n"})
    mirror = await opened(mirror_of(server.url("app"), tmp_path))
    head = await mirror.sync()
    (mine,) = await mirror.build([commit_of("t1", "a", "1\n")], parent=head)
    theirs = server.commit("app", {"b": "2\n"})
    assert await mirror.push(mine) is PushOutcome.MOVED
    assert server.git("app", "rev-parse", "main") == theirs
    assert await mirror.head() == head


async def test_a_push_without_an_answer_is_of_unknown_outcome(server: GitServer, tmp_path: Path) -> None:
    server.create("app", {"README.md": "hi\n"})
    mirror = await opened(mirror_of(server.url("app"), tmp_path))
    (mine,) = await mirror.build([commit_of("t1", "a", "1\n")], parent=await mirror.sync())
    server.drop_push_answers = 1
    assert await mirror.push(mine) is PushOutcome.UNKNOWN
    await mirror.sync()
    assert await mirror.landed("uid-1") == {"t1": mine}


async def test_a_refused_push_is_a_persons_problem(server: GitServer, tmp_path: Path) -> None:
    server.create("app", {"README.md": "hi\n"})
    mirror = await opened(mirror_of(server.url("app"), tmp_path))
    (mine,) = await mirror.build([commit_of("t1", "a", "1\n")], parent=await mirror.sync())
    server.refuse_pushes("app")
    with pytest.raises(RemoteProblem, match="hook declined") as caught:
        await mirror.push(mine)
    assert caught.value.reason == "PushRejected"


@pytest.mark.parametrize("files", [None, {"README.md": "hi\n"}])
async def test_a_credential_that_may_not_push_is_found_before_any_work(
    server: GitServer, tmp_path: Path, files: dict[str, str] | None
) -> None:
    server.create("app", files)
    server.git("app", "config", "http.receivepack", "false")
    mirror = await opened(mirror_of(server.url("app"), tmp_path))
    await mirror.sync()
    with pytest.raises(RemoteProblem) as caught:
        await mirror.check_push()
    assert caught.value.reason == "PushRejected"


async def test_each_failure_of_the_remote_has_its_own_reason(server: GitServer, tmp_path: Path) -> None:
    server.create("app", {"README.md": "hi\n"})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/app.git"
        assert await reason_of_sync(mirror_of(closed, tmp_path / "1")) == "RepositoryUnreachable"
    assert await reason_of_sync(mirror_of(server.url("nope"), tmp_path / "2")) == "RepositoryUnreachable"
    wrong = mirror_of(server.url("app"), tmp_path / "3", password="wrong")
    assert await reason_of_sync(wrong) == "AuthenticationFailed"
    absent = mirror_of(server.url("app"), tmp_path / "4", branch="release")
    assert await reason_of_sync(absent) == "BranchNotFound"
    bare = Mirror(tmp_path / "5.git", url=server.url("app"), branch="main", git=Git())
    assert await reason_of_sync(bare) == "AuthenticationFailed"
    unresolved = mirror_of("http://git.invalid/app.git", tmp_path / "6")
    assert await reason_of_sync(unresolved) == "RepositoryUnreachable"


async def test_files_and_other_protocols_are_out_of_reach(tmp_path: Path) -> None:
    mirror = await opened(mirror_of(str(tmp_path), tmp_path))
    with pytest.raises(RemoteProblem, match="not allowed"):
        await mirror.sync()


async def test_an_export_holds_every_file_whatever_the_tree_says_of_attributes(
    server: GitServer, tmp_path: Path
) -> None:
    server.create(
        "app", {".gitattributes": "hidden export-ignore\nid ident\n", "hidden": "x\n", "id": "$Id$\n"}
    )
    mirror = await opened(mirror_of(server.url("app"), tmp_path))
    with (tmp_path / "out.tar").open("w+b") as file:
        await mirror.export(await mirror.sync(), file, prefix="tree/")
        file.seek(0)
        with tarfile.open(fileobj=io.BytesIO(file.read())) as tar:
            content = tar.extractfile("tree/id")
            assert content is not None
            assert content.read() == b"$Id$\n"
            assert "tree/hidden" in tar.getnames()


async def test_texts_merge_over_their_base_or_show_the_conflict(tmp_path: Path) -> None:
    mirror = await opened(mirror_of("http://git.invalid/app.git", tmp_path))
    base = b"1\n2\n3\n4\n5\n"
    merged, clean = await mirror.merge_text(base, b"one\n2\n3\n4\n5\n", b"1\n2\n3\n4\nfive\n")
    assert (merged, clean) == (b"one\n2\n3\n4\nfive\n", True)
    text, clean = await mirror.merge_text(base, b"one\n2\n3\n4\n5\n", b"eins\n2\n3\n4\n5\n")
    assert not clean
    assert b"one" in text
    assert b"eins" in text


async def test_a_call_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    git = Git(timeout=0.2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(GitFailed, match="no answer within"):
            await git.run("ls-remote", f"http://127.0.0.1:{mute.getsockname()[1]}/x.git")

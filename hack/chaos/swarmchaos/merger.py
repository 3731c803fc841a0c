"""A merger process: lands what was submitted on the branch of a real git repository, and tells the queue.

The branch is the commit point: fast-forward pushes only, and nothing whose trailer is there already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

from swarmchaos.journal import Ack, Journal
from swarmchaos.values import Site, dice
from swarmrun.core.errors import Retryable
from swarmrun.core.task import Failure, FailureKind, Reply
from swarmrun.queue.port import Submission
from swarmrun.queue.redis import RedisQueue, connect
from swarmrun.vcs.git import Git
from swarmrun.vcs.remote import PushOutcome
from swarmrun.vcs.repo import Change, Mirror, NewCommit
from swarmrun.vcs.trailers import Trailers, commit_message, parse

_BATCH: Final = 100
_PAUSE: Final = 0.1
_POLL: Final = 0.3
_BRANCH: Final = "main"
#: A folder on this machine stands for the remote.
_GIT: Final = Git(env={"GIT_ALLOW_PROTOCOL": "file"})
_RED: Final = Failure(kind=FailureKind.GATE, message="1 test failed", step="test")


def repository(folder: Path) -> Path:
    """Name the repository that stands for the user's."""
    return folder / "remote.git"


async def create_repository(folder: Path) -> None:
    """Make the empty repository."""
    await _GIT.run("init", "--quiet", "--bare", f"--initial-branch={_BRANCH}", str(repository(folder)))


async def commits(folder: Path) -> list[tuple[str, str]]:
    """List what is on the branch, (task, commit), every commit."""
    shown = await _GIT.run(
        "log", "-z", "--format=%H%n%B", _BRANCH, "--", repository=repository(folder), accept=(0, 128)
    )
    records = (record.partition("\n") for record in shown.decode().split("\0") if record)
    found = ((commit, parse(body)) for commit, _, body in records)
    return [(trailers.task, commit) for commit, trailers in found if trailers is not None]


async def run(site: Site, name: str) -> None:
    """Merge for ever."""
    mirror = Mirror(site.folder / f"{name}.git", url=str(repository(site.folder)), branch=_BRANCH, git=_GIT)
    queue = RedisQueue(connect(site.url), site.uid)
    merger = _Merger(site, queue, mirror, Journal(site.folder, name), dice(site.seed, name))
    await mirror.open()
    while True:
        try:
            await merger.round()
        except Retryable:
            await asyncio.sleep(_PAUSE)


class _Merger:
    def __init__(self, site: Site, queue: RedisQueue, mirror: Mirror, journal: Journal, rng: Random) -> None:
        self._site, self._queue, self._mirror, self._journal, self._rng = site, queue, mirror, journal, rng

    async def round(self) -> None:
        await self._tell_landed()
        waiting = await self._queue.submissions(limit=_BATCH, timeout_seconds=_POLL)
        if not waiting:
            return
        head = await self._mirror.sync()
        landed = await self._mirror.landed(self._site.uid)
        fresh = []
        for submission in waiting:
            if submission.task.id in landed:
                await self._land(submission, landed)
            elif not await self._turned_down(submission):
                fresh.append(submission)
        await self._push(fresh, head)

    async def _tell_landed(self) -> None:
        if (epoch := await self._queue.unreported_epoch()) is None:
            return
        await self._mirror.sync()
        await self._queue.mark_landed(await self._mirror.landed(self._site.uid), epoch=epoch)

    async def _turned_down(self, submission: Submission) -> bool:
        mishap = self._rng.random() / self._site.mishaps if self._site.mishaps else 1.0
        if mishap >= 1:
            return False
        began = time.monotonic()
        if mishap < 1 / 2:
            self._note(
                began, "send_back", submission, await self._queue.send_back(submission, "base vanished")
            )
        else:
            self._note(began, "reject", submission, await self._queue.reject(submission, _RED, None))
        return True

    async def _push(self, fresh: Sequence[Submission], head: str) -> None:
        if not fresh:
            return
        names = await self._mirror.build([_commit(self._site.uid, s) for s in fresh], parent=head)
        if await self._mirror.push(names[-1]) is not PushOutcome.DONE:
            return
        made = {s.task.id: name for s, name in zip(fresh, names, strict=True)}
        for submission in fresh:
            await self._land(submission, made)

    async def _land(self, submission: Submission, made: Mapping[str, str]) -> None:
        began = time.monotonic()
        reply = await self._queue.land(submission, made)
        self._note(began, "land", submission, reply, made[submission.task.id])

    def _note(self, began: float, what: str, of: Submission, reply: Reply, commit: str = "") -> None:
        ended = time.monotonic()
        names = (self._site.uid, of.task.id, of.lease.token, reply.value, commit)
        self._journal.add(Ack(began, ended, "merger", what, *names))


def _commit(uid: str, submission: Submission) -> NewCommit:
    task, lease = submission.task, submission.lease
    trailers = Trailers(uid, task.id, lease.attempt, lease.agent)
    message = commit_message(task_type=task.type, title=task.title, summary="", trailers=trailers)
    changes = tuple(Change(edit.path, edit.content.encode()) for edit in submission.change_set.edits)
    return NewCommit(author=lease.agent, message=message, changes=changes, at=1)

"""Builds the commits of a batch on top of a head: one per task, in the mirror, not yet on the branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from swarm_merge.edits import Clash, Effect, Keep, Merge, Remove, Write, effects
from swarm_merge.triage import Candidate
from swarmrun.core.task import OUTPUT_LIMIT, Failure, FailureKind
from swarmrun.queue.port import Submission
from swarmrun.vcs.repo import Change, Mirror, NewCommit, overlay
from swarmrun.vcs.trailers import Trailers, commit_message
from swarmrun.vcs.tree import Entry, Tree, blob_id


@dataclass(frozen=True, slots=True)
class Built:
    """A candidate with its commits: by task id, `tip` the last one, `paths` of the tree at the tip."""

    candidate: Candidate
    commits: Mapping[str, str]
    tip: str
    paths: frozenset[str]

    @property
    def key(self) -> str:
        """Name the candidate within a batch."""
        return self.candidate.submission.task.id


@dataclass(frozen=True, slots=True)
class Chain:
    """A batch on top of a head. `conflicts` clash with the head itself; `deferred` only with companions."""

    built: tuple[Built, ...]
    conflicts: tuple[tuple[Candidate, Failure], ...]
    deferred: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class _Applied:
    changes: tuple[tuple[Change, ...], ...]
    tree: Tree


class ConflictError(Exception):
    """The change set does not fit the head; the failure carries both sides."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ChainBuilder:
    """Applies candidates one after another. Trees are read once per commit and builder."""

    def __init__(self, mirror: Mirror, *, run: str) -> None:
        self._mirror, self._run = mirror, run
        self._trees: dict[str, Tree] = {}
        #: Contents that are not in the mirror yet, by blob: those of this batch.
        self._fresh: dict[str, bytes] = {}

    async def build(self, candidates: Sequence[Candidate], *, head: str, at: int) -> Chain:
        """Build what applies; sort out what does not. `at`: seconds since the epoch for the commits."""
        self._fresh = {}
        start = await self._tree(head)
        tree = start
        fitting: list[tuple[Candidate, _Applied]] = []
        conflicts: list[tuple[Candidate, Failure]] = []
        deferred: list[Candidate] = []
        for candidate in candidates:
            try:
                applied = await self._apply(candidate, tree)
            except ConflictError:
                try:
                    await self._apply(candidate, start)
                except ConflictError as error:
                    conflicts.append((candidate, error.failure))
                else:
                    deferred.append(candidate)
                continue
            fitting.append((candidate, applied))
            tree = applied.tree
        built = await self._commit(fitting, head=head, at=at)
        return Chain(tuple(built), tuple(conflicts), tuple(deferred))

    async def _commit(self, fitting: list[tuple[Candidate, _Applied]], *, head: str, at: int) -> list[Built]:
        commits = [
            _new_commit(part, changes, run=self._run, at=at)
            for candidate, applied in fitting
            for part, changes in zip(candidate.parts, applied.changes, strict=True)
        ]
        names = iter(await self._mirror.build(commits, parent=head))
        built = []
        for candidate, applied in fitting:
            made = {part.task.id: next(names) for part in candidate.parts}
            tip = made[candidate.parts[-1].task.id]
            built.append(Built(candidate, {**candidate.landed, **made}, tip, frozenset(applied.tree)))
        return built

    async def _apply(self, candidate: Candidate, tree: Tree) -> _Applied:
        below: list[Submission] = []
        all_changes: list[tuple[Change, ...]] = []
        for part in candidate.parts:
            base = _with_edits(await self._tree(part.change_set.base), below)
            changes: list[Change] = []
            entries: list[tuple[str, Entry | None]] = []
            for effect in effects(part.change_set.edits, base=base, head=tree):
                resolved = await self._resolve(effect)
                if isinstance(resolved, Write):
                    self._fresh[resolved.entry.blob] = resolved.content
                    changes.append(Change(resolved.path, resolved.content, resolved.entry.mode))
                    entries.append((resolved.path, resolved.entry))
                elif isinstance(resolved, Remove):
                    changes.append(Change(resolved.path, None))
                    entries.append((resolved.path, None))
            # Deletions first: a file may become a folder of the same name.
            all_changes.append(tuple(sorted(changes, key=lambda c: c.content is not None)))
            tree = overlay(tree, entries)
            below.append(part)
            self._fresh |= {blob_id(text): text for text in _contents(part)}
        return _Applied(tuple(all_changes), tree)

    async def _resolve(self, effect: Effect) -> Write | Remove | Keep:
        if isinstance(effect, Clash):
            raise ConflictError(_conflict(f"{effect.path} {effect.reason}", ""))
        if not isinstance(effect, Merge):
            return effect
        base = await self._read(effect.base_blob) if effect.base_blob else b""
        ours = await self._read(effect.head.blob)
        merged, clean = await self._mirror.merge_text(base, ours, effect.content)
        if not clean:
            raise ConflictError(
                _conflict(
                    f"{effect.path} changed on the branch since the base, on the same lines",
                    merged.decode(errors="replace"),
                )
            )
        return Write(effect.path, merged, Entry(effect.head.mode, blob_id(merged, like=effect.head.blob)))

    async def _read(self, blob: str) -> bytes:
        return self._fresh[blob] if blob in self._fresh else await self._mirror.read(blob)

    async def _tree(self, commit: str) -> Tree:
        if commit not in self._trees:
            self._trees[commit] = await self._mirror.tree(commit)
        return self._trees[commit]


def _contents(part: Submission) -> list[bytes]:
    return [e.content.encode() for e in part.change_set.edits if e.action == "write"]


def _with_edits(tree: Tree, below: Sequence[Submission]) -> Tree:
    """The tree an agent saw: its base, with the stack's files laid over it."""
    entries = [
        (e.path, None if e.action == "delete" else Entry("100644", blob_id(e.content.encode())))
        for part in below
        for e in part.change_set.edits
    ]
    return overlay(tree, entries)


def _new_commit(part: Submission, changes: tuple[Change, ...], *, run: str, at: int) -> NewCommit:
    message = commit_message(
        task_type=part.task.type.value,
        title=part.task.title,
        summary=part.change_set.summary,
        trailers=Trailers(run=run, task=part.task.id, attempt=part.lease.attempt, agent=part.lease.agent),
    )
    return NewCommit(author=_author(part.lease.agent), message=message, changes=changes, at=at)


def _author(agent: str) -> str:
    return "".join(c for c in agent if c.isascii() and (c.isalnum() or c in "-._")) or "agent"


def _conflict(message: str, output: str) -> Failure:
    return Failure(
        kind=FailureKind.CONFLICT, step="merge", message=message[:1000], output=output[-OUTPUT_LIMIT:]
    )

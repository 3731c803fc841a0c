"""What becomes of a submission before any gate: landed already, refused, unusable, or a candidate. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from swarm_merge.secrets import scan
from swarmrun.core.ownership import violations
from swarmrun.core.profile import Profile
from swarmrun.core.task import ChangeSet, Failure, FailureKind, Task, TaskType
from swarmrun.queue.port import Submission

_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class Landed:
    """All of it is on the branch: an earlier push whose end was not heard of, or a repetition."""

    commits: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refused:
    """The change set breaks a rule; it never reaches the gates."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Unusable:
    """It cannot be judged, and that is nobody's fault."""

    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """Parts to apply, oldest first: the stack, then the submission, without what is on the branch."""

    submission: Submission
    parts: tuple[Submission, ...]
    landed: Mapping[str, str]


Verdict = Landed | Refused | Unusable | Candidate


def triage(
    submission: Submission,
    *,
    landed: Mapping[str, str],
    profile: Profile,
    known_bases: frozenset[str],
) -> Verdict:
    """Decide about one submission. `landed`: task → commit by trailers; `known_bases`: commits at hand."""
    parts = (*submission.stack, submission)
    done = {part.task.id: landed[part.task.id] for part in parts if part.task.id in landed}
    # What a fix repairs is on the branch: the fix came too late to matter, whatever it says.
    commit = landed.get(submission.task.id) or landed.get(submission.task.fix_of or "")
    if commit:
        return Landed({part.task.id: done.get(part.task.id, commit) for part in parts})
    for part in parts:
        if part.task.id not in done and (failure := refusal(part.task, part.change_set, profile)) is not None:
            return Refused(failure)
        if part.change_set.base and part.change_set.base not in known_bases:
            return Unusable(f"base commit {part.change_set.base[:12]} is not in the repository")
    return Candidate(submission, tuple(p for p in parts if p.task.id not in done), done)


def refusal(task: Task, change_set: ChangeSet, profile: Profile) -> Failure | None:
    """Tell why a change set may not land whatever the gates say, or None."""
    if findings := scan(change_set.edits):
        return Failure(
            kind=FailureKind.SECRET,
            step="secrets",
            message="the change set must not carry credentials",
            output="\n".join(map(str, findings[:50])),
        )
    template = profile.template if _is_scaffold(task) else {}
    judged = [
        edit.path
        for edit in change_set.edits
        if not (edit.action == "write" and template.get(edit.path) == edit.content)
    ]
    problems = violations(judged, owned=task.owned, protected=profile.protected)
    if twice := sorted({p for p in judged if judged.count(p) > 1}):
        return Failure(
            kind=FailureKind.FORMAT,
            step="paths",
            message=f"each path must occur once, not {twice[0]!a} twice"[:_MESSAGE],
        )
    if not problems:
        return _incomplete_scaffold(task, change_set, profile)
    return Failure(
        kind=FailureKind.OWNERSHIP,
        step="paths",
        message=f"{len(problems)} edit(s) outside the task's own paths",
        output="\n".join(str(p) for p in problems[:50]),
    )


def _incomplete_scaffold(task: Task, change_set: ChangeSet, profile: Profile) -> Failure | None:
    """Without its template the stack has no gates worth the name, so a scaffold must bring all of it."""
    if task.type is not TaskType.SCAFFOLD:
        return None
    written = {edit.path for edit in change_set.edits if edit.action == "write"}
    missing = sorted(profile.template.keys() - written)
    if not missing:
        return None
    return Failure(
        kind=FailureKind.FORMAT,
        step="template",
        message=f"the scaffold must carry the template's files; missing: {', '.join(missing)}"[:_MESSAGE],
    )


def _is_scaffold(task: Task) -> bool:
    target = task.spec.get("target")
    of_scaffold = isinstance(target, dict) and target.get("type") == TaskType.SCAFFOLD
    return task.type is TaskType.SCAFFOLD or (task.type is TaskType.FIX_BUG and of_scaffold)

"""One attempt at a task: context, answers, draft, check, change set."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final

from swarm_agent.check import Sandbox, only_tests_failed, steps_for
from swarm_agent.context import gather
from swarm_agent.conversation import Conversation
from swarm_agent.draft import Draft, draft_on, in_style_of
from swarm_agent.errors import AttemptFailedError
from swarm_agent.model import Answer, Request
from swarm_agent.model.patient import PatientModel
from swarmrun.core import prompt
from swarmrun.core.edits import MAX_CONTENT, FormatProblem, parse_answer, parse_whole_files, render_files
from swarmrun.core.errors import Problem
from swarmrun.core.ownership import matches, violations
from swarmrun.core.profile import Profile
from swarmrun.core.sandbox import RunResult, RunSpec
from swarmrun.core.task import ChangeSet, FailureKind, FileEdit, TaskType, specialization_of
from swarmrun.queue.port import Claimed
from swarmrun.runconfig import RunConfig
from swarmrun.vcs.workspace import Snapshot, Workspace

#: Answers in a row that may be unusable before the attempt fails.
MAX_ASKS: Final = 4
#: Parts in which one answer may come when it exceeds the model's output limit.
MAX_PARTS: Final = 12
#: Share of the task's time after which no model call may run: the check and the report need the rest.
_MODEL_SHARE: Final = 0.85
_SUMMARY: Final = 500


@dataclass(frozen=True, slots=True)
class Tools:
    """What an attempt works with."""

    config: RunConfig
    profile: Profile
    workspace: Workspace
    model: PatientModel
    sandbox: Sandbox


class Attempt:
    """Made for one claim and run once."""

    def __init__(self, tools: Tools, claimed: Claimed, model: str) -> None:
        self._tools, self._claimed, self._task, self._model = tools, claimed, claimed.task, model
        self._system = prompt.system_prompt(
            tools.config.project_name,
            tools.profile.conventions,
            specialization_of(_index(claimed.lease.agent)),
            claimed.task.type,
        )
        self._deadline = 0.0
        self._summary = ""

    async def run(self) -> ChangeSet:
        """Work until there is a change set to submit.

        Raises:
            AttemptFailedError: the task's own failure.
            GiveBackError, WorkspaceFailed: trouble that is not the task's.
            LeaseLostError: the lease is stale.
        """
        limit = self._tools.config.task_timeout_seconds
        self._deadline = asyncio.get_running_loop().time() + limit * _MODEL_SHARE
        try:
            async with asyncio.timeout(limit):
                return await self._work()
        except TimeoutError:
            message = f"the attempt took more than {limit} s"
            raise AttemptFailedError(FailureKind.TIMEOUT, message) from None

    async def _work(self) -> ChangeSet:
        snapshot = await self._tools.workspace.sync()
        draft = draft_on(snapshot.tree, self._claimed.stack)
        given = await gather(self._claimed, snapshot, draft, self._tools.workspace)
        talk = Conversation(prompt.user_prompt(given))
        for left in range(self._tools.config.repair_rounds, -1, -1):
            answer, edits = await self._ask(talk, draft)
            draft.take(await self._styled(edits, snapshot))
            draft.take(self._template())
            result = await self._check(draft, snapshot)
            if result is None or result.passed or (left == 0 and self._may_stay_red(result)):
                return self._change_set(draft, snapshot)
            if left == 0:
                raise _check_failed(result)
            talk.accept(answer, prompt.check_failed(result.steps))
        raise AssertionError("the last round returns or raises")

    async def _ask(self, talk: Conversation, draft: Draft) -> tuple[str, tuple[FileEdit, ...]]:
        """Ask until an answer can be used; returns its text and its edits."""
        kind, problems = FailureKind.FORMAT, ()  # type: FailureKind, tuple[Problem, ...]
        for _ in range(MAX_ASKS):
            answer, received = await self._parts(talk)
            if answer.cut:
                limit = self._tools.config.max_output_tokens
                kind, problems = FailureKind.FORMAT, (_too_long(limit),)
                talk.shorten(prompt.answer_cut(limit))
                continue
            kind, problems, edits = self._judge(answer.text, received, draft)
            if not problems:
                self._summary = answer.text.split("```")[0].strip()[:_SUMMARY]
                return answer.text, edits
            talk.refuse(answer.text, prompt.format_refused(problems))
        listed = "\n".join(str(problem) for problem in problems)
        raise AttemptFailedError(kind, f"{MAX_ASKS} answers in a row could not be used", output=listed)

    async def _parts(self, talk: Conversation) -> tuple[Answer, dict[str, FileEdit]]:
        """Take an answer in parts while each cut part brings at least one whole file that is new."""
        received: dict[str, FileEdit] = {}
        for _ in range(MAX_PARTS):
            answer = await self._answer(talk)
            new = [e for e in parse_whole_files(answer.text) if e.path not in received] if answer.cut else []
            if not new:
                return answer, received
            received |= {edit.path: edit for edit in new}
            request = prompt.answer_continues(sorted(received), self._tools.config.max_output_tokens)
            talk.accept(render_files(new), request)
        return answer, received

    async def _answer(self, talk: Conversation) -> Answer:
        request = Request(
            lease=self._claimed.lease,
            model=self._model,
            system=self._system,
            turns=talk.turns(),
            max_tokens=self._tools.config.max_output_tokens,
        )
        return await self._tools.model.ask(request, deadline=self._deadline)

    def _judge(
        self, text: str, received: Mapping[str, FileEdit], draft: Draft
    ) -> tuple[FailureKind, tuple[Problem, ...], tuple[FileEdit, ...]]:
        try:
            last = parse_answer(text)
        except FormatProblem as error:
            return FailureKind.FORMAT, error.problems, ()
        edits = tuple({**received, **{edit.path: edit for edit in last}}.values())
        if self._task.type is TaskType.SCAFFOLD:
            # The template's files are ours; what the model writes there is no fault, only useless.
            edits = tuple(e for e in edits if e.path not in self._tools.profile.template)
        paths = [edit.path for edit in edits]
        found = violations(paths, owned=self._task.owned, protected=self._tools.profile.protected)
        return FailureKind.OWNERSHIP, (*found, *draft.problems(edits)), edits

    async def _styled(self, edits: Sequence[FileEdit], snapshot: Snapshot) -> list[FileEdit]:
        paths = [edit.path for edit in edits]
        old = await self._tools.workspace.read(snapshot.tree, paths, limit=MAX_CONTENT * 4)
        return [in_style_of(old.get(edit.path, b""), edit) for edit in edits]

    def _template(self) -> tuple[FileEdit, ...]:
        if self._task.type is not TaskType.SCAFFOLD:
            return ()
        return tuple(FileEdit(path=p, content=c) for p, c in sorted(self._tools.profile.template.items()))

    async def _check(self, draft: Draft, snapshot: Snapshot) -> RunResult | None:
        """Run the profile's check on the draft; None when there is nothing to run."""
        profile = self._tools.profile
        tests = [path for path in draft.paths() if matches(path, self._task.tests)]
        steps = steps_for(profile, self._task.type, tests)
        if not steps:
            return None

        async def export(file: IO[bytes]) -> None:
            await self._tools.workspace.export(snapshot.tree, draft.overlay(), file, prefix="tree/")

        return await self._tools.sandbox.run(RunSpec(steps=steps, links=profile.links), export)

    def _may_stay_red(self, result: RunResult) -> bool:
        """Tests may be right and the implementation wrong: the gates decide."""
        return self._task.type is TaskType.WRITE_TESTS and only_tests_failed(self._tools.profile, result)

    def _change_set(self, draft: Draft, snapshot: Snapshot) -> ChangeSet:
        if not draft.own:
            raise AttemptFailedError(FailureKind.FORMAT, "the answers cancel each other: no change is left")
        return draft.change_set(snapshot.commit, self._summary)


def _index(agent: str) -> int:
    found = re.search(r"(\d{1,6})$", agent)
    return int(found[1]) if found else 0


def _too_long(limit: int) -> Problem:
    return Problem(
        path="answer",
        value="no end",
        rule=f"must end within {limit} output tokens",
        fix="write fewer or shorter files",
    )


def _check_failed(result: RunResult) -> AttemptFailedError:
    red = next((s for s in result.steps if s.exit_code not in (0, None)), result.steps[-1])
    how = "timed out" if red.timed_out else f"ended with exit code {red.exit_code}"
    message = f"the agent's check is red: {red.name} {how}"
    return AttemptFailedError(FailureKind.CHECK, message, output=red.output, step=red.name)

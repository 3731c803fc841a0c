"""Build a whole project without a cluster: `python -m simulated_model.rehearsal SPECIFICATION FOLDER`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from simulated_model.answer import answer
from simulated_model.faults import Faults
from simulated_model.parse import Message
from swarmrun import profiles
from swarmrun.core.edits import parse_answer
from swarmrun.core.ownership import violations
from swarmrun.core.plan import Plan, build_plan
from swarmrun.core.profile import Profile
from swarmrun.core.project import parse_project
from swarmrun.core.prompt import PromptInput, system_prompt, user_prompt
from swarmrun.core.task import Specialization, Task


@dataclass(frozen=True)
class Rehearsal:
    """A planned project, ready to be written."""

    plan: Plan
    profile: Profile

    def files(self, faults: Faults | None = None) -> Iterator[tuple[Task, dict[str, str]]]:
        """Give each task, in the plan's order, with the files that the model wrote for it.

        Raises:
            swarmrun.core.edits.FormatProblem: an answer breaks the format.
            ValueError: an answer writes what the task does not own.
        """
        yield self.plan.tasks[0], dict(self.profile.template)
        for task in self.plan.tasks:
            said = answer(conversation(task, self.profile), faults or Faults())
            files = files_in(said.text)
            if faults_found := violations(list(files), owned=task.owned, protected=self.profile.protected):
                raise ValueError(f"{task.id}: {faults_found[0]}")
            yield task, files


def rehearse(specification: Mapping[str, Any]) -> Rehearsal:
    """Plan a project specification.

    Raises:
        swarmrun.core.errors.Invalid: the specification is wrong.
    """
    known = [profiles.load(name) for name in profiles.names()]
    project = parse_project(dict(specification), profiles=known)
    profile = profiles.load(project.profile)
    return Rehearsal(build_plan(project, profile), profile)


def conversation(task: Task, profile: Profile, *, attempt: int = 1, hint: str = "") -> list[Message]:
    """Render the prompt of a task's first round, as the agents do, without files of the repository."""
    name = str(task.spec["project"]["name"])
    system = system_prompt(name, profile.conventions, Specialization.API_IMPLEMENTATION, task.type)
    user = user_prompt(PromptInput(task=task, attempt=attempt, hint=hint))
    return [Message("system", system), Message("user", user)]


def files_in(text: str) -> dict[str, str]:
    """Read an answer's files, as the agents do.

    Raises:
        swarmrun.core.edits.FormatProblem: the answer breaks the format.
    """
    return {edit.path: edit.content for edit in parse_answer(text)}


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def main() -> None:
    """Write the project that a specification describes into a folder."""
    parser = argparse.ArgumentParser(prog="simulated_model.rehearsal", description=__doc__)
    parser.add_argument("specification", type=Path, help="YAML; a SwarmRun's file or the project alone")
    parser.add_argument("folder", type=Path, help="where the project is written")
    args = parser.parse_args()
    data = yaml.safe_load(args.specification.read_text(encoding="utf-8"))
    done = rehearse(data["spec"]["project"] if data.get("kind") == "SwarmRun" else data)
    for task, files in done.files():
        write(args.folder, files)
        print(f"{task.id}: {len(files)} files")
    kinds = {str(kind): count for kind, count in done.plan.totals.items()}
    print(f"{len(done.plan.tasks)} tasks: {json.dumps(kinds)}")


if __name__ == "__main__":
    main()

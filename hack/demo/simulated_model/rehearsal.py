"""Build a whole project without a cluster: `python -m simulated_model.rehearsal SPECIFICATION FOLDER`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from simulated_model.answer import answer
from simulated_model.faults import Faults
from simulated_model.parse import Message, sections
from swarmrun import profiles
from swarmrun.core.ownership import violations
from swarmrun.core.plan import Plan, build_plan
from swarmrun.core.profile import Profile
from swarmrun.core.project import parse_project
from swarmrun.core.task import Task, TaskType

_PROJECT_KEYS: Final = frozenset({"project", "resource", "related"})


@dataclass(frozen=True)
class Rehearsal:
    """A planned project, ready to be written."""

    plan: Plan
    profile: Profile

    def files(self, faults: Faults | None = None) -> Iterator[tuple[Task, dict[str, str]]]:
        """Give each task, in the plan's order, with the files that the model wrote for it.

        Raises:
            ValueError: an answer breaks the format, or writes what the task does not own.
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


def _block(title: str, value: Any) -> str:
    return f"## {title}\n\n```json\n{json.dumps(value, indent=1)}\n```\n"


def conversation(task: Task, profile: Profile) -> list[Message]:
    """Render the prompt of a task's first round, as docs/contracts.md describes it."""
    spec = task.spec
    parts = [_block("Project", spec["project"])]
    if "resource" in spec:
        parts += [_block("Resource", spec["resource"]), _block("Related resources", spec["related"])]
    rest = {key: value for key, value in spec.items() if key not in _PROJECT_KEYS}
    facts = f"- id: {task.id}\n- type: {task.type}\n- title: {task.title}\n- attempt: 1\n"
    parts.append(f"## Task\n\n{facts}\n```json\n{json.dumps(rest, indent=1)}\n```\n")
    parts.append("## Paths you may write\n\n" + "".join(f"- {glob}\n" for glob in task.owned))
    return [Message("system", profile.conventions), Message("user", "\n".join(parts))]


def files_in(text: str) -> dict[str, str]:
    """Read an answer's files.

    Raises:
        ValueError: the count on the last line differs from the fences.
    """
    fences = [fence for section in sections(text).values() for fence in section.fences]
    files = {fence.info.partition(":")[2]: fence.content + "\n" for fence in fences if ":" in fence.info}
    if text.rstrip().rsplit("\n", 1)[-1] != f"FILES: {len(files)}":
        raise ValueError("the answer does not end with the count of its files")
    return files


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
    kinds = {str(kind): count for kind, count in done.plan.totals.items() if kind in TaskType}
    print(f"{len(done.plan.tasks)} tasks: {json.dumps(kinds)}")


if __name__ == "__main__":
    main()

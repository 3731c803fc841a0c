"""Values for the merger's tests: a stack whose gate is Python's standard library, tasks, submissions."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from swarm_merge.fixes import fix_task
from swarmrun.core.profile import Profile, TaskLayout
from swarmrun.core.sandbox import Step
from swarmrun.core.task import ChangeSet, FileEdit, Lease, Task, TaskType
from swarmrun.queue.port import Submission

#: Runs every tests/test_*.py as a program and reports in JUnit XML; no source may say "BROKEN".
GATE: Final = """\
import pathlib, subprocess, sys
cases, bad = "", 0
for path in sorted(pathlib.Path("src").glob("*.py")):
    if "BROKEN" in path.read_text():
        print(f"{path} is broken: {path.read_text()}")
        bad += 1
tests = sorted(pathlib.Path("tests").glob("test_*.py"))
for path in tests:
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True)
    fault = "<failure message='failed'/>" if done.returncode else ""
    bad += bool(done.returncode)
    print(done.stdout + done.stderr)
    cases += f"<testcase file='{path}' name='{path.stem}'>{fault}</testcase>"
if tests:
    pathlib.Path("junit.xml").write_text(f"<testsuites><testsuite name='s'>{cases}</testsuite></testsuites>")
    pathlib.Path("lcov.info").write_text("SF:src/a.py\\nDA:1,1\\nDA:2,1\\nDA:3,1\\nDA:4,0\\nend_of_record\\n")
sys.exit(bool(bad))
"""

PROFILE: Final = Profile(
    name="plain-python",
    frameworks=("plain",),
    databases=(),
    layout={
        TaskType.WRITE_TESTS: TaskLayout(
            owned=("tests/test_{resource}.py",), tests=("tests/test_{resource}.py",)
        )
    },
    protected=("gate.py",),
    check=(),
    gate=(Step(name="test", argv=(sys.executable, "gate.py"), timeout_seconds=30),),
    junit="junit.xml",
    lcov="lcov.info",
    template={"gate.py": GATE},
)


def task(name: str, **fields: Any) -> Task:
    """An endpoint's task that owns src/NAME.py, unless told otherwise."""
    return Task(
        **{
            "id": name,
            "type": TaskType.IMPLEMENT_ENDPOINT,
            "title": f"Do {name}",
            "owned": (f"src/{name}.py",),
            **fields,
        }
    )


def test_task(name: str, subject: str) -> Task:
    """The task that writes tests/test_NAME.py for the task `subject`."""
    path = f"tests/test_{name}.py"
    return task(f"{name}.tests", type=TaskType.WRITE_TESTS, owned=(path,), tests=(path,), subject=subject)


test_task.__test__ = False  # type: ignore[attr-defined]  # pytest's own marker


def scaffold() -> Task:
    """The first task; its change set carries the template."""
    return task("scaffold", type=TaskType.SCAFFOLD, owned=("src/main.py",))


def fix_of(target: Task, paths: tuple[str, ...] = ()) -> Task:
    """The repair of `target`, as the merger orders it."""
    return fix_task(target, subject_paths=paths)


def change(files: Mapping[str, str | None], *, base: str = "") -> ChangeSet:
    """A change set of whole files; None deletes."""
    edits = tuple(
        FileEdit(path=p, action="delete") if c is None else FileEdit(path=p, content=c)
        for p, c in files.items()
    )
    return ChangeSet(base=base, edits=edits, summary="As asked.")


def submission(of: Task, change_set: ChangeSet, *, stack: tuple[Submission, ...] = ()) -> Submission:
    """A submission as the queue hands it to the merger."""
    lease = Lease(task_id=of.id, token="1-1", agent="agent-0", attempt=1, ttl_seconds=60)
    return Submission(task=of, lease=lease, change_set=change_set, stack=stack)

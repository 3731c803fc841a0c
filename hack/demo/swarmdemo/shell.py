"""Runs kubectl, helm and others with a deadline; a failure shows the command and its last output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml


class DemoError(Exception):
    """The demo cannot go on; the message says what to do."""


class CannotStartError(DemoError):
    """Nothing was begun; the message says what to do before the next try."""


class Tools:
    """kubectl and helm against one cluster.

    Args:
        kubeconfig: a file, or the value of a KUBECONFIG, which may join several by ':'.
        bin_dir: a folder that goes first on PATH.
    """

    def __init__(self, kubeconfig: Path | str, bin_dir: Path | None) -> None:
        path = os.environ["PATH"]
        self.environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "PATH": f"{bin_dir}:{path}" if bin_dir else path,
        }

    def attempt(
        self, argv: Sequence[str | Path], *, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run one program to its end, whatever its exit code."""
        try:
            return subprocess.run(
                [str(a) for a in argv],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout,
                env=self.environment,
                check=False,
            )
        except FileNotFoundError:
            raise DemoError(f"{argv[0]} is not installed") from None
        except subprocess.TimeoutExpired:
            raise DemoError(
                f"{argv[0]} {argv[1] if len(argv) > 1 else ''} did not end within {timeout:.0f} s"
            ) from None

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        stdin: str | None = None,
        timeout: float = 120,
        check: bool = True,
    ) -> str:
        """Run one program and return its standard output."""
        done = self.attempt(argv, stdin=stdin, timeout=timeout)
        if check and done.returncode != 0:
            raise DemoError(
                f"{' '.join(map(str, argv[:6]))}: exit code {done.returncode}\n{done.stderr[-2000:]}"
            )
        return done.stdout

    def kubectl(
        self, *argv: str | Path, stdin: str | None = None, timeout: float = 120, check: bool = True
    ) -> str:
        """Run kubectl."""
        return self.run(["kubectl", *argv], stdin=stdin, timeout=timeout, check=check)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects on the server's side."""
        text = yaml.safe_dump_all([dict(o) for o in objects], sort_keys=False)
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)

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


class Tools:
    """kubectl and helm against one cluster."""

    def __init__(self, kubeconfig: Path, bin_dir: Path | None) -> None:
        path = os.environ["PATH"]
        self.environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "PATH": f"{bin_dir}:{path}" if bin_dir else path,
        }

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        stdin: str | None = None,
        timeout: float = 120,
        check: bool = True,
    ) -> str:
        """Run one program and return its standard output."""
        try:
            done = subprocess.run(
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

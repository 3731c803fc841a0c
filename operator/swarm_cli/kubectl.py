"""The only way out of this program: kubectl, with the user's own credentials."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Final

from swarmrun.core.errors import SwarmError

RUNS: Final = "swarmruns.swarmrun.dev"
_TIMEOUT_SECONDS: Final = 30


class KubectlError(SwarmError):
    """kubectl did not do what was asked; `not_found` tells a missing object from other failures."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.not_found = "NotFound" in message


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the global options of one call of this program."""

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None

    def run(self, *args: str) -> str:
        """Run kubectl and return its standard output.

        Raises:
            KubectlError: kubectl is missing, failed or took longer than 30 seconds.
        """
        program = shutil.which("kubectl")
        if program is None:
            raise KubectlError("kubectl must be on PATH; install it, then try again")
        options = [
            f"--{name}={value}"
            for name, value in (
                ("namespace", self.namespace),
                ("context", self.context),
                ("kubeconfig", self.kubeconfig),
            )
            if value
        ]
        command = [program, *options, "--request-timeout=10s", *args]
        try:
            done = subprocess.run(  # noqa: S603 — fixed program, arguments passed without a shell
                command,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise KubectlError(f"kubectl did not answer within {_TIMEOUT_SECONDS} seconds") from None
        if done.returncode != 0:
            raise KubectlError(done.stderr.strip()[-2000:] or f"kubectl ended with {done.returncode}")
        return done.stdout

    def get(self, kind: str, name: str = "", *, everywhere: bool = False) -> dict[str, Any]:
        """Read one object, or a list of all without a name."""
        args = [
            "get",
            kind,
            *([name] if name else []),
            *(["--all-namespaces"] if everywhere else []),
            "-o",
            "json",
        ]
        found: dict[str, Any] = json.loads(self.run(*args))
        return found

    def patch(self, name: str, patch: Any, *, dry_run: bool) -> None:
        """Patch a run: a dict as merge patch, a list as JSON patch."""
        kind = "json" if isinstance(patch, list) else "merge"
        dry = ["--dry-run=server"] if dry_run else []
        self.run("patch", RUNS, name, f"--type={kind}", f"--patch={json.dumps(patch)}", *dry)

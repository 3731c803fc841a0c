"""Entry point: hides the git credentials first, then merges.

A process's first environment stays readable in /proc for its whole life. So the credentials go to private
files and the process replaces itself (same pid) by one that never had them.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

from swarmrun.vcs.credentials import PREFIX, store, take

FOLDER_VARIABLE = "SWARM_GIT_CREDENTIALS_DIR"


def hide_credentials(environ: MutableMapping[str, str]) -> bool:
    """Move `GIT_CREDENTIAL_*` to files named by `SWARM_GIT_CREDENTIALS_DIR`; tells whether there were any."""
    if not any(name.startswith(PREFIX) for name in environ):
        return False
    folder = Path(tempfile.mkdtemp(prefix="swarm-git-"))
    store(take(environ), folder)
    environ[FOLDER_VARIABLE] = str(folder)
    return True


def main() -> None:
    """Run the merger."""
    if hide_credentials(os.environ):
        os.execve(sys.executable, [sys.executable, "-m", "swarm_merge"], dict(os.environ))  # noqa: S606 — our own interpreter and module, no shell
    import asyncio  # noqa: PLC0415 — imports after the exec, so that they happen once

    from swarm_merge.process import main as serve  # noqa: PLC0415 — same
    from swarm_merge.settings import Settings  # noqa: PLC0415 — same
    from swarmrun.telemetry import configure_logging  # noqa: PLC0415 — same

    configure_logging()
    os.umask(0o077)
    asyncio.run(serve(Settings()))


if __name__ == "__main__":
    main()

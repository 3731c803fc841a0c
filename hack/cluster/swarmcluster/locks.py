"""Advisory file locks, so that parallel calls wait for one another."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swarmcluster.errors import ClusterError

POLL_SECONDS = 0.2


@contextmanager
def locked(path: Path, *, timeout: float) -> Iterator[None]:
    """Hold an exclusive lock on `path` during the body; the kernel frees it when the process dies.

    Raises:
        ClusterError: another process held it for `timeout` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"{path}: another process held this lock for {timeout:.0f} s"
                    ) from error
                time.sleep(POLL_SECONDS)
        yield

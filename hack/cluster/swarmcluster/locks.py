"""Advisory file locks, so that parallel calls wait for one another."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
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
    deadline = time.monotonic() + timeout
    while True:
        stream = path.open("a")
        if _try_lock(stream, path):
            break
        stream.close()
        if time.monotonic() > deadline:
            raise ClusterError(f"{path}: another process held this lock for {timeout:.0f} s")
        time.sleep(POLL_SECONDS)
    with stream:
        yield


def _try_lock(stream: TextIOWrapper, path: Path) -> bool:
    """Lock the open file; no when another holds it, or when its holder has deleted it since it was opened."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    try:
        return os.fstat(stream.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False

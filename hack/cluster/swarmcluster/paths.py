"""Where things are: cache, state, run-time files, the Go modules of this folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from swarmcluster.errors import UsageError

HACK_DIR = Path(__file__).resolve().parent.parent
GO_DIR = HACK_DIR / "go"
RUN_ROOT = Path("/run/swarmrun")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")
# A unix socket's path has at most 107 bytes; the kubelet puts some 45 below its root.
MAX_STATE_PATH = 60


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    base = Path(value) if value.startswith("/") else Path.home() / default
    return base / "swarmrun"


def cache_dir() -> Path:
    """Return the folder of compiled binaries and images; safe to delete at any time."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def clusters_dir() -> Path:
    """Return the default parent of all clusters' state folders."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "clusters"


def check_name(name: str) -> str:
    """Return `name` when it may name a cluster.

    Raises:
        UsageError: the name is not a DNS label of at most 20 characters.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"--name {name!r}: must be 1 to 20 of a-z, 0-9, '-', and begin and end with a letter or digit"
        )
    return name


def state_dir(name: str, given: Path | None) -> Path:
    """Return the state folder of cluster `name`: `given`, else its place below the default parent."""
    return given.resolve() if given is not None else clusters_dir() / check_name(name)

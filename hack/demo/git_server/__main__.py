"""python -m git_server --root DIR --listen HOST:PORT --repository NAME…; the password is $GIT_PASSWORD."""

from __future__ import annotations

import argparse
import os
import subprocess
from pathlib import Path

from aiohttp import web

from git_server.app import create_app


def create_repository(root: Path, name: str) -> None:
    """Create an empty bare repository that accepts pushes, unless it is there."""
    path = root / f"{name}.git"
    if not (path / "HEAD").exists():
        subprocess.run(["git", "init", "--bare", "-q", "-b", "main", str(path)], check=True, timeout=30)
        subprocess.run(["git", "-C", str(path), "config", "http.receivepack", "true"], check=True, timeout=30)


def main() -> None:
    """Create the repositories and serve them until stopped."""
    parser = argparse.ArgumentParser(prog="git_server", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--listen", default="0.0.0.0:8080")
    parser.add_argument("--username", default="swarm")
    parser.add_argument("--repository", action="append", default=[])
    options = parser.parse_args()
    options.root.mkdir(parents=True, exist_ok=True)
    for name in options.repository:
        create_repository(options.root, name)
    host, port = options.listen.rsplit(":", 1)
    app = create_app(options.root, username=options.username, password=os.environ["GIT_PASSWORD"])
    web.run_app(app, host=host, port=int(port), access_log=None, shutdown_timeout=1.0)


if __name__ == "__main__":
    main()

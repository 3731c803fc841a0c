"""Takes the built repository out of the cluster and tests it there: git clone, npm ci, npm test."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swarmcluster.progress import say, step
from swarmdemo.install import tools_bin
from swarmdemo.settings import GIT_PORT, GIT_USER, Settings
from swarmdemo.shell import DemoError, Tools

FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@contextmanager
def _git_port(tools: Tools, settings: Settings) -> Iterator[int]:
    """Forward a free local port to the git server."""
    command = [
        "kubectl",
        "-n",
        settings.namespace,
        "port-forward",
        "service/git",
        f":{GIT_PORT}",
        "--address=127.0.0.1",
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=tools.environment
    )
    try:
        first = process.stdout.readline() if process.stdout else ""
        found = FORWARDING.search(first)
        if not found:
            raise DemoError("kubectl port-forward to the git server failed")
        yield int(found.group(1))
    finally:
        process.terminate()
        process.wait(timeout=10)


def clone(tools: Tools, settings: Settings) -> Path:
    """Clone the built repository below the demo's output folder and return its path."""
    target = settings.output / settings.example
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    encoded = tools.kubectl(
        "-n", settings.namespace, "get", "secret", "git-credentials", "-o", "jsonpath={.data.password}"
    )
    pair = f"{GIT_USER}:{base64.b64decode(encoded).decode()}"
    header = "Authorization: Basic " + base64.b64encode(pair.encode()).decode()
    environment = {
        **os.environ,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": header,
    }
    with _git_port(tools, settings) as port:
        url = f"http://127.0.0.1:{port}/{settings.example}.git"
        subprocess.run(["git", "clone", "-q", url, str(target)], check=True, timeout=120, env=environment)
    return target


def run_its_tests(project: Path) -> None:
    """Run npm ci and npm test in the clone, with the toolchain of `make setup`.

    Raises:
        DemoError: one of them failed; its output was shown.
    """
    environment = {**os.environ, "PATH": f"{tools_bin()}:{os.environ['PATH']}"}
    for command in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "test"]):
        with step(f"{' '.join(command[:2])} in the clone"):
            done = subprocess.run(
                command,
                cwd=project,
                env=environment,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
        if done.returncode != 0:
            say(done.stdout[-6000:] + done.stderr[-3000:])
            raise DemoError(f"{' '.join(command)} failed in {project}")
    say("the built project's own tests are green outside the cluster")

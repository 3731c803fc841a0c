"""Kills the processes of a pod, as the kernel's out-of-memory killer would.

On a node that is not this machine nobody can do that from outside; there the pod is deleted without notice.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from swarmdemo.shell import Tools


def pods(tools: Tools, namespace: str, selector: str) -> list[dict[str, Any]]:
    """List running pods by label."""
    text = tools.kubectl(
        "-n", namespace, "get", "pods", "-l", selector, "--field-selector=status.phase=Running", "-o", "json"
    )
    items: list[dict[str, Any]] = json.loads(text)["items"]
    return items


def processes_of(uid: str) -> list[int]:
    """List the processes of a pod by its cgroup; the pause process is left alone."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            in_pod = f"pod{uid}" in (folder / "cgroup").read_text()
            name = (folder / "comm").read_text().strip()
        except OSError:
            continue
        if in_pod and name != "pause":
            found.append(int(folder.name))
    return found


def kill_pod(tools: Tools, namespace: str, selector: str) -> str:
    """SIGKILL every process of the first running pod that the selector matches; return the pod's name."""
    chosen = pods(tools, namespace, selector)[0]
    name = str(chosen["metadata"]["name"])
    pids = processes_of(chosen["metadata"]["uid"])
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    if not pids:
        tools.kubectl("-n", namespace, "delete", "pod", name, "--grace-period=0", "--force")
    return name

"""Installs the operator by its chart, and the demo's servers beside the run."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from swarmcluster.progress import step
from swarmdemo import objects
from swarmdemo.settings import GIT_USER, RELEASE, ROOT, SYSTEM_NAMESPACE, Settings
from swarmdemo.shell import DemoError, Tools
from swarmdemo.target import Target

CHART = ROOT / "helm" / "swarmrun-operator"


def install_operator(target: Target) -> None:
    """Install or upgrade the chart and wait until the operator is ready.

    Raises:
        DemoError: it did not become ready; the message says what its pods wait for.
    """
    target.tools.apply(objects.namespace(SYSTEM_NAMESPACE))
    command = [*("helm", "upgrade", "--install", RELEASE, str(CHART), "-n", SYSTEM_NAMESPACE)]
    command += [*("--wait", "--timeout", "180s"), *_sets(target)]
    with step("install the operator with Helm"):
        _explained(target, SYSTEM_NAMESPACE, lambda: target.tools.run(command, timeout=240))


def _sets(target: Target) -> list[str]:
    operator, agent, redis = (name.rsplit(":", 1) for name in _images(target))
    values = {
        "image.repository": operator[0],
        "image.tag": operator[1],
        "agentImage.repository": agent[0],
        "agentImage.tag": agent[1],
        "redis.image.repository": redis[0],
        "redis.image.tag": redis[1],
        "redis.persistence.enabled": "true" if target.volumes else "false",
    }
    return [
        part
        for key, value in values.items()
        for part in ("--set-string" if key.endswith("tag") else "--set", f"{key}={value}")
    ]


def _explained(target: Target, namespace: str, work: Callable[[], object]) -> None:
    """Do the work; if it fails, say what the namespace's pods wait for."""
    try:
        work()
    except DemoError as error:
        if waiting := _waiting(target, namespace):
            raise DemoError(f"{error}\nPods that wait:\n{waiting}") from error
        raise


def _waiting(target: Target, namespace: str) -> str:
    text = target.tools.kubectl("-n", namespace, "get", "pods", "-o", "json", check=False)
    pods = json.loads(text)["items"] if text else []
    lines = []
    for pod in pods:
        states = [c["state"].get("waiting") for c in pod["status"].get("containerStatuses", [])]
        refused = [c for c in pod["status"].get("conditions", []) if c["status"] == "False"]
        for found in [s for s in states if s] or refused[:1]:
            text = f"{found.get('reason', '')} {found.get('message', '')}".strip()
            lines.append(f"  {pod['metadata']['name']}: {text[:500]}")
    return "\n".join(lines)


def _images(target: Target) -> tuple[str, str, str]:
    return target.images.operator, target.images.agent, target.images.redis


def install_servers(target: Target, settings: Settings) -> None:
    """Start the simulated model and the git server, with fresh credentials."""
    key, password = "sk-demo-" + secrets.token_hex(16), secrets.token_hex(16)
    target.tools.apply(
        objects.namespace(settings.namespace),
        objects.secret(settings, "model-key", {"api-key": key}),
        objects.secret(settings, "git-credentials", {"username": GIT_USER, "password": password}),
        *objects.model_server(settings, target.images.demo),
        *objects.git_server(settings, target.images.demo),
    )
    with step("start the simulated model and the git server"):
        for name in ("model", "git"):
            wait = ("-n", settings.namespace, "rollout", "status", f"deployment/{name}", "--timeout=120s")
            _explained(target, settings.namespace, partial(target.tools.kubectl, *wait, timeout=150))


def remove_previous(target: Target, settings: Settings) -> None:
    """Remove an earlier demo's namespace, so that this one starts from an empty repository."""
    found = target.tools.kubectl("get", "namespace", settings.namespace, "--ignore-not-found", "-o", "name")
    if found.strip():
        remove_namespace(target.tools, settings.namespace)


def remove_namespace(tools: Tools, name: str) -> None:
    """Delete the runs of a namespace while their operator can let them go, then the namespace."""
    with step(f"remove the demo in namespace {name}"):
        tools.kubectl("-n", name, "delete", "swarmruns", "--all", "--timeout=90s", timeout=120, check=False)
        tools.kubectl("delete", "namespace", name, "--timeout=120s", timeout=150)


def tools_bin() -> Path:
    """The folder of the toolchain that `make setup` installs."""
    return ROOT / "build" / "tools" / "bin"

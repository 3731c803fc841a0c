"""Installs the operator by its chart, and the demo's servers beside the run."""

from __future__ import annotations

import secrets
from pathlib import Path

from swarmcluster.progress import step
from swarmdemo import objects
from swarmdemo.settings import GIT_USER, RELEASE, ROOT, SYSTEM_NAMESPACE, Settings
from swarmdemo.target import Target

CHART = ROOT / "helm" / "swarmrun-operator"


def install_operator(target: Target) -> None:
    """Install or upgrade the chart and wait until the operator is ready."""
    target.tools.apply(objects.namespace(SYSTEM_NAMESPACE))
    operator, agent, redis = (name.rsplit(":", 1) for name in _images(target))
    values = {
        "image.repository": operator[0],
        "image.tag": operator[1],
        "agentImage.repository": agent[0],
        "agentImage.tag": agent[1],
    }
    if target.own:
        # The node has neither a public registry nor a volume provisioner.
        values |= {
            "redis.image.repository": redis[0],
            "redis.image.tag": redis[1],
            "redis.persistence.enabled": "false",
        }
    sets = [
        part
        for key, value in values.items()
        for part in ("--set-string" if key.endswith("tag") else "--set", f"{key}={value}")
    ]
    command = [
        "helm",
        "upgrade",
        "--install",
        RELEASE,
        str(CHART),
        "-n",
        SYSTEM_NAMESPACE,
        "--wait",
        "--timeout",
        "180s",
    ]
    with step("install the operator with Helm"):
        target.tools.run([*command, *sets], timeout=240)


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
            target.tools.kubectl(
                "-n",
                settings.namespace,
                "rollout",
                "status",
                f"deployment/{name}",
                "--timeout=120s",
                timeout=150,
            )


def remove_previous(target: Target, settings: Settings) -> None:
    """Remove an earlier demo's namespace, so that this one starts from an empty repository."""
    found = target.tools.kubectl("get", "namespace", settings.namespace, "--ignore-not-found", "-o", "name")
    if found.strip():
        with step(f"remove the previous demo in namespace {settings.namespace}"):
            target.tools.kubectl(
                "-n", settings.namespace, "delete", "swarmruns", "--all", "--timeout=90s", check=False
            )
            target.tools.kubectl("delete", "namespace", settings.namespace, "--timeout=120s", timeout=150)


def tools_bin() -> Path:
    """The folder of the toolchain that `make setup` installs."""
    return ROOT / "build" / "tools" / "bin"

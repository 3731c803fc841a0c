"""The container that runs the project's own code, beside a worker and in the gates.

It gets no token, no Secret, no configuration, and another user than the worker.
"""

from __future__ import annotations

from swarm_operator.manifests.build import (
    PORT_SANDBOX,
    UID_SANDBOX,
    Blueprint,
    Json,
    container_security,
    mount,
    probe,
    resources,
    scratch,
    value_env,
)
from swarmrun.core.api import ResourceRequirements

#: Where the runner lies in a foreign toolchain image.
RUNNER_DIR = "/opt/swarmrun"


def sandbox_container(
    b: Blueprint, *, name: str, host: str, parallel: int, cpu: str = "10m", wish: ResourceRequirements | None
) -> Json:
    """Build the container. `host` is the address it listens on, `cpu` its request."""
    foreign = b.sandbox_image != b.platform.agent_image
    run: Json = {"args": ["-m", "swarm_sandbox"]}
    env = {
        "SANDBOX_LISTEN": f"{host}:{PORT_SANDBOX}",
        "SANDBOX_WORK_DIR": "/work",
        "SANDBOX_MAX_PARALLEL": str(parallel),
    }
    mounts = [mount(f"{name}-work", "/work"), mount(f"{name}-tmp", "/tmp")]  # noqa: S108 — an emptyDir of its own
    if foreign:
        run = {"command": ["python3", "-m", "swarm_sandbox"]}
        env["PYTHONPATH"] = RUNNER_DIR
        mounts.append(mount("runner", RUNNER_DIR, read_only=True))
    out: Json = {
        "name": name,
        "image": b.sandbox_image,
        "imagePullPolicy": "IfNotPresent",
        **run,
        "env": value_env(env),
        "ports": [{"name": "sandbox" if name == "sandbox" else "http", "containerPort": PORT_SANDBOX}],
        "resources": resources(
            {"requests": {"cpu": cpu, "memory": "64Mi"}, "limits": {"memory": "2Gi"}}, wish
        ),
        "securityContext": container_security(UID_SANDBOX),
        "volumeMounts": mounts,
    }
    if host == "0.0.0.0":  # noqa: S104 — the gates' Service needs it, their NetworkPolicy admits the merger only
        out["livenessProbe"] = probe("/healthz", "http", period=20, failures=6, delay=5)
        out["readinessProbe"] = probe("/healthz", "http", period=3)
    return out


def sandbox_volumes(b: Blueprint, name: str) -> list[Json]:
    """Writable folders of that container, and the runner if the image lacks it."""
    out = [scratch(f"{name}-work", "4Gi"), scratch(f"{name}-tmp", "1Gi")]
    if b.sandbox_image != b.platform.agent_image:
        out.append(scratch("runner", "16Mi"))
    return out


def runner_init(b: Blueprint) -> list[Json]:
    """Init container that brings the runner into a foreign toolchain image; none for our own image."""
    if b.sandbox_image == b.platform.agent_image:
        return []
    copy = (
        "import pathlib,shutil,swarm_sandbox as s;"
        "shutil.copytree(pathlib.Path(s.__file__).parent,'/runner/swarm_sandbox',dirs_exist_ok=True)"
    )
    return [
        {
            "name": "runner",
            "image": b.platform.agent_image,
            "imagePullPolicy": "IfNotPresent",
            "args": ["-c", copy],
            "resources": {
                "requests": {"cpu": "10m", "memory": "32Mi"},
                "limits": {"memory": "128Mi"},
            },
            "securityContext": container_security(UID_SANDBOX),
            "volumeMounts": [mount("runner", "/runner")],
        }
    ]

"""The demo's own Kubernetes objects, as plain dicts: simulated model, git server, secrets, and the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from swarmdemo.settings import GIT_PORT, GIT_USER, LABEL, MODEL_PORT, Settings

Json = dict[str, Any]

_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def namespace(name: str) -> Json:
    """A namespace that admits restricted pods only, marked as the demo's own."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted", LABEL: "true"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def secret(settings: Settings, name: str, values: dict[str, str]) -> Json:
    """A Secret as the user would create it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": settings.namespace},
        "stringData": values,
    }


def _server(
    settings: Settings, name: str, image: str, args: list[str], *, port: int, env: list[Json]
) -> list[Json]:
    labels = {"app.kubernetes.io/name": name}
    metadata = {"name": name, "namespace": settings.namespace, "labels": labels}
    container = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": args,
        "env": env,
        "ports": [{"name": "http", "containerPort": port}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": _RESTRICTED,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"name": "http", "port": port, "targetPort": "http"}]},
    }
    return [deployment, service]


def _from_secret(variable: str, name: str, key: str) -> Json:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def model_server(settings: Settings, image: str) -> list[Json]:
    """The simulated model: the only thing in the demo that is not real."""
    args = ["-m", "simulated_model", "--listen", f"0.0.0.0:{MODEL_PORT}", "--seed", str(settings.seed)]
    args += ["--latency-ms", str(settings.latency_ms)]
    if settings.faults:
        args += ["--faults", settings.faults]
    env = [_from_secret("SIMULATED_MODEL_API_KEY", "model-key", "api-key")]
    return _server(settings, "model", image, args, port=MODEL_PORT, env=env)


def git_server(settings: Settings, image: str) -> list[Json]:
    """A git server with one empty repository, named like the example."""
    args = [
        "-m",
        "git_server",
        "--root",
        "/data/git",
        "--listen",
        f"0.0.0.0:{GIT_PORT}",
        "--username",
        GIT_USER,
    ]
    args += ["--repository", settings.example]
    return _server(
        settings,
        "git",
        image,
        args,
        port=GIT_PORT,
        env=[_from_secret("GIT_PASSWORD", "git-credentials", "password")],
    )


def example_run(settings: Settings) -> Json:
    """The example's SwarmRun as its file has it."""
    documents = yaml.safe_load_all(Path(settings.manifest).read_text())
    run: Json = next(d for d in documents if d["kind"] == "SwarmRun")
    return run


def swarm_run(settings: Settings, agents: int) -> Json:
    """The example's SwarmRun, pointed at the demo's model and repository."""
    run = example_run(settings)
    spec = run["spec"]
    run["metadata"]["namespace"] = settings.namespace
    spec["numAgents"] = agents
    spec["provider"] = {
        "type": "OpenAICompatible",
        "baseURL": f"http://model.{settings.namespace}.svc:{MODEL_PORT}/v1",
        "credentialsSecretRef": {"name": "model-key", "key": "api-key"},
        "prices": [{"model": spec["model"], "inputUSD": "10.00", "outputUSD": "30.00"}],
    }
    spec["repository"] = {
        "url": f"http://git.{settings.namespace}.svc:{GIT_PORT}/{settings.example}.git",
        "branch": "main",
        "credentialsSecretRef": {"name": "git-credentials"},
    }
    return run

"""Deployment `<run>-merger`: the only writer of the branch, and the only pod with the git credential."""

from __future__ import annotations

from swarm_operator.manifests.build import (
    AGENT_TOKEN,
    CONFIG_DIR,
    MERGER_PASSWORD,
    PORT_API,
    PORT_METRICS,
    TOKENS_DIR,
    UID_SERVICE,
    Blueprint,
    Json,
    config_volume,
    container_security,
    deployment,
    mount,
    pod_spec,
    probe,
    redis_env,
    resources,
    scratch,
    tokens_volume,
    value_env,
)
from swarm_operator.manifests.config import run_config


def _container(b: Blueprint) -> Json:
    env = {
        **redis_env(b, "merger", MERGER_PASSWORD),
        "SWARM_AGENT_TOKEN_FILE": f"{TOKENS_DIR}/{AGENT_TOKEN}",
        "SWARM_WORK_DIR": "/work",
        "SWARM_LISTEN": f"0.0.0.0:{PORT_API}",
        "SWARM_METRICS_LISTEN": f"0.0.0.0:{PORT_METRICS}",
    }
    out: Json = {
        "name": "merger",
        "image": b.platform.agent_image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-m", "swarm_merge"],
        "env": value_env(env),
        "ports": [
            {"name": "http", "containerPort": PORT_API},
            {"name": "metrics", "containerPort": PORT_METRICS},
        ],
        "livenessProbe": probe("/healthz", "http", period=20, failures=6, delay=10),
        "readinessProbe": probe("/readyz", "http", period=3),
        "resources": resources({"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}),
        "securityContext": container_security(UID_SERVICE),
        "volumeMounts": [
            mount("config", CONFIG_DIR, read_only=True),
            mount("tokens", TOKENS_DIR, read_only=True),
            mount("work", "/work"),
            mount("tmp", "/tmp"),  # noqa: S108 — the container's own emptyDir
        ],
    }
    secret = b.spec.repository.credentials_secret_ref
    if secret is not None:
        out["envFrom"] = [{"prefix": "GIT_CREDENTIAL_", "secretRef": {"name": secret.name}}]
    return out


def merger(b: Blueprint) -> Json:
    """Build the Deployment. Recreate: two writers must never overlap."""
    pod = pod_spec(
        b,
        containers=[_container(b)],
        volumes=[
            config_volume(b),
            tokens_volume(b, AGENT_TOKEN, MERGER_PASSWORD, *b.platform.redis_files),
            scratch("work", "8Gi"),
            scratch("tmp", "256Mi"),
        ],
    )
    config = run_config(b).model_dump(mode="json")
    return deployment(b, "merger", replicas=1, pod=pod, config=config, recreate=True)

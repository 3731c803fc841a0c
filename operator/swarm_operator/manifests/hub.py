"""Deployment `<run>-hub`: the only pod with the provider's keys. A missing Secret shows in its status."""

from __future__ import annotations

from swarm_operator.manifests.build import (
    AGENT_TOKEN,
    CONFIG_DIR,
    HUB_PASSWORD,
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


def _environment(b: Blueprint) -> list[Json]:
    env = value_env(
        {
            **redis_env(b, "hub", HUB_PASSWORD),
            "SWARM_AGENT_TOKEN_FILE": f"{TOKENS_DIR}/{AGENT_TOKEN}",
            "SWARM_LISTEN": f"0.0.0.0:{PORT_API}",
            "SWARM_METRICS_LISTEN": f"0.0.0.0:{PORT_METRICS}",
        }
    )
    provider, fallback = b.spec.provider, b.spec.provider.fallback
    keys = {
        "SWARM_PROVIDER_API_KEY": provider.credentials_secret_ref,
        "SWARM_PROVIDER_FALLBACK_API_KEY": fallback.credentials_secret_ref if fallback else None,
    }
    for name, key in keys.items():
        if key is not None:
            source = {"secretKeyRef": {"name": key.name, "key": key.key}}
            env.append({"name": name, "valueFrom": source})
    return env


def hub(b: Blueprint) -> Json:
    """Build the Deployment."""
    container: Json = {
        "name": "hub",
        "image": b.platform.hub_image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-m", "swarm_hub"],
        "env": _environment(b),
        "ports": [
            {"name": "http", "containerPort": PORT_API},
            {"name": "metrics", "containerPort": PORT_METRICS},
        ],
        "livenessProbe": probe("/healthz", "http", period=15, delay=5),
        "readinessProbe": probe("/readyz", "http", period=3),
        "resources": resources({"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}}),
        "securityContext": container_security(UID_SERVICE),
        "volumeMounts": [
            mount("config", CONFIG_DIR, read_only=True),
            mount("tokens", TOKENS_DIR, read_only=True),
            mount("tmp", "/tmp"),  # noqa: S108 — the container's own emptyDir
        ],
    }
    pod = pod_spec(
        b,
        containers=[container],
        volumes=[
            config_volume(b),
            tokens_volume(b, AGENT_TOKEN, HUB_PASSWORD, *b.platform.redis_files),
            scratch("tmp", "64Mi"),
        ],
    )
    config = run_config(b).model_dump(mode="json")
    return deployment(b, "hub", replicas=1, pod=pod, config=config, recreate=True)

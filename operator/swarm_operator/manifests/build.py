"""What every builder needs: the inputs, metadata, and the parts that all pods share.

All pods meet Pod Security "restricted", and more: read-only root, no ServiceAccount token, no service links.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from swarm_operator.names import APPLIED_HASH, CONFIG_HASH, child, labels, selector
from swarmrun.core.api import ResourceRequirements, SwarmRunSpec
from swarmrun.core.api_base import API_VERSION

Json = dict[str, Any]

#: Users of our containers (docs/contracts.md).
UID_SERVICE: Final = 10001
UID_SANDBOX: Final = 10002

PORT_API: Final = 8080
PORT_METRICS: Final = 9090
PORT_SANDBOX: Final = 8081

CONFIG_DIR: Final = "/etc/swarmrun"
TOKENS_DIR: Final = "/var/run/swarmrun/tokens"
AGENT_TOKEN: Final = "agent-token"  # noqa: S105 — a key's name, no secret
HUB_PASSWORD: Final = "hub-redis-password"  # noqa: S105 — a key's name, no secret
MERGER_PASSWORD: Final = "merger-redis-password"  # noqa: S105 — a key's name, no secret
SENTINEL_PASSWORD: Final = "sentinel-password"  # noqa: S105 — a key's name, no secret


@dataclass(frozen=True)
class Platform:
    """What the installation, not the run, decides."""

    hub_image: str
    agent_image: str
    #: How a run's pods reach the store, without credentials.
    redis_url: str
    #: Files that they need for it: certificates, the Sentinels' password.
    redis_files: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class RunTokens:
    """The run's own secrets, derived from the install key."""

    agent: str = field(repr=False)
    hub_redis: str = field(repr=False)
    merger_redis: str = field(repr=False)


@dataclass(frozen=True)
class Blueprint:
    """All that the builders of one run's objects may use."""

    platform: Platform
    namespace: str
    run: str
    uid: str
    spec: SwarmRunSpec
    project_name: str
    profile: str
    plan_hash: str
    coverage_percent: float | None
    tokens: RunTokens

    @property
    def sandbox_image(self) -> str:
        """Image of the containers that run the project's own code."""
        own = self.spec.sandbox.image if self.spec.sandbox else None
        return own or self.platform.agent_image


def owner(run: str, uid: str) -> Json:
    """Refer to the SwarmRun, so that the garbage collector takes its children along."""
    return {
        "apiVersion": API_VERSION,
        "kind": "SwarmRun",
        "name": run,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def metadata(b: Blueprint, suffix: str, component: str = "") -> Json:
    """Metadata of a child object."""
    return {
        "name": child(b.run, suffix),
        "namespace": b.namespace,
        "labels": labels(b.run, component),
        "ownerReferences": [owner(b.run, b.uid)],
    }


def digest(value: Any) -> str:
    """Hash of a JSON value; 16 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sealed(manifest: Json) -> Json:
    """Add the manifest's own hash as an annotation."""
    meta = manifest["metadata"]
    annotations = {**meta.get("annotations", {}), APPLIED_HASH: digest(manifest)}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}


def container_security(uid: int) -> Json:
    """Security context of every container."""
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": uid,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def resources(default: Json, wish: ResourceRequirements | None = None) -> Json:
    """Merge the user's wish over the defaults; a higher request lifts a default limit out of the way."""
    if wish is None:
        return default
    asked = wish.model_dump(exclude_none=True, by_alias=True)
    out = {part: {**default.get(part, {}), **asked.get(part, {})} for part in ("requests", "limits")}
    for name in asked.get("requests", {}):
        if name not in asked.get("limits", {}):
            out["limits"].pop(name, None)
    for name, limit in asked.get("limits", {}).items():
        if name not in asked.get("requests", {}):
            out["requests"][name] = limit
    return out


def value_env(values: Mapping[str, str]) -> list[Json]:
    """Environment of plain values."""
    return [{"name": name, "value": value} for name, value in values.items()]


def mount(name: str, path: str, *, read_only: bool = False, sub_path: str = "") -> Json:
    """One volume mount."""
    out: Json = {"name": name, "mountPath": path}
    if read_only:
        out["readOnly"] = True
    if sub_path:
        out["subPath"] = sub_path
    return out


def scratch(name: str, size: str) -> Json:
    """A bounded writable folder."""
    return {"name": name, "emptyDir": {"sizeLimit": size}}


def config_volume(b: Blueprint) -> Json:
    """The run's configuration."""
    return {"name": "config", "configMap": {"name": child(b.run, "config"), "defaultMode": 0o444}}


def redis_env(b: Blueprint, component: str, password: str) -> dict[str, str]:
    """Environment of a component that talks to the store."""
    files = b.platform.redis_files
    env = {
        "REDIS_URL": b.platform.redis_url,
        "REDIS_USERNAME": f"swr-{b.uid}-{component}",
        "SWARM_REDIS_PASSWORD_FILE": f"{TOKENS_DIR}/{password}",
    }
    if SENTINEL_PASSWORD in files:
        env["SWARM_REDIS_SENTINEL_PASSWORD_FILE"] = f"{TOKENS_DIR}/{SENTINEL_PASSWORD}"
    if set(files) - {SENTINEL_PASSWORD}:
        env["SWARM_REDIS_TLS_DIR"] = TOKENS_DIR
    return env


def tokens_volume(b: Blueprint, *keys: str) -> Json:
    """Only those tokens that a pod needs, readable by the pod's group."""
    return {
        "name": "tokens",
        "secret": {
            "secretName": child(b.run, "tokens"),
            "defaultMode": 0o440,
            "items": [{"key": key, "path": key} for key in keys],
        },
    }


def probe(path: str, port: str, *, period: int, failures: int = 3, delay: int = 0) -> Json:
    """An HTTP probe."""
    out: Json = {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
    return {**out, "initialDelaySeconds": delay} if delay else out


def pod_spec(b: Blueprint, *, containers: list[Json], volumes: list[Json], group: int = UID_SERVICE) -> Json:
    """The parts of a pod that are the same in all of a run's pods."""
    out: Json = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": group,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": containers,
        "volumes": volumes,
    }
    secrets = b.spec.agents.image_pull_secrets if b.spec.agents else []
    if secrets:
        out["imagePullSecrets"] = [{"name": s.name} for s in secrets]
    return out


def deployment(
    b: Blueprint, component: str, *, replicas: int, pod: Json, config: Json, recreate: bool = False
) -> Json:
    """A Deployment of one component. `config` is what its pods must restart for."""
    meta = metadata(b, component, component)
    strategy: Json = {"type": "Recreate"}
    if not recreate:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 0}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            "strategy": strategy,
            "selector": {"matchLabels": selector(b.run, component)},
            "template": {
                "metadata": {
                    "labels": labels(b.run, component),
                    "annotations": {CONFIG_HASH: digest(config)},
                },
                "spec": pod,
            },
        },
    }

"""What the chart hands to the operator for a Redis of one's own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from swarm_operator.settings import Settings
from swarmcluster import build

ROOT = Path(__file__).resolve().parents[2]
EXTERNAL = {
    "redis.embedded": "false",
    "redis.allowUnsafe": "true",
    "redis.external.url": "rediss+cluster://a:6379",
    "redis.external.existingSecret": "store",
    "redis.external.usernameKey": "user",
    "redis.external.sentinelPasswordKey": "sentinels",
    "redis.external.tls.existingSecret": "store-tls",
}

pytestmark = pytest.mark.controlplane


def render(**values: str) -> subprocess.CompletedProcess[str]:
    settings = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    command = [
        str(build.path_dir() / "helm"),
        "template",
        "swarmrun",
        str(ROOT / "helm/swarmrun-operator"),
        *settings,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def operator_pod(**values: str) -> dict[str, Any]:
    rendered = render(**values)
    assert rendered.returncode == 0, rendered.stderr
    documents = [d for d in yaml.safe_load_all(rendered.stdout) if d]
    (pod,) = [d["spec"]["template"]["spec"] for d in documents if d["kind"] == "Deployment"]
    return dict(pod)


def environment(pod: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}


def test_every_variable_is_one_that_the_operator_reads() -> None:
    known = {field.validation_alias for field in Settings.model_fields.values()}
    for values in ({}, EXTERNAL):
        assert set(environment(operator_pod(**values))) <= known


def test_secrets_of_an_external_store_are_mounted_where_the_variables_point() -> None:
    pod = operator_pod(**EXTERNAL)
    env, volumes = environment(pod), {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    items = {item["path"]: item["key"] for item in volumes["redis"]["secret"]["items"]}
    assert items == {"password": "password", "username": "user", "sentinel-password": "sentinels"}
    for variable, file in {
        "SWARM_REDIS_USERNAME_FILE": "username",
        "SWARM_REDIS_PASSWORD_FILE": "password",
        "SWARM_REDIS_SENTINEL_PASSWORD_FILE": "sentinel-password",
    }.items():
        assert env[variable] == f"{mounts['redis']}/{file}"
    assert volumes["redis-tls"]["secret"]["secretName"] == "store-tls"
    assert env["SWARM_REDIS_TLS_DIR"] == mounts["redis-tls"]
    assert env["SWARM_REDIS_ALLOW_UNSAFE"] == "true"


def test_the_chart_s_own_redis_needs_none_of_it() -> None:
    env = environment(operator_pod())
    assert env["REDIS_URL"] == "redis://swarmrun-redis.default.svc:6379"
    assert not {name for name in env if "TLS" in name or "UNSAFE" in name or "SENTINEL" in name}


@pytest.mark.parametrize("url", ["", "redis://user:secret@store", "http://store"])
def test_a_wrong_url_stops_the_installation(url: str) -> None:
    refused = render(**{**EXTERNAL, "redis.external.url": url})
    assert refused.returncode != 0
    assert "redis.external.url" in refused.stderr or "/redis/external/url" in refused.stderr

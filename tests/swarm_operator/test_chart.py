"""What the chart hands to the operator for a Redis of one's own, and whose Secrets a run may name."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from conftest import ControlPlane
from operator_support import run_body
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


def redis_script() -> str:
    documents = [d for d in yaml.safe_load_all(render().stdout) if d]
    (pod,) = [d["spec"]["template"]["spec"] for d in documents if d["kind"] == "StatefulSet"]
    (script,) = pod["containers"][0]["args"]
    return str(script)


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


@pytest.mark.timeout(60)
def test_the_chart_s_redis_ends_in_order_when_its_pod_is_deleted(tmp_path: Path) -> None:
    """As the first process of its container a shell would ignore SIGTERM and Redis be killed 30 s later."""
    conf, socket = tmp_path / "redis.conf", tmp_path / "s"
    conf.write_text(f"port 0\nunixsocket {socket}\ndir {tmp_path}\nappendonly yes\n")
    script = redis_script().replace("/etc/redis/redis.conf", str(conf))
    environment = {**os.environ, "REDIS_PASSWORD": "p$w"}
    with subprocess.Popen(
        ["sh", "-ec", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        assert any("ready to accept connections" in line.lower() for line in server.stdout)
        with redis.Redis(unix_socket_path=str(socket), password="p$w") as client:
            assert client.info("server")["process_id"] == server.pid
        server.terminate()
        assert server.wait(timeout=20) == 0


def test_who_may_not_get_a_secret_may_not_spend_with_it(control_plane: ControlPlane) -> None:
    rendered = render()
    rules = yaml.safe_dump_all(
        d for d in yaml.safe_load_all(rendered.stdout) if d and d["kind"].startswith("ValidatingAdmission")
    )
    assert control_plane.kubectl("apply", "-f", "-", stdin=rules).returncode == 0
    for name, verb, resource in (("runs", "create", "swarmruns.swarmrun.dev"), ("one", "get", "secrets")):
        only = ["--resource-name=known"] if verb == "get" else []
        control_plane.kubectl("create", "role", name, f"--verb={verb}", f"--resource={resource}", *only)
        control_plane.kubectl("create", "rolebinding", name, f"--role={name}", "--user=dev")

    def attempt(provider: str, fallback: str) -> str:
        run = run_body(
            spec={
                "provider": {
                    "type": "OpenAI",
                    "credentialsSecretRef": {"name": provider},
                    "fallback": {"type": "OpenAI", "credentialsSecretRef": {"name": fallback}},
                },
                "repository": {"url": "https://git.example.com/x.git"},
            }
        )
        document = {
            "apiVersion": "swarmrun.dev/v1alpha1",
            "kind": "SwarmRun",
            "metadata": {"name": "todo"},
            "spec": run["spec"],
        }
        argv = ("create", "--as=dev", "--dry-run=server", "-f", "-")
        return control_plane.kubectl(*argv, stdin=json.dumps(document)).stderr

    try:
        # A new policy holds after a moment.
        tries = (attempt("known", "foreign") for _ in range(100))
        assert any("spec.provider.fallback.credentialsSecretRef.name: must be a Secret" in t for t in tries)
        assert "spec.provider.credentialsSecretRef.name: must be" in attempt("foreign", "known")
        assert attempt("known", "known") == ""
    finally:
        control_plane.kubectl("delete", "-f", "-", stdin=rules)

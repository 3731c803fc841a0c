"""What the operator says, and how it ends, when it must not start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ControlPlane
from redis_server import RedisServer, redis_server

__all__ = ["redis_server"]

pytestmark = [pytest.mark.controlplane, pytest.mark.redis]


def start(plane: ControlPlane, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    key = folder / "key"
    key.write_text("k" * 40)
    settings = {
        **os.environ,
        "KUBECONFIG": str(plane.info.kubeconfig),
        "SWARM_INSTALL_KEY_FILE": str(key),
        "SWARM_AGENT_IMAGE": "test/agent:1",
        "SWARM_HUB_IMAGE": "test/operator:1",
        "SWARM_METRICS_LISTEN": "127.0.0.1:0",
        **environment,
    }
    command = [sys.executable, "-m", "swarm_operator"]
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=False)


def refusal(ended: subprocess.CompletedProcess[str]) -> str:
    """Return the one log line; it must be the only one, and the exit code 2."""
    assert ended.returncode == 2, ended.stderr
    lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    (error,) = [line for line in lines if line["level"] == "ERROR"]
    return str(error["msg"])


def test_a_store_that_may_lose_work_is_refused_with_server_rule_and_fix(
    control_plane: ControlPlane, redis_server: RedisServer, tmp_path: Path
) -> None:
    said = refusal(start(control_plane, tmp_path, REDIS_URL=redis_server.url))
    assert said.startswith("operator refuses to start: the store is not safe to use: ")
    assert f"{redis_server.socket}: redis.appendonly: must be yes, or a restart loses the queue" in said
    assert "CONFIG SET appendonly yes" in said


def test_a_refused_login_ends_at_once_and_names_the_secret(
    control_plane: ControlPlane, redis_server: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("guess")
    password = str(tmp_path / "password")
    said = refusal(
        start(
            control_plane,
            tmp_path,
            REDIS_URL=redis_server.url,
            SWARM_REDIS_PASSWORD_FILE=password,
            REDIS_USERNAME="x",
        )
    )
    assert "the store refuses the operator's login" in said
    assert "redis.external.existingSecret" in said
    assert "guess" not in said


def test_a_url_with_a_password_is_refused_and_not_repeated(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    ended = start(control_plane, tmp_path, REDIS_URL="redis://user:geheim@store")
    assert ended.returncode == 2
    assert "must carry no credentials" in ended.stderr
    assert "geheim" not in ended.stderr

"""A namespace and an operator process of its own for each test that wants one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from conftest import ControlPlane
from operator_process import OperatorProcess
from redis_server import RedisServer, redis_server

__all__ = ["redis_server"]
_numbers = count(1)


@pytest.fixture
def operator_process(
    control_plane: ControlPlane, redis_server: RedisServer, tmp_path: Path
) -> Iterator[OperatorProcess]:
    namespace = f"op-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", namespace)
    # The real admission judges every pod that the operator makes.
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    assert control_plane.kubectl("label", "namespace", namespace, restricted).returncode == 0
    process = OperatorProcess(control_plane, redis_server, tmp_path, namespace)
    process.start()
    yield process
    if process.running:
        process.kill(signal.SIGKILL)

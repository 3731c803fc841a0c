"""The whole operator as a process, against a real API server and a real Redis; the test plays the pods."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conftest import ControlPlane
from redis_server import RedisServer
from swarmrun.core.task import ChangeSet, FileEdit
from swarmrun.queue.port import Claimed, Submission, TestTotals
from swarmrun.queue.redis import RedisQueue, connect

PROJECT: dict[str, Any] = {
    "project_name": "Todo API",
    "architecture": {"style": "REST API", "database": "PostgreSQL", "framework": "Express.js (Node.js)"},
    "resources": {
        "users": {
            "fields": [
                {"name": "id", "type": "uuid", "primary_key": True},
                {"name": "email", "type": "string", "required": True, "unique": True},
            ],
            "endpoints": ["POST /api/users"],
        }
    },
}


@dataclass
class OperatorProcess:
    """One operator process and the world around it."""

    plane: ControlPlane
    redis: RedisServer
    folder: Path
    namespace: str
    _process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start, and return when its watches run."""
        key = self.folder / "key"
        key.write_text("k" * 40)
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.plane.info.kubeconfig),
            "REDIS_URL": self.redis.url,
            "SWARM_REDIS_ALLOW_UNSAFE": "true",
            "SWARM_INSTALL_KEY_FILE": str(key),
            "SWARM_AGENT_IMAGE": "test/agent:1",
            "SWARM_HUB_IMAGE": "test/operator:1",
            "SWARM_WATCH_NAMESPACES": self.namespace,
            "SWARM_METRICS_LISTEN": "127.0.0.1:0",
        }
        log = self.log.open("ab", buffering=0)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "swarm_operator"], env=environment, stderr=subprocess.PIPE
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            log.write(line)
            if b"operator started" in line:
                break
        else:
            raise AssertionError(f"operator did not start: {self.log.read_text()}")
        # From here on the pipe is drained by `cat` into the log, so that the process never blocks on it.
        subprocess.Popen(["cat"], stdin=self._process.stderr, stdout=log)

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        return self.folder / "operator.log"

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(30)

    # ── the cluster as people see it ────────────────────────────────────────────────────────────────────

    def kubectl(self, *argv: str, stdin: str | None = None, check: bool = True) -> str:
        done = self.plane.kubectl("-n", self.namespace, *argv, stdin=stdin)
        assert done.returncode == 0 or not check, f"{argv}: {done.stderr}\n{self.log.read_text()[-3000:]}"
        return done.stdout

    def apply(self, name: str, **spec: Any) -> None:
        body = {
            "apiVersion": "swarmrun.dev/v1alpha1",
            "kind": "SwarmRun",
            "metadata": {"name": name},
            "spec": {
                "numAgents": 2,
                "model": "gpt-4o",
                "provider": {"type": "OpenAI"},
                "repository": {"url": "https://git.example.com/team/todo.git"},
                "budget": {"maxCostUSD": "5.00"},
                "project": PROJECT,
                **spec,
            },
        }
        self.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(body))

    def patch(self, name: str, **spec: Any) -> None:
        self.kubectl("patch", "swr", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def wait(self, what: str, condition: str, seconds: int = 40) -> None:
        self.kubectl("wait", what, f"--for={condition}", f"--timeout={seconds}s")

    def wait_phase(self, name: str, phase: str) -> None:
        self.wait(f"swr/{name}", f"jsonpath={{.status.phase}}={phase}")

    def wait_reason(self, name: str, type_: str, reason: str) -> None:
        path = f'{{.status.conditions[?(@.type=="{type_}")].reason}}'
        self.wait(f"swr/{name}", f"jsonpath={path}={reason}")

    def get(self, what: str, *argv: str) -> Any:
        return json.loads(self.kubectl("get", what, *argv, "-o", "json"))

    def names(self, kinds: str) -> list[str]:
        listed = self.kubectl("get", kinds, "-l", "swarmrun.dev/run", "-o", "name")
        return sorted(re.sub(r"^\S*?([a-z]+)(\.\S+)?/", r"\1/", line) for line in listed.split())

    def play_pods(self, name: str) -> None:
        """Be the kubelet: all pods of the run are ready."""
        self.kubectl("wait", "deploy", "--all", "--for=jsonpath={.status.updatedReplicas}", "--timeout=30s")
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        for pod in self.kubectl("get", "pods", "-l", f"swarmrun.dev/run={name}", "-o", "name").split():
            self.kubectl(
                "patch", pod, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status})
            )

    @contextmanager
    def queue(self, name: str) -> Iterator[RedisQueue]:
        """The run's queue, as hub and merger use it."""
        uid = self.get(f"swr/{name}")["metadata"]["uid"]
        yield RedisQueue(connect(self.redis.url), uid)


async def finish_all_tasks(queue: RedisQueue) -> int:
    """Be agent and merger: claim, submit and land until nothing is left; returns how many tasks landed."""
    landed = 0
    while isinstance(found := await queue.claim("pod-0", ttl_seconds=60), Claimed):
        change = ChangeSet(base="", edits=(FileEdit(path="a.ts", content="x"),))
        await queue.submit(found.lease, change)
        landed += await _land(queue)
    await queue.record_tests(TestTotals(passing=3, total=3, coverage_percent=91.0, commit="c" * 40))
    await queue.put_document("code", {"lines": 120, "commit": "c" * 40})
    return landed


async def _land(queue: RedisQueue) -> int:
    waiting: list[Submission] = list(await queue.submissions(limit=10, timeout_seconds=5))
    for submission in waiting:
        await queue.land(submission, {submission.task.id: "c" * 40})
    return len(waiting)


def run_async(work: Any) -> Any:
    return asyncio.run(work)

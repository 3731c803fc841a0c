"""Runs the steps of a request, each under a supervisor process, and keeps the tail of what they print."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from swarm_sandbox import supervisor
from swarm_sandbox.spec import Step, StepResult

OUTPUT_LIMIT: Final = 64 * 1024
_CHUNK: Final = 64 * 1024
#: Seconds beyond a step's time limit after which its supervisor counts as lost.
_GRACE: Final = 15.0
_EXIT_LOST: Final = 137


class Tail:
    """The last `limit` bytes of a stream."""

    def __init__(self, limit: int = OUTPUT_LIMIT) -> None:
        self._limit, self._data, self._total = limit, bytearray(), 0

    def feed(self, chunk: bytes) -> None:
        """Take more of the stream."""
        self._total += len(chunk)
        self._data += chunk
        if len(self._data) > 2 * self._limit:
            del self._data[: -self._limit]

    def text(self) -> str:
        """Return the tail; a first line says how much is missing before it."""
        kept = bytes(self._data[-self._limit :]).decode("utf-8", errors="replace")
        missing = self._total - min(self._total, self._limit)
        return f"[{missing} bytes left out]\n{kept}" if missing else kept


@dataclass(frozen=True)
class Limits:
    """Per-step limits. `processes` is RLIMIT_NPROC, which counts all processes of the user on the node."""

    processes: int = 8192
    file_bytes: int = 1024 * 1024 * 1024


@dataclass
class Supervisors:
    """Every process that this server has started.

    `sweep` is for a process that does nothing else and is a subreaper: any other child is then a stray of a
    killed supervisor, and is killed.
    """

    limits: Limits = field(default_factory=Limits)
    sweep: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, step: Step, *, cwd: Path, env: Mapping[str, str]) -> StepResult:
        """Run one step to its end or its time limit; nothing of it is alive afterwards."""
        begin = time.monotonic()
        request = {
            "argv": list(step.argv),
            "cwd": str(cwd),
            "env": {**env, **step.env},
            "timeout": step.timeout_seconds,
            "limits": {"processes": self.limits.processes, "file_bytes": self.limits.file_bytes},
        }
        read, write = os.pipe()
        with open(read, "rb") as answer:  # noqa: PTH123 — a descriptor, not a path
            process = self._start(write)
            try:
                tail = _converse(process, json.dumps(request).encode(), step.timeout_seconds + _GRACE)
                result = _result(answer)
            finally:
                self._end(process)
        if result is None:
            lost = f"{tail.text()}\nthe step's supervisor was killed; every process of the step with it\n"
            return StepResult(step.name, _EXIT_LOST, lost[-OUTPUT_LIMIT:], time.monotonic() - begin)
        return StepResult(
            step.name, result.exit_code, tail.text(), round(result.duration, 3), result.timed_out
        )

    def _start(self, write: int) -> subprocess.Popen[bytes]:
        try:
            with self._lock:
                process = subprocess.Popen(  # noqa: S603 — our own program with a fixed command line
                    [sys.executable, "-I", "-S", supervisor.__file__, str(write)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env={},
                    cwd="/",
                    pass_fds=(write,),
                    start_new_session=True,
                )
                self._running[process.pid] = process
                return process
        finally:
            os.close(write)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=3)
        for pid in (*supervisor.descendants(process.pid), process.pid) if process.poll() is None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        with self._lock:
            del self._running[process.pid]
            if self.sweep:
                _kill_strays(set(self._running))

    def terminate(self) -> None:
        """Ask every running supervisor to end its step now."""
        with self._lock:
            for process in self._running.values():
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)


def _converse(process: subprocess.Popen[bytes], request: bytes, limit: float) -> Tail:
    """Send the request and read the output until the supervisor ends; bounded in time and memory."""
    tail = Tail()
    if process.stdin is None or process.stdout is None:
        raise AssertionError("pipes were asked for")
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(request)
        process.stdin.close()
    reader = threading.Thread(target=_pump, args=(process.stdout, tail), daemon=True)
    reader.start()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=limit)
    # Whoever still holds the pipe has escaped its supervisor; the sweep of strays ends it.
    reader.join(timeout=1.0)
    return tail


def _pump(stream: IO[bytes], tail: Tail) -> None:
    with stream:
        while chunk := os.read(stream.fileno(), _CHUNK):
            tail.feed(chunk)


def _result(answer: IO[bytes]) -> supervisor.Result | None:
    os.set_blocking(answer.fileno(), False)
    try:
        return supervisor.Result(**json.loads(os.read(answer.fileno(), 4096)))
    except (BlockingIOError, ValueError, TypeError):
        return None


def _kill_strays(known: set[int]) -> None:
    """Kill adopted children: orphans of a supervisor that its own step has killed."""
    own = os.getpid()
    for _ in range(100):
        strays = [pid for pid in supervisor.children_by_parent().get(own, []) if pid not in known]
        if not strays:
            return
        for pid in strays:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def run_all(
    supervisors: Supervisors, steps: Sequence[Step], *, cwd: Path, env: Mapping[str, str]
) -> list[StepResult]:
    """Run the steps in order; after a failure only those marked `always`."""
    results: list[StepResult] = []
    failed = False
    for step in steps:
        if failed and not step.always:
            results.append(StepResult(step.name, None))
            continue
        result = supervisors.run(step, cwd=cwd, env=env)
        failed = failed or result.exit_code != 0
        results.append(result)
    return results

"""What a worker module and the harness say to each other, with the standard library only.

The harness passes facts by environment. Jobs write what happens to a journal, one JSON object per line, so
that what ran is known from the jobs themselves and not from the library that is under test.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

URL: Final = os.environ.get("PEER_REDIS", "redis://127.0.0.1:6379/0")
WORKER: Final = os.environ.get("PEER_WORKER", "")
FOLDER: Final = Path(os.environ.get("PEER_FOLDER", "."))
VARIANT: Final = os.environ.get("PEER_VARIANT", "")
#: How many jobs the benchmark has put in, and how many run at a time; 0 in the stale-worker scenario.
JOBS: Final = int(os.environ.get("PEER_JOBS", "0"))
CONCURRENCY: Final = int(os.environ.get("PEER_CONCURRENCY", "1"))
BENCH: Final = JOBS > 0

#: The id of the one job that two workers get.
JOB_ID: Final = "job"
#: The worker that is frozen. It holds its first run until the gate opens.
STALE: Final = "A"
JOURNAL: Final = "journal.jsonl"
GATE: Final = "gate"
METER: Final = "meter.json"

_PAUSE: Final = 0.02
#: The first tenth of the jobs warms up and is not measured.
_WARM: Final = max(1, JOBS // 10)


def journal(what: str, **facts: object) -> None:
    """Append one fact; a single small write, so that lines of two processes do not mix."""
    line = json.dumps({"at": time.time(), "worker": WORKER, "what": what, **facts}) + "\n"
    with (FOLDER / JOURNAL).open("a", encoding="utf-8") as file:
        file.write(line)


def _begin() -> str:
    """Note that the job starts, and return its label: who runs it, and which run it is, counted from 1."""
    path = FOLDER / JOURNAL
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    run = 1 + sum(json.loads(line)["what"] == "start" for line in lines)
    label = f"{WORKER}#{run}"
    journal("start", label=label)
    return label


def _held(label: str) -> bool:
    return label == f"{STALE}#1" and not (FOLDER / GATE).exists()


async def slow() -> str:
    """Run the job that A is frozen in; the result says who made it."""
    label = _begin()
    try:
        while _held(label):  # noqa: ASYNC110 — the gate is a file, opened by another process
            await asyncio.sleep(_PAUSE)
    except asyncio.CancelledError:
        journal("cancelled", label=label)
        raise
    journal("end", label=label)
    return label


def slow_sync() -> str:
    """Run the same job for libraries whose jobs are plain functions."""
    label = _begin()
    try:
        while _held(label):
            time.sleep(_PAUSE)
    except BaseException as error:
        journal("cancelled", label=label, error=type(error).__name__)
        raise
    journal("end", label=label)
    return label


def probe() -> None:
    """Show that this worker has come back to work after whatever it did before."""
    journal("probe")


async def probe_async() -> None:
    """Show the same in a coroutine."""
    journal("probe")


def _server_cpu() -> float:
    """Return the seconds of CPU that the Redis server has used so far."""
    at = urlsplit(URL)
    with socket.create_connection((at.hostname or "127.0.0.1", at.port or 6379), 5) as connection:
        connection.sendall(b"INFO cpu\r\n")
        text = b""
        while b"used_cpu_user:" not in text or not text.endswith(b"\r\n\r\n"):
            got = connection.recv(4096)
            if not got:
                break
            text += got
    fields = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
    return float(fields["used_cpu_user"]) + float(fields["used_cpu_sys"])


class _Meter:
    """Counts the jobs of the benchmark in the worker that runs them; times the measured part."""

    def __init__(self) -> None:
        self._count = itertools.count(1)
        self._began = (0.0, 0.0, 0.0)

    def job(self) -> None:
        number = next(self._count)
        if number == _WARM:
            self._began = (time.perf_counter(), time.process_time(), _server_cpu())
        elif number == JOBS:
            self._report()

    def _report(self) -> None:
        ended = (time.perf_counter(), time.process_time(), _server_cpu())
        seconds, worker, server = (end - begin for begin, end in zip(self._began, ended, strict=True))
        facts = {"jobs": JOBS - _WARM, "seconds": seconds, "worker_cpu": worker, "server_cpu": server}
        part = FOLDER / f"{METER}.part"
        part.write_text(json.dumps(facts), encoding="utf-8")
        part.rename(FOLDER / METER)


_METER: Final = _Meter()


def noop() -> None:
    """Run the job of the benchmark: do nothing but count."""
    _METER.job()


async def noop_async() -> None:
    """Run the same as a coroutine."""
    _METER.job()


def answer(state: str, value: object = None) -> None:
    """Print the job's result as the library tells it; `value` only when there is one."""
    print(json.dumps({"state": state, "value": None if value is None else str(value)}))


def filled(began: float) -> None:
    """Print how long it took to put the jobs in."""
    print(json.dumps({"seconds": time.perf_counter() - began}))


def become(*argv: str) -> None:
    """Replace this process by the library's own command line."""
    os.execv(sys.executable, [sys.executable, "-m", *argv])  # noqa: S606 — no shell is what is wanted


def main(**roles: Callable[[], Coroutine[Any, Any, None] | None]) -> None:
    """Do the role that the command line names: enqueue, probe, work, result, fill or drain."""
    done = roles[sys.argv[1]]()
    if done is not None:
        asyncio.run(done)

"""Processes known by pid and start time, so that a reused pid is never mistaken for one of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmcluster.errors import StartError

POLL_SECONDS = 0.05
MAX_LOG_BYTES = 50 * 1024 * 1024


@dataclass(frozen=True)
class Process:
    """One started process."""

    pid: int
    start_time: int
    """Clock ticks after boot, field 22 of /proc/PID/stat."""
    boot: str
    """The kernel's boot id: ticks mean nothing after another boot."""


def parse_stat(text: str) -> tuple[str, int]:
    """Return state and start time of the text of /proc/PID/stat; the command name may hold anything."""
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def boot_id() -> str:
    """Return this boot's id."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def describe(pid: int) -> Process | None:
    """Return the running process `pid`, or None if there is none (a zombie is none)."""
    try:
        state, start_time = parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (OSError, IndexError, ValueError):
        return None
    return None if state in "ZX" else Process(pid, start_time, boot_id())


def alive(process: Process) -> bool:
    """Say whether exactly this process runs."""
    return describe(process.pid) == process


def spawn(argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> Process:
    """Start `argv` in its own session with all output appended to `log` (restarted when over 50 MB).

    Raises:
        StartError: the program does not exist or ended at once.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    oversized = log.exists() and log.stat().st_size > MAX_LOG_BYTES
    with log.open("wb" if oversized else "ab") as stream:
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env=dict(env) if env is not None else None,
            )
        except OSError as error:
            raise StartError(f"{argv[0]}: {error}") from error
    found = describe(child.pid)
    if found is None:
        raise StartError(f"{argv[0]}: ended at once with code {child.poll()}; see {log}")
    return found


def stop(processes: Sequence[Process], grace: float = 5.0) -> None:
    """Ask the processes to end, wait at most `grace` seconds for all of them, then kill what is left."""
    for sig, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        left = [process for process in processes if alive(process)]
        for process in left:
            _signal(process, sig)
        deadline = time.monotonic() + wait
        while any(alive(process) for process in left) and time.monotonic() < deadline:
            _reap(left)
            time.sleep(POLL_SECONDS)
        _reap(left)


def _signal(process: Process, sig: signal.Signals) -> None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if alive(process):
            signal.pidfd_send_signal(descriptor, sig)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def _reap(processes: Sequence[Process]) -> None:
    for process in processes:
        try:
            os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:
            continue

"""Runs one step and leaves no process behind. A program of its own: `python -I -S supervisor.py`.

It makes itself the subreaper of the step (prctl(2), PR_SET_CHILD_SUBREAPER), so that even a daemon that
left its session comes back as a child when its parent ends. When the step is over, or its time is, every
descendant is killed and reaped before the supervisor ends. It is not dumpable (PR_SET_DUMPABLE), so the
step, which has the same user, cannot reach its memory or descriptors to forge a result; it can kill it,
which counts as a failure.

Input, on stdin: {"argv", "cwd", "env", "timeout", "limits": {"processes", "file_bytes"}}.
Result, on the descriptor named by the first argument: {"exit_code", "timed_out", "duration"}.
The step's output goes to the supervisor's own stdout.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

_PR_SET_DUMPABLE: Final = 4
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
#: As of timeout(1), env(1) and shells.
EXIT_TIMED_OUT: Final = 124
EXIT_CANNOT_START: Final = 127
_SIGNAL_BASE: Final = 128
_POLL_SECONDS: Final = 0.02
#: Rounds of killing: a fork bomb may win some, SIGSTOP first makes it lose the next.
_ROUNDS: Final = 200


class Result(NamedTuple):
    """How the step ended: exit code (128 + n for signal n), whether its time was up, seconds it took."""

    exit_code: int
    timed_out: bool
    duration: float


def harden() -> None:
    """Adopt orphaned descendants of this process, and close it to its own user's other processes."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def children_by_parent() -> dict[int, list[int]]:
    """Read the process table: parent → children."""
    table: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 — names are all that is needed, a thousand times
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name in parentheses may hold anything, so count from its end.
                fields = Path("/proc", entry, "stat").read_bytes().rpartition(b")")[2].split()
                table.setdefault(int(fields[1]), []).append(int(entry))
    return table


def descendants(root: int) -> list[int]:
    """List all processes below `root`, parents first."""
    table = children_by_parent()
    found: list[int] = []
    queue = [root]
    while queue:
        below = table.get(queue.pop(), [])
        found += below
        queue += below
    return found


def kill_descendants(root: int) -> bool:
    """Stop, then kill everything below `root` and reap what became a child; True when nothing is left."""
    for _ in range(_ROUNDS):
        _reap()
        below = descendants(root)
        if not below:
            return True
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in below:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        time.sleep(_POLL_SECONDS / 10)
    return False


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _limits(limits: dict[str, int]) -> None:
    for kind, wanted in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
    ):
        hard = resource.getrlimit(kind)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def run(request: dict[str, Any]) -> Result:
    """Run the step to its end or its time limit; nothing of it is alive afterwards."""
    begin = time.monotonic()
    harden()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    try:
        process = subprocess.Popen(  # noqa: S603 — running given commands is the purpose of this program
            request["argv"],
            cwd=request["cwd"],
            env=request["env"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: _limits(request["limits"]),  # noqa: PLW1509 — this program has one thread
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        sys.stdout.write(f"cannot start {request['argv'][0]!r}: {error}\n")
        return Result(EXIT_CANNOT_START, timed_out=False, duration=time.monotonic() - begin)
    timed_out = False
    try:
        code = process.wait(timeout=request["timeout"])
    except subprocess.TimeoutExpired:
        code, timed_out = EXIT_TIMED_OUT, True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    duration = time.monotonic() - begin
    kill_descendants(os.getpid())
    return Result(code if code >= 0 else _SIGNAL_BASE - code, timed_out, duration)


def main() -> None:
    """Serve one request and end. A SIGTERM ends the step at once."""
    target = int(sys.argv[1])
    os.set_inheritable(target, False)  # noqa: FBT003 — takes no keyword
    request = json.loads(sys.stdin.buffer.read())

    def ended(_number: int, _frame: object) -> None:
        kill_descendants(os.getpid())
        os._exit(_SIGNAL_BASE + signal.SIGTERM)

    signal.signal(signal.SIGTERM, ended)
    result = run(request)
    sys.stdout.flush()
    with open(target, "w", encoding="utf-8") as file:
        json.dump(result._asdict(), file)


if __name__ == "__main__":
    main()

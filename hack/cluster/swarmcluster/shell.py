"""Run programs with a deadline, and turn a failure into an error that carries the last output."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from swarmcluster.errors import CommandError

TAIL_LINES = 25
TAIL_BYTES = 16_384


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """Return the last `lines` lines of `text`, at most 16 KiB."""
    return "\n".join(text[-TAIL_BYTES:].splitlines()[-lines:])


def tail_file(path: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log file, or a note that there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - TAIL_BYTES))
            return tail(stream.read().decode(errors="replace"), lines)
    except OSError as error:
        return f"(no log: {error})"


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> str:
    """Run `argv` and return its standard output.

    Args:
        argv: program and arguments; no shell is involved.
        timeout: seconds after which the program is killed.
        env: the complete environment; this process' own when omitted.
        cwd: working directory.
        stdin: text for standard input; empty when omitted.

    Raises:
        CommandError: not found, non-zero exit, or timeout.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            input=stdin if stdin is not None else "",
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(
            f"{words[0]}: not found; `hack/cluster/cluster preflight` says what to install"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{' '.join(words[:4])} …: no end after {timeout:.0f} s") from error
    if done.returncode != 0:
        output = tail(done.stdout + "\n" + done.stderr).strip()
        raise CommandError(f"{' '.join(words[:6])}: exit code {done.returncode}\n{output}")
    return done.stdout


def succeeds(argv: Sequence[str | Path], *, timeout: float = 20) -> bool:
    """Say whether `argv` ran to exit code 0 within `timeout` seconds."""
    try:
        run(argv, timeout=timeout)
    except CommandError:
        return False
    return True

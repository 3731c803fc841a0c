"""Progress lines on standard error: a step that lasts over two seconds shows its elapsed time."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_SECONDS = 2.0
NON_TTY_INTERVAL = 30.0


def say(text: str) -> None:
    """Print one line of progress."""
    print(text, file=sys.stderr, flush=True)


class Step:
    """A running step; `detail` is shown beside its elapsed time."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self.started = time.monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    @property
    def elapsed(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self.started

    def line(self) -> str:
        """Return the step's line of progress."""
        detail = f"  {self.detail}" if self.detail else ""
        return f"  {self.title} … {self.elapsed:.0f} s{detail}"

    def _show(self) -> None:
        terminal = sys.stderr.isatty()
        wait = QUIET_SECONDS
        while not self._done.wait(wait):
            if terminal:
                sys.stderr.write(f"\r\033[K{self.line()}")
                sys.stderr.flush()
                wait = 1.0
            else:
                say(self.line())
                wait = NON_TTY_INTERVAL

    def start(self) -> None:
        """Begin showing the step once it is slow enough to matter."""
        self._thread.start()

    def finish(self, *, ok: bool) -> None:
        """Print the outcome of a step that was slow or failed."""
        self._done.set()
        self._thread.join(timeout=2)
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        if not ok:
            say(f"{clear}✗ {self.title} ({self.elapsed:.1f} s)")
        elif self.elapsed >= QUIET_SECONDS:
            say(f"{clear}✓ {self.title} ({self.elapsed:.1f} s)")


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show `title` with its elapsed time while the body lasts over two seconds, and its outcome."""
    current = Step(title)
    current.start()
    ok = False
    try:
        yield current
        ok = True
    finally:
        current.finish(ok=ok)

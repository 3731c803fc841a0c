"""Real processes to be killed, frozen and started again; forked from a server that has imported all."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from typing import Any, Final, Self

from swarmchaos.values import Site

#: A process's whole work.
Work = Callable[[Site, str], Coroutine[Any, Any, None]]
_PRELOADED: Final = ["swarmchaos.agent", "swarmchaos.merger", "swarmchaos.writer", "swarmchaos.spender"]
_END_SECONDS: Final = 10.0
_PR_SET_PDEATHSIG: Final = 1
_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_PRELOADED)


def _main(work: Work, site: Site, name: str) -> None:
    # An interrupt at the terminal is the parent's to handle; it ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nobody is left behind when the parent, and with it the fork server, is killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    asyncio.run(work(site, name))


@dataclass
class Member:
    """One process. `pods`: how many pods it plays; they are called `name.0`, `name.1`, ..."""

    name: str
    process: BaseProcess
    #: When it wakes from SIGSTOP by the monotonic clock; 0 while it runs.
    frozen_until: float = 0.0

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process is there."""
        if self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.process.join(_END_SECONDS)


@dataclass
class Fleet:
    """The living processes of a scenario; leaving the block kills them all."""

    site: Site
    members: dict[str, Member] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in list(self.members.values()):
            member.kill()

    def start(self, work: Work, name: str) -> Member:
        """Start a process."""
        process = _CONTEXT.Process(target=_main, args=(work, self.site, name), daemon=True)
        process.start()
        self.members[name] = Member(name, process)
        return self.members[name]

    def kill(self, name: str) -> float:
        """Kill a process; returns when, by the monotonic clock."""
        member = self.members.pop(name)
        at = time.monotonic()
        member.kill()
        return at

    def freeze(self, name: str, seconds: float) -> float:
        """Stop a process for a while; returns when, by the monotonic clock."""
        member = self.members[name]
        at = time.monotonic()
        member.send(signal.SIGSTOP)
        member.frozen_until = at + seconds
        return at

    def thaw(self) -> list[str]:
        """Let those go on whose time is over; returns their names."""
        now = time.monotonic()
        due = [m for m in self.members.values() if 0 < m.frozen_until <= now]
        for member in due:
            member.frozen_until = 0.0
            member.send(signal.SIGCONT)
        return [member.name for member in due]

    def running(self, prefix: str) -> list[str]:
        """Name the processes that are not frozen, by the beginning of their names."""
        return [n for n, m in self.members.items() if n.startswith(prefix) and not m.frozen_until]

    def dead(self) -> list[str]:
        """Name the processes that ended by themselves: an error in the scenario."""
        return [n for n, m in self.members.items() if not m.process.is_alive()]

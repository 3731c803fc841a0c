"""One wait on the store for all agents that wait here.

A hint of the store, or five seconds without one, wakes the agent that has waited longest. If it finds a task
it wakes the next, because there may be more; if not, the others would not find one either. So a thousand idle
agents cost one claim each five seconds, and a thousand new tasks still reach all of them at once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from swarm_hub.background import STORE_ERRORS
from swarmrun.queue.port import WorkQueue

#: A hint may be lost with the store; a task is found after this time all the same.
_LOOK_AGAIN_SECONDS: Final = 5.0
#: Pause after a hint that brought nothing, as while the run is paused; it doubles while that goes on.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0
#: Name under which the hub waits; hints are for anyone.
_NAME: Final = "hub"


class Bell:
    """Wakes those who wait, one at a time, first come, first served."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue
        self._line: OrderedDict[asyncio.Future[bool], None] = OrderedDict()
        self._watch: asyncio.Task[None] | None = None
        self._pause = 0.0
        self._closed = False

    async def wait(self, seconds: float) -> bool:
        """Return True when it is the turn to look for work, False when the time is up or the bell closed."""
        if self._closed or seconds <= 0:
            return False
        loop = asyncio.get_running_loop()
        place: asyncio.Future[bool] = loop.create_future()
        self._line[place] = None
        if self._watch is None or self._watch.done():
            self._watch = loop.create_task(self._listen())
        timer = loop.call_later(seconds, self._send_home, place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                self._ring()  # another may still come
            raise
        finally:
            timer.cancel()
            self._line.pop(place, None)

    def found(self, *, work: bool) -> None:
        """Say what a look after `wait` has brought."""
        if work:
            self._pause = 0.0
            self._ring()
        else:
            self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)

    def close(self) -> None:
        """Send all home."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        for place in list(self._line):
            self._send_home(place)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while self._line:
            began = loop.time()
            try:
                await self._queue.wait(_NAME, timeout_seconds=_LOOK_AGAIN_SECONDS)
            except STORE_ERRORS:
                # Whoever looks next meets the error and tells its agent.
                await asyncio.sleep(_LONGEST_PAUSE)
            if (rest := self._pause - (loop.time() - began)) > 0:
                await asyncio.sleep(rest)
            self._ring()

    def _ring(self) -> None:
        """Wake the first in the line."""
        while self._line:
            place, _ = self._line.popitem(last=False)
            if not place.done():
                place.set_result(True)
                return

    def _send_home(self, place: asyncio.Future[bool]) -> None:
        if not place.done():
            place.set_result(False)

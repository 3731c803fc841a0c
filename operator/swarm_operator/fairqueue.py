"""Which run is looked at next: a pure data structure, and its asynchronous edge.

Theory of operation. A key (a run) is in at most one place: waiting in a lane, in work, or due later. A key
that is asked for while in work is noted and goes back to its lane when the work ends, so that one run is
never reconciled twice at the same time and no wake-up is lost.

Fairness has two levels. Lanes: each pick prefers the next lane of `ROTATION`, so that a new run is served at
once while a thousand others are caught up with after a restart, and no lane starves. Within a lane
namespaces take turns, and a namespace serves its runs in the order they asked.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict, deque
from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple


class Key(NamedTuple):
    """Names a run."""

    namespace: str
    name: str


class Lane(IntEnum):
    """Urgency, most urgent first."""

    FRESH = 0
    CHANGED = 1
    RESYNC = 2


#: The order in which lanes are preferred, pick after pick.
ROTATION: Final = (
    Lane.FRESH,
    Lane.CHANGED,
    Lane.FRESH,
    Lane.FRESH,
    Lane.CHANGED,
    Lane.FRESH,
    Lane.RESYNC,
)


class _LaneQueue:
    """Keys of one lane: namespaces take turns, first come first served within each."""

    def __init__(self) -> None:
        self._by_namespace: OrderedDict[str, deque[Key]] = OrderedDict()

    def push(self, key: Key) -> None:
        self._by_namespace.setdefault(key.namespace, deque()).append(key)

    def pop(self) -> Key | None:
        if not self._by_namespace:
            return None
        namespace, keys = self._by_namespace.popitem(last=False)
        key = keys.popleft()
        if keys:
            self._by_namespace[namespace] = keys
        return key

    def remove(self, key: Key) -> None:
        keys = self._by_namespace.get(key.namespace)
        if keys is None:
            return
        keys.remove(key)
        if not keys:
            del self._by_namespace[key.namespace]


class FairQueue:
    """The data structure. Times are seconds of any one clock, given by the caller."""

    def __init__(self) -> None:
        self._lanes = {lane: _LaneQueue() for lane in Lane}
        self._waiting: dict[Key, tuple[Lane, float]] = {}
        self._working: dict[Key, Lane | None] = {}
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._turn = 0

    def add(self, key: Key, lane: Lane, now: float) -> None:
        """Ask for a look at `key`. A more urgent lane wins over the one it waits in."""
        if key in self._working:
            before = self._working[key]
            self._working[key] = lane if before is None else min(before, lane)
            return
        since = now
        if key in self._waiting:
            present, since = self._waiting[key]
            if present <= lane:
                return
            self._lanes[present].remove(key)
        self._waiting[key] = (lane, since)
        self._lanes[lane].push(key)

    def add_at(self, key: Key, due: float) -> None:
        """Ask for a look at `key` not before `due`; replaces an earlier such wish."""
        self._due[key] = due
        heapq.heappush(self._heap, (due, key))

    def pop(self, now: float) -> tuple[Key, float] | None:
        """Take the next key into work, with the seconds it waited; None when there is none now."""
        self._ripen(now)
        if not self._waiting:
            return None
        preferred = ROTATION[self._turn % len(ROTATION)]
        self._turn += 1
        order = (preferred, *(lane for lane in Lane if lane is not preferred))
        key = next(k for k in (self._lanes[lane].pop() for lane in order) if k is not None)
        _, since = self._waiting.pop(key)
        self._due.pop(key, None)
        self._working[key] = None
        return key, max(0.0, now - since)

    def done(self, key: Key, now: float) -> None:
        """End the work on `key`; it waits again if it was asked for meanwhile."""
        lane = self._working.pop(key)
        if lane is not None:
            self.add(key, lane, now)

    def forget(self, key: Key) -> None:
        """Drop the wish for a later look, because the run is gone."""
        self._due.pop(key, None)

    def next_due(self) -> float | None:
        """Tell when the next later look is due."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def __len__(self) -> int:
        return len(self._waiting)

    def _ripen(self, now: float) -> None:
        while (due := self.next_due()) is not None and due <= now:
            _, key = heapq.heappop(self._heap)
            del self._due[key]
            self.add(key, Lane.RESYNC, now)


class WorkQueue:
    """The asynchronous edge: workers wait here for keys."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._queue = FairQueue()
        self._clock = clock
        self._wake = asyncio.Event()

    def add(self, key: Key, lane: Lane) -> None:
        """Ask for a look at `key`."""
        self._queue.add(key, lane, self._clock())
        self._wake.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Ask for a look at `key` after some time."""
        self._queue.add_at(key, self._clock() + seconds)
        self._wake.set()

    def done(self, key: Key) -> None:
        """End the work on `key`."""
        self._queue.done(key, self._clock())
        self._wake.set()

    def forget(self, key: Key) -> None:
        """Drop the wish for a later look."""
        self._queue.forget(key)

    async def get(self) -> tuple[Key, float]:
        """Wait for the next key; gives it with the seconds it waited for its turn."""
        while True:
            now = self._clock()
            if (found := self._queue.pop(now)) is not None:
                return found
            self._wake.clear()
            due = self._queue.next_due()
            timeout = None if due is None else max(0.0, due - now)
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def __len__(self) -> int:
        return len(self._queue)

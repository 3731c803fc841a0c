"""What the three sides of `RedisQueue` share: client, keys, scripts, facts, waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, cast

import redis.asyncio as redis

from swarmrun.queue.batching import Caller
from swarmrun.queue.keys import Keys
from swarmrun.queue.port import Signal
from swarmrun.queue.redis_errors import unavailable
from swarmrun.queue.scripts import Scripts

#: Seconds of one blocking read; short, so that a half-open connection shows within the socket's timeout.
_SLICE: Final = 5.0
#: Redis reads a timeout of 0 as for ever.
_SHORTEST: Final = 0.01


class RedisSide:
    """One run's keys behind one client."""

    def __init__(self, client: redis.Redis, uid: str) -> None:
        self._client = client
        self._keys = Keys(uid)
        self._scripts = Scripts(Caller(client), self._keys)
        self._turns = {name: asyncio.Lock() for name in ("wake", "wake:merge")}

    async def signal(self, component: str, signal: Signal) -> None:
        """Report a component's state."""
        # The sign in front lets a claim read `ok` without parsing JSON.
        sign = "+" if signal.ok else "-"
        await self._scripts.record("signals", component, sign + signal.model_dump_json())

    async def _await_hint(self, name: str, timeout_seconds: float) -> None:
        """Wait for a hint on a list, or the timeout.

        One caller at a time blocks in Redis, the others queue for its turn: a thousand waiting agents need
        one connection, and one hint wakes one of them.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        turn = self._turns[name]
        try:
            async with asyncio.timeout_at(deadline):
                await turn.acquire()
        except TimeoutError:
            return
        try:
            while (left := deadline - loop.time()) > 0:
                if await self._pop(name, max(_SHORTEST, min(left, _SLICE))):
                    return
        finally:
            turn.release()

    async def _pop(self, name: str, seconds: float) -> bool:
        with unavailable("waiting"):
            popped = await cast("Awaitable[object]", self._client.blpop([self._keys[name]], seconds))
        return popped is not None

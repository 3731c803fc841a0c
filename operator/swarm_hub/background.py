"""Work that must finish although its caller is gone: settling a call, giving a claim back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from redis.exceptions import RedisError

from swarmrun.core.errors import Retryable

_LOG: Final = logging.getLogger(__name__)
_T = TypeVar("_T")

#: What a queue raises when its store does not answer.
STORE_ERRORS: Final = (RedisError, Retryable, OSError, TimeoutError)
_ATTEMPTS: Final = 6
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 10.0


class Background:
    """Keeps hold of detached tasks, and awaits them before the process ends."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Start work that a cancelled caller does not cancel, when awaited through `asyncio.shield`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def drain(self, timeout_seconds: float) -> None:
        """Wait for all that is under way."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_seconds)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.warning("background work failed", extra={"error": type(error).__name__})


async def persist(call: Callable[[], Awaitable[_T]], *, attempts: int = _ATTEMPTS) -> _T:
    """Repeat a call to the store while it does not answer, for about three seconds unless told otherwise.

    Raises:
        Exception: the store's error of the last attempt.
    """
    pause = _FIRST_PAUSE_SECONDS
    for _ in range(attempts - 1):
        try:
            return await call()
        except STORE_ERRORS:
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    return await call()

"""One place that says which of Redis' errors mean "try again later"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from swarmrun.queue.rules import QueueUnavailable

#: Refused logins count, too: the operator may not have created them yet.
_TRANSIENT: Final = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, OutOfMemoryError)


@contextmanager
def unavailable(what: str) -> Iterator[None]:
    """Turn transient errors of the client into `QueueUnavailable`, which names what was tried.

    Raises:
        QueueUnavailable: Redis does not answer, is out of memory, or is a replica just now.
    """
    try:
        yield
    except _TRANSIENT as error:
        raise QueueUnavailable(f"redis: {what}: {error}") from error

"""The queue on Redis (≥ 7.0) or Valkey: the connection, and `RedisQueue` put together from its three sides.

Promises rest on three facts. Every transition is one script, so there is no state between two states. Every
script receives all its keys, so a run lives in one slot. Time is the server's, so no clock of a pod matters.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import redis.asyncio as redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from swarmrun.queue.redis_admin import RedisAdmin
from swarmrun.queue.redis_merge import RedisMerge
from swarmrun.queue.redis_work import RedisWork

#: Seconds without an answer after which a connection counts as broken. Longer than any blocking read.
SOCKET_TIMEOUT: Final = 15.0
CONNECT_TIMEOUT: Final = 5.0
#: Connections of one process. Waiting takes one, whatever the number of agents.
MAX_CONNECTIONS: Final = 64
_CONNECT_ATTEMPTS: Final = 3
_CONNECT_PAUSE: Final = 0.2


class _Patient(redis.Connection):
    """Repeats setting up the connection, and only that: a sent command may have taken effect."""

    async def connect(self) -> None:
        """Connect, a few times with a growing pause."""
        for attempt in range(1, _CONNECT_ATTEMPTS):
            try:
                return await self._connect_once()
            except (RedisConnectionError, RedisTimeoutError):
                await asyncio.sleep(_CONNECT_PAUSE * attempt)
        return await self._connect_once()

    async def _connect_once(self) -> None:
        await super().connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


class _PatientTLS(_Patient, redis.SSLConnection):
    """The same over TLS."""


class _PatientSocket(redis.UnixDomainSocketConnection):
    """A local socket answers at once or not at all."""


_PATIENT: Final[dict[type, type]] = {
    redis.SSLConnection: _PatientTLS,
    redis.UnixDomainSocketConnection: _PatientSocket,
}


def connect(url: str, username: str | None = None, password: str | None = None) -> redis.Redis:
    """Make a client for a `redis://`, `rediss://` or `unix://` URL. Nothing is sent yet.

    The URL carries no credentials; they come from files. Commands are never repeated by the client: callers
    repeat them by token or call id, and hear DUP.

    Raises:
        ValueError: the URL is malformed.
    """
    options: dict[str, Any] = dict(parse_url(url))
    kind = options.get("connection_class", redis.Connection)
    options["connection_class"] = _PATIENT.get(kind, _Patient)
    if kind is not redis.UnixDomainSocketConnection:
        options["socket_keepalive"] = True
    if username:
        options["username"] = username
    if password:
        options["password"] = password
    # Telling the server our name would need a command that run logins do not have.
    pool = redis.BlockingConnectionPool(
        driver_info=None,
        max_connections=MAX_CONNECTIONS,
        timeout=SOCKET_TIMEOUT,
        protocol=2,
        decode_responses=True,
        socket_timeout=SOCKET_TIMEOUT,
        socket_connect_timeout=CONNECT_TIMEOUT,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 0),
        **options,
    )
    return redis.Redis.from_pool(pool)


class RedisQueue(RedisAdmin, RedisWork, RedisMerge):
    """One run's queue; implements `QueueAdmin`, `WorkQueue` and `MergeQueue`.

    `client` comes from `connect`; its user decides which side really works. Errors: `QueueUnavailable` when
    Redis does not answer, `Invalid` for input that breaks a rule.
    """

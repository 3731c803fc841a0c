"""Connections to the store: patient while they are set up, and wise when the primary has moved.

Commands are never repeated by the client: callers repeat them by token or call id, and hear DUP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis.asyncio as redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from swarmrun.queue.redis_url import Address

#: Seconds without an answer after which a connection counts as broken. Longer than any blocking read.
SOCKET_TIMEOUT: Final = 15.0
CONNECT_TIMEOUT: Final = 5.0
#: Connections of one process to one server. Waiting takes one, whatever the number of agents.
MAX_CONNECTIONS: Final = 64
_CONNECT_ATTEMPTS: Final = 3
_CONNECT_PAUSE: Final = 0.2

#: The server is not, or not now, the one that serves the keys; it has done nothing. Ask for the right one.
_ELSEWHERE: Final = (ReadOnlyError, MovedError, AskError, TryAgainError, ClusterDownError)
#: The same, by words for which redis-py has no class: a role change ended a blocking read, too few replicas
#: listen, the disk takes no more.
_NOT_NOW: Final = ("UNBLOCKED", "NOREPLICAS", "MISCONF")

#: Files of a TLS folder, named as in Secrets of type kubernetes.io/tls. Each may be absent.
CA_FILE, CERTIFICATE_FILE, KEY_FILE = "ca.crt", "tls.crt", "tls.key"


class NotServedHereError(RedisConnectionError):
    """This server does not serve the keys now. A connection error: the next try looks for the right one."""


@dataclass(frozen=True)
class Access:
    """How to log in. The TLS folder holds `ca.crt` and, if the server asks for them, `tls.crt`, `tls.key`."""

    username: str = ""
    password: str = field(default="", repr=False)
    #: Sentinels have logins of their own.
    sentinel_password: str = field(default="", repr=False)
    tls_dir: Path | None = None


class _KnowsServer(AbstractConnection):
    """Knows the run id of the process at its other end, for as long as it lasts: a restart ends it."""

    run_id = ""

    async def learn_server(self) -> None:
        """Ask for the run id; a login that may not ask leaves it empty."""
        await self.send_command("INFO", "server", check_health=False)
        try:
            text = str(await self.read_response())
        except NoPermissionError:
            text = ""
        facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        self.run_id = facts.get("run_id", "")


class _Patient(_KnowsServer, redis.Connection):
    """Repeats setting up the connection, and only that: a sent command may have taken effect.

    `locate` finds the address anew for every connection; `doubt` hears that the server is the wrong one.
    """

    def __init__(
        self,
        *,
        locate: Callable[[], Awaitable[Address]] | None = None,
        doubt: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        self._locate, self._doubt = locate, doubt
        super().__init__(**options)

    async def connect(self) -> None:
        """Connect, a few times with a growing pause."""
        for attempt in range(1, _CONNECT_ATTEMPTS):
            try:
                return await self._connect_once()
            except (RedisConnectionError, RedisTimeoutError):
                await asyncio.sleep(_CONNECT_PAUSE * attempt)
        return await self._connect_once()

    async def _connect_once(self) -> None:
        if self.is_connected:
            return
        if self._locate is not None:
            self.host, self.port = await self._locate()
        await super().connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        if self._locate is not None:
            await self._demand_primary()
        await self.learn_server()

    async def _demand_primary(self) -> None:
        """Ask for the role, as Sentinel clients should: the Sentinels may still name the old primary."""
        await self.send_command("ROLE", check_health=False)
        try:
            role = await self.read_response()
        except NoPermissionError:
            return
        if role and role[0] not in {"master", b"master"}:
            await self.disconnect()
            raise NotServedHereError(f"{self.host}:{self.port} is no primary")

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Read an answer; a refusal of the wrong server ends the connection."""
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if not isinstance(error, _ELSEWHERE) and not str(error).startswith(_NOT_NOW):
                raise
            await self.disconnect(nowait=True)
            if self._doubt is not None:
                self._doubt()
            raise NotServedHereError(f"{self._host_error()}: {type(error).__name__}: {error}") from error


class _PatientTLS(_Patient, redis.SSLConnection):
    """The same over TLS. Certificates are read anew for each connection, since they are rotated in place."""

    async def _connect_once(self) -> None:
        if not self.is_connected:
            self.ssl_context.context = None
        await super()._connect_once()


class _LocalSocket(_KnowsServer, redis.UnixDomainSocketConnection):
    """A local socket answers at once or not at all."""

    async def connect(self) -> None:
        """Connect."""
        if not self.is_connected:
            await super().connect()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            await self.learn_server()


_PATIENT: Final[dict[type, type]] = {
    redis.SSLConnection: _PatientTLS,
    redis.UnixDomainSocketConnection: _LocalSocket,
}


def make_pool(
    options: Mapping[str, Any], access: Access, *, max_connections: int = MAX_CONNECTIONS, **more: Any
) -> redis.BlockingConnectionPool:
    """Make a pool; nothing is sent yet. `options` are redis-py's, `more` goes to the connections as well."""
    settings = {**options, **more}
    kind = settings.get("connection_class", redis.Connection)
    settings["connection_class"] = _PATIENT.get(kind, _Patient)
    if kind is redis.SSLConnection:
        settings.update(_tls(access.tls_dir))
    if kind is not redis.UnixDomainSocketConnection:
        settings["socket_keepalive"] = True
    if access.username:
        settings["username"] = access.username
    if access.password:
        settings["password"] = access.password
    # Telling the server our name would need a command that run logins do not have.
    return redis.BlockingConnectionPool(
        driver_info=None,
        max_connections=max_connections,
        timeout=SOCKET_TIMEOUT,
        protocol=2,
        decode_responses=True,
        socket_timeout=SOCKET_TIMEOUT,
        socket_connect_timeout=CONNECT_TIMEOUT,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 0),
        **settings,
    )


def _tls(folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    names = {"ssl_ca_certs": CA_FILE, "ssl_certfile": CERTIFICATE_FILE, "ssl_keyfile": KEY_FILE}
    return {option: str(folder / name) for option, name in names.items() if (folder / name).exists()}

"""Where a store is: the URL of REDIS_URL, taken apart. Pure.

| URL | store |
|---|---|
| `redis://host:6379/0`, `rediss://…` | one server, or an address that always leads to the primary |
| `unix:///path/to.sock` | one server on this machine |
| `redis+sentinel://a:26379,b:26379/mymaster`, `rediss+sentinel://…` | the primary that these Sentinels name |
| `redis+cluster://a:6379,b:6379`, `rediss+cluster://…` | a cluster; any of its nodes will do |

Options of redis-py may follow after `?`, such as `ssl_check_hostname=false` where Sentinels give addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from redis.asyncio.connection import parse_url

from swarmrun.core.errors import Problem

Address = tuple[str, int]


class Kind(StrEnum):
    """How a store is reached."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_PORTS: Final = {Kind.SENTINEL: 26379, Kind.CLUSTER: 6379}
_FORMS: Final = (
    "use redis://HOST:PORT, rediss://HOST:PORT (TLS), unix:///PATH, redis+sentinel://HOST:PORT,…/NAME "
    "or redis+cluster://HOST:PORT,…"
)


@dataclass(frozen=True)
class Location:
    """A parsed URL. `hosts` are Sentinels, nodes to begin with, or empty for one server."""

    kind: Kind
    hosts: tuple[Address, ...] = ()
    #: The name under which the Sentinels watch the primary.
    service: str = ""
    #: What redis-py makes of the URL: connection class, db, and for one server its host and port, or path.
    options: Mapping[str, Any] = field(default_factory=dict)


def parse_location(url: str) -> Location:
    """Take a URL apart.

    Raises:
        ValueError: it is malformed; the message names the rule and the fix, never a credential.
    """
    scheme, separator, rest = url.partition("://")
    address = rest.partition("?")[0]
    if not separator:
        raise _wrong("no URL", "must be a URL", _FORMS)
    if "@" in address:
        raise _wrong(
            f"{scheme}://…@…",
            "must carry no credentials: every pod of a run would show them",
            "put user and password into the Secret that redis.external.existingSecret names",
        )
    base, _, form = scheme.partition("+")
    if not form:
        return _single(url, scheme)
    if base not in {"redis", "rediss"} or form not in set(Kind) - {Kind.SINGLE}:
        raise _wrong(f"{scheme}://", "must be a known form", _FORMS)
    return _several(Kind(form), base, rest)


def _single(url: str, scheme: str) -> Location:
    if scheme not in {"redis", "rediss", "unix"}:
        raise _wrong(f"{scheme}://", "must be a known form", _FORMS)
    try:
        options = parse_url(url)
    except ValueError as error:
        raise _wrong(url, f"must be well formed: {error}", _FORMS) from error
    if scheme == "unix" and not options.get("path"):
        raise _wrong(url, "must name a socket", "use unix:///path/to/redis.sock")
    return Location(Kind.SINGLE, options=dict(options))


def _several(kind: Kind, base: str, rest: str) -> Location:
    address, _, query = rest.partition("?")
    hosts, _, path = address.partition("/")
    found = tuple(_host(part, kind) for part in hosts.split(",") if part)
    if not found:
        raise _wrong(rest, "must name at least one host", _FORMS)
    service, _, database = path.strip("/").partition("/")
    if kind is Kind.SENTINEL and not service:
        rule = "must end in the name under which the Sentinels watch the primary"
        raise _wrong(address, rule, "use redis+sentinel://HOST:26379/mymaster")
    if kind is Kind.CLUSTER and service:
        raise _wrong(address, "must end after the hosts: a cluster has one database, 0", f"drop /{path}")
    options = dict(_single(f"{base}://host/{database}?{query}", base).options)
    options.pop("host", None)
    options.pop("port", None)
    return Location(kind, found, service, options)


def _host(text: str, kind: Kind) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _wrong(text, f"must be HOST:PORT: {error}", _FORMS) from error
    if not host:
        raise _wrong(text, "must be HOST:PORT", _FORMS)
    return host, port or _PORTS[kind]


def _wrong(value: str, rule: str, fix: str) -> ValueError:
    return ValueError(str(Problem(path="REDIS_URL", value=value, rule=rule, fix=fix)))

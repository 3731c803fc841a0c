"""The store of all queues: one server, a primary watched by Sentinels, or a cluster.

A run's client speaks to the server that holds the run's keys, wherever that is just now. What concerns
servers, not keys (logins, fitness), goes to every node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import redis.asyncio as redis
from redis.asyncio.sentinel import Sentinel

from swarmrun.queue.keys import prefix
from swarmrun.queue.redis_cluster import ClusterNodes, slot_client
from swarmrun.queue.redis_connection import Access, make_pool
from swarmrun.queue.redis_errors import unavailable
from swarmrun.queue.redis_url import Address, Kind, Location, parse_location

#: Connections to a node that serves no keys now.
_FEW: Final = 4


@dataclass(frozen=True)
class Node:
    """One server of the store."""

    name: str
    client: redis.Redis
    primary: bool = True


class Store(Protocol):
    """Where the queues live. Nothing is sent before it is used."""

    @property
    def clustered(self) -> bool:
        """Tell whether the servers are nodes of a cluster."""

    def run(self, uid: str) -> redis.Redis:
        """Return the client for one run's keys; it belongs to the store."""

    async def nodes(self) -> Sequence[Node]:
        """Return all servers as known just now, primaries first.

        Raises:
            QueueUnavailable: the store does not answer.
        """

    async def aclose(self) -> None:
        """Close all connections."""


class _Single:
    """One server, or an address that leads to the primary."""

    clustered: Final = False

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        options = client.connection_pool.connection_kwargs
        where = options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
        self._node = Node(str(where), client)

    def run(self, uid: str) -> redis.Redis:
        prefix(uid)
        return self._client

    async def nodes(self) -> Sequence[Node]:
        return (self._node,)

    async def aclose(self) -> None:
        await self._client.aclose()


@dataclass
class _Others:
    """Clients of single nodes by address."""

    location: Location
    access: Access
    clients: dict[Address, redis.Redis] = field(default_factory=dict)

    def client(self, address: Address) -> redis.Redis:
        if address not in self.clients:
            host, port = address
            pool = make_pool(self.location.options, self.access, max_connections=_FEW, host=host, port=port)
            self.clients[address] = redis.Redis.from_pool(pool)
        return self.clients[address]

    async def aclose(self) -> None:
        for client in self.clients.values():
            await client.aclose()


class _Watched:
    """A primary that Sentinels watch; they are asked for its address whenever a connection is made."""

    clustered: Final = False

    def __init__(self, location: Location, access: Access) -> None:
        self._service = location.service
        login = Access(password=access.sentinel_password, tls_dir=access.tls_dir)
        options = {name: value for name, value in location.options.items() if name != "db"}
        self._sentinel = Sentinel([])  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        self._sentinel.sentinels = [
            redis.Redis.from_pool(make_pool(options, login, max_connections=_FEW, host=host, port=port))
            for host, port in location.hosts
        ]
        self._client = redis.Redis.from_pool(make_pool(location.options, access, locate=self._locate))
        self._others = _Others(location, access)

    async def _locate(self) -> Address:
        found = await self._sentinel.discover_master(self._service)
        return cast("Address", found)

    def run(self, uid: str) -> redis.Redis:
        prefix(uid)
        return self._client

    async def nodes(self) -> Sequence[Node]:
        with unavailable("asking the Sentinels"):
            host, port = await self._locate()
            found: Any = await self._sentinel.discover_slaves(self._service)
        replicas = [(str(host), int(port)) for host, port in found]
        return (
            Node(f"{host}:{port}", self._client),
            *(Node(f"{a[0]}:{a[1]}", self._others.client(a), primary=False) for a in replicas),
        )

    async def aclose(self) -> None:
        await self._client.aclose()
        await self._others.aclose()
        await self._sentinel.aclose()


class _Clustered:
    """A cluster: each run on the node that serves its slot."""

    clustered: Final = True

    def __init__(self, location: Location, access: Access) -> None:
        self._seed = location.hosts[0]
        self._nodes = ClusterNodes(location.hosts, location.options, access)

    def run(self, uid: str) -> redis.Redis:
        return slot_client(self._nodes, prefix(uid), self._seed)

    async def nodes(self) -> Sequence[Node]:
        with unavailable("asking the cluster for its nodes"):
            members = await self._nodes.members()
        return tuple(self._node(member.address, primary=member.serves) for member in members)

    def _node(self, address: Address, *, primary: bool) -> Node:
        client = redis.Redis(connection_pool=self._nodes.pool(address))
        return Node(f"{address[0]}:{address[1]}", client, primary=primary)

    async def aclose(self) -> None:
        await self._nodes.aclose()


def single(client: redis.Redis) -> Store:
    """Make a store of one client, which it then owns."""
    return _Single(client)


def _direct(location: Location, access: Access) -> Store:
    return single(redis.Redis.from_pool(make_pool(location.options, access)))


_STORES: Final[Mapping[Kind, Callable[[Location, Access], Store]]] = {
    Kind.SINGLE: _direct,
    Kind.SENTINEL: _Watched,
    Kind.CLUSTER: _Clustered,
}


def open_store(url: str, access: Access | None = None) -> Store:
    """Make the store of a URL (forms: `redis_url`). Nothing is sent yet.

    Raises:
        ValueError: the URL is malformed.
    """
    location = parse_location(url)
    return _STORES[location.kind](location, access or Access())

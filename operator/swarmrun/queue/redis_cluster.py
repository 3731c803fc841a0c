"""A client of one slot of a Redis Cluster: all keys of a run lie in one slot, so one node serves a run.

The client is an ordinary one whose connections come from the node that serves the slot just now. When a node
says that a slot has moved, or does not answer, the map of slots is read again before the next try. A command
that met a move has done nothing, so its caller tries again as after any lost connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import redis.asyncio as redis
from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from swarmrun.queue.redis_connection import Access, make_pool
from swarmrun.queue.redis_url import Address

#: Nodes that are asked for the map before giving up.
_MOST_ASKED: Final = 16


class Member(NamedTuple):
    """A server of the cluster. `serves`: it is a primary with slots."""

    address: Address
    serves: bool


class ClusterNodes:
    """A cluster's map of slots, and a pool of connections to each node."""

    def __init__(self, seeds: Sequence[Address], options: Mapping[str, Any], access: Access) -> None:
        self._seeds, self._options, self._access = tuple(seeds), options, access
        self._pools: dict[Address, redis.BlockingConnectionPool] = {}
        #: (first slot, last slot, the node that serves them)
        self._ranges: tuple[tuple[int, int, Address], ...] = ()
        self._doubted = True
        self._reading = asyncio.Lock()

    def pool(self, address: Address) -> redis.BlockingConnectionPool:
        """Return the pool of a node."""
        if address not in self._pools:
            host, port = address
            self._pools[address] = make_pool(
                self._options, self._access, host=host, port=port, doubt=self.doubt
            )
        return self._pools[address]

    def doubt(self) -> None:
        """Have the map read again before it is used again."""
        self._doubted = True

    async def serving(self, slot: int) -> redis.BlockingConnectionPool:
        """Return the pool of the node that serves a slot.

        Raises:
            ConnectionError: no node answers, or none serves the slot.
        """
        await self._know()
        for first, last, primary in self._ranges:
            if first <= slot <= last:
                return self.pool(primary)
        self.doubt()
        raise RedisConnectionError(f"no node of the cluster serves slot {slot}")

    async def members(self) -> tuple[Member, ...]:
        """List all servers that are not known to have failed, those that serve slots first.

        Raises:
            ConnectionError: no node answers.
        """
        _, shards = await self._ask("SHARDS")
        tls = self._options.get("connection_class") is redis.SSLConnection
        found = [member for shard in shards for member in _members(_pairs(shard), tls=tls)]
        return tuple(sorted(found, key=lambda member: not member.serves))

    async def _know(self) -> None:
        async with self._reading:
            if self._doubted:
                asked, rows = await self._ask("SLOTS")
                self._ranges = tuple(_range(row, asked) for row in rows)
                self._doubted = False

    async def _ask(self, what: str) -> tuple[str, Sequence[Any]]:
        """Ask one node after the other about the cluster; returns who answered, and what."""
        errors = []
        known = dict.fromkeys(primary for *_, primary in self._ranges)
        for address in [*known, *self._seeds][:_MOST_ASKED]:
            client = redis.Redis(connection_pool=self.pool(address))
            try:
                # In two words, so that redis-py leaves the answer as it came.
                answer = await client.execute_command("CLUSTER", what)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                errors.append(f"{address[0]}:{address[1]}: {error}")
                continue
            if answer:
                return address[0], answer
            errors.append(f"{address[0]}:{address[1]}: knows no slots")
        raise RedisConnectionError(f"no node of the cluster answers: {'; '.join(errors)[:500]}")

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()


def _range(row: Sequence[Any], asked: str) -> tuple[int, int, Address]:
    """Read a row of CLUSTER SLOTS. An empty host stands for the node that was asked."""
    first, last, primary, *_ = row
    return int(first), int(last), (str(primary[0] or asked), int(primary[1]))


def _pairs(flat: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _members(shard: Mapping[str, Any], *, tls: bool) -> Iterator[Member]:
    """Read a shard of CLUSTER SHARDS, which unlike CLUSTER SLOTS tells of replicas that hold no data yet."""
    for node in map(_pairs, shard["nodes"]):
        port = node.get("tls-port" if tls else "port")
        if port and node["health"] != "fail":
            serves = node["role"] == "master" and bool(shard["slots"])
            yield Member((str(node["endpoint"]), int(port)), serves=serves)


class _SlotPool(redis.ConnectionPool):
    """Lends connections of whichever node serves one slot. The nodes' pools own and bound them."""

    def __init__(self, nodes: ClusterNodes, slot: int, like: redis.ConnectionPool) -> None:
        super().__init__(like.connection_class, **like.connection_kwargs)
        self._nodes, self._slot = nodes, slot
        self._lent: dict[AbstractConnection, redis.BlockingConnectionPool] = {}

    async def get_connection(self, *_: Any, **__: Any) -> AbstractConnection:
        """Borrow a connection of the node that serves the slot."""
        pool = await self._nodes.serving(self._slot)
        try:
            connection: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        except (RedisConnectionError, RedisTimeoutError):
            self._nodes.doubt()
            raise
        self._lent[connection] = pool
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Give a connection back to its node's pool."""
        await self._lent.pop(connection).release(connection)

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Do nothing: other runs use the same connections."""


def slot_client(nodes: ClusterNodes, key: str, seed: Address) -> redis.Redis:
    """Make a client for all keys of the slot that `key` lies in. Nothing is sent yet."""
    return redis.Redis(connection_pool=_SlotPool(nodes, key_slot(key.encode()), nodes.pool(seed)))

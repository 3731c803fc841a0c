"""A client of one slot of a Redis Cluster: all keys of a run lie in one slot, so one node serves a run.

The client is an ordinary one whose connections come from the node that serves the slot just now. When a node
says that a slot has moved, or does not answer, the map of slots is read again before the next try. A command
that met a move has done nothing, so its caller tries again as after any lost connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis.asyncio as redis
from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from swarmrun.queue.redis_connection import Access, make_pool
from swarmrun.queue.redis_url import Address

#: Nodes that are asked for the map before giving up.
_MOST_ASKED: Final = 16


class ClusterNodes:
    """A cluster's map of slots, and a pool of connections to each node."""

    def __init__(self, seeds: Sequence[Address], options: Mapping[str, Any], access: Access) -> None:
        self._seeds, self._options, self._access = tuple(seeds), options, access
        self._pools: dict[Address, redis.BlockingConnectionPool] = {}
        #: (first slot, last slot, primary, replicas)
        self._ranges: tuple[tuple[int, int, Address, tuple[Address, ...]], ...] = ()
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
        for first, last, primary, _ in self._ranges:
            if first <= slot <= last:
                return self.pool(primary)
        self.doubt()
        raise RedisConnectionError(f"no node of the cluster serves slot {slot}")

    async def members(self) -> tuple[tuple[Address, ...], tuple[Address, ...]]:
        """Return the addresses of primaries and of replicas, read anew.

        Raises:
            ConnectionError: no node answers.
        """
        self.doubt()
        await self._know()
        primaries = dict.fromkeys(primary for _, _, primary, _ in self._ranges)
        replicas = dict.fromkeys(replica for *_, found in self._ranges for replica in found)
        return tuple(primaries), tuple(replicas)

    async def _know(self) -> None:
        async with self._reading:
            if self._doubted:
                await self._read()
                self._doubted = False

    async def _read(self) -> None:
        """Ask one node after the other for the map."""
        known = dict.fromkeys(
            address for _, _, primary, others in self._ranges for address in (primary, *others)
        )
        errors = []
        for address in [*known, *self._seeds][:_MOST_ASKED]:
            client = redis.Redis(connection_pool=self.pool(address))
            try:
                # In two words, so that redis-py leaves the answer as it came.
                rows = await client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            except (RedisError, OSError) as error:
                errors.append(f"{address[0]}:{address[1]}: {error}")
                continue
            if rows:
                self._ranges = tuple(_range(row, address[0]) for row in rows)
                return
            errors.append(f"{address[0]}:{address[1]}: knows no slots")
        raise RedisConnectionError(f"no node of the cluster answers: {'; '.join(errors)[:500]}")

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            await pool.aclose()


def _range(row: Sequence[Any], asked: str) -> tuple[int, int, Address, tuple[Address, ...]]:
    """Read one row of CLUSTER SLOTS. An empty host stands for the node that was asked."""
    first, last, *nodes = row
    primary, *replicas = [(str(node[0] or asked), int(node[1])) for node in nodes]
    return int(first), int(last), primary, tuple(replicas)


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

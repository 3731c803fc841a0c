"""The store of all queues as the operator uses it: one connection, a queue per run, logins per run."""

from __future__ import annotations

from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from swarm_operator.manifests.build import RunTokens
from swarm_operator.observed import QueueView
from swarmrun.core.errors import Retryable
from swarmrun.queue.admin import ensure_user, remove_users
from swarmrun.queue.keys import Keys
from swarmrun.queue.port import QueueAdmin
from swarmrun.queue.redis import RedisQueue

#: What the store's client raises when the store is away or busy.
STORE_ERRORS = (Retryable, RedisError, OSError, TimeoutError)


class Stores(Protocol):
    """What the operator asks of the store."""

    def queue(self, uid: str) -> QueueAdmin:
        """Return a run's queue."""

    async def observe(self, uid: str) -> QueueView:
        """Look at a run's queue; an unreachable store is a fact, not an error."""

    async def ensure_users(self, uid: str, tokens: RunTokens) -> None:
        """Create the run's logins, or set their passwords again."""

    async def remove_users(self, uid: str) -> None:
        """Remove the run's logins; their connections end."""


class RedisStores:
    """The store on Redis or Valkey."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def queue(self, uid: str) -> QueueAdmin:
        """Return a run's queue."""
        return RedisQueue(self._client, uid)

    async def observe(self, uid: str) -> QueueView:
        """Look at a run's queue. Another server than the one it was opened on counts as lost."""
        try:
            epoch, server = await self._client.hmget(Keys(uid)["run"], ["epoch", "generation"])
            if epoch is None:
                return QueueView()
            info = await self._client.info("server")
            if str(info["run_id"]) != server:
                return QueueView()
            return QueueView(epoch=int(epoch), snapshot=await self.queue(uid).snapshot())
        except STORE_ERRORS as error:
            return QueueView(error=f"{type(error).__name__}: {error}"[:200])

    async def ensure_users(self, uid: str, tokens: RunTokens) -> None:
        """Create the run's logins, or set their passwords again."""
        await ensure_user(self._client, uid, "hub", tokens.hub_redis)
        await ensure_user(self._client, uid, "merger", tokens.merger_redis)

    async def remove_users(self, uid: str) -> None:
        """Remove the run's logins; their connections end."""
        await remove_users(self._client, uid)

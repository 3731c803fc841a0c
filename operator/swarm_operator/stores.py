"""The store of all queues as the operator uses it: a queue per run, logins per run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from redis.exceptions import RedisError

from swarm_operator.manifests.build import RunTokens
from swarm_operator.observed import QueueView
from swarmrun.core.errors import Retryable
from swarmrun.queue.admin import Role, ensure_users, is_ours, known_uids, remove_users_everywhere
from swarmrun.queue.keys import Keys
from swarmrun.queue.port import QueueAdmin
from swarmrun.queue.redis import RedisQueue
from swarmrun.queue.redis_store import Store

#: What the store's client raises when the store is away or busy.
STORE_ERRORS = (Retryable, RedisError, OSError, TimeoutError)


class Stores(Protocol):
    """What the operator asks of the store."""

    def queue(self, uid: str) -> QueueAdmin:
        """Return a run's queue."""

    async def observe(self, uid: str, *, audit: bool = False) -> QueueView:
        """Look at a run's queue, with its auditor if asked; an unreachable store is a fact, not an error."""

    async def ensure_users(self, uid: str, tokens: RunTokens) -> None:
        """Create the run's logins, or set their passwords again."""

    async def remove_users(self, uid: str) -> None:
        """Remove the run's logins; their connections end."""

    async def with_users(self) -> frozenset[str]:
        """List the runs that have a login, of whatever installation."""

    async def made_by(self, uid: str, tokens: RunTokens) -> bool:
        """Tell whether these tokens are the passwords of the run's logins."""


class RedisStores:
    """The store on Redis or Valkey."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def queue(self, uid: str) -> QueueAdmin:
        """Return a run's queue."""
        return RedisQueue(self._store.run(uid), uid)

    async def observe(self, uid: str, *, audit: bool = False) -> QueueView:
        """Look at a run's queue. Another server than the one it was opened on counts as lost."""
        try:
            client = self._store.run(uid)
            epoch, server = await client.hmget(Keys(uid)["run"], ["epoch", "generation"])
            if epoch is None:
                return QueueView()
            info = await client.info("server")
            if str(info["run_id"]) != server:
                return QueueView()
            queue = self.queue(uid)
            found = await queue.audit() if audit else None
            return QueueView(epoch=int(epoch), snapshot=await queue.snapshot(), audit=found)
        except STORE_ERRORS as error:
            return QueueView(error=f"{type(error).__name__}: {error}"[:200])

    async def ensure_users(self, uid: str, tokens: RunTokens) -> None:
        """Create the run's logins, or set their passwords again."""
        await ensure_users(self._store, uid, _passwords(tokens))

    async def remove_users(self, uid: str) -> None:
        """Remove the run's logins; their connections end."""
        await remove_users_everywhere(self._store, uid)

    async def with_users(self) -> frozenset[str]:
        """List the runs that have a login, of whatever installation."""
        return await known_uids(self._store)

    async def made_by(self, uid: str, tokens: RunTokens) -> bool:
        """Tell whether these tokens are the passwords of the run's logins."""
        return await is_ours(self._store, uid, _passwords(tokens))


def _passwords(tokens: RunTokens) -> Mapping[Role, str]:
    return {Role.HUB: tokens.hub_redis, Role.MERGER: tokens.merger_redis}

"""The queue on Redis (≥ 7.0) or Valkey: the connection, and `RedisQueue` put together from its three sides.

Promises rest on three facts. Every transition is one script, so there is no state between two states. Every
script receives all its keys, so a run lives in one slot. Time is the server's, so no clock of a pod matters.
"""

from __future__ import annotations

import redis.asyncio as redis

from swarmrun.queue.redis_admin import RedisAdmin
from swarmrun.queue.redis_connection import Access, make_pool
from swarmrun.queue.redis_merge import RedisMerge
from swarmrun.queue.redis_url import Kind, parse_location
from swarmrun.queue.redis_work import RedisWork


def connect(url: str, username: str | None = None, password: str | None = None) -> redis.Redis:
    """Make a client of one server, for a `redis://`, `rediss://` or `unix://` URL. Nothing is sent yet.

    Processes use `redis_store.open_store`, which knows Sentinels and clusters, too. The URL carries no
    credentials; they come from files.

    Raises:
        ValueError: the URL is malformed, or leads to more than one server.
    """
    location = parse_location(url)
    if location.kind is not Kind.SINGLE:
        raise ValueError(f"a client of one server was asked for, the URL names a {location.kind}")
    pool = make_pool(location.options, Access(username=username or "", password=password or ""))
    return redis.Redis.from_pool(pool)


class RedisQueue(RedisAdmin, RedisWork, RedisMerge):
    """One run's queue; implements `QueueAdmin`, `WorkQueue` and `MergeQueue`.

    `client` comes from `connect` or from a store's `run`; its user decides which side really works. Errors:
    `QueueUnavailable` when Redis does not answer, `Invalid` for input that breaks a rule.
    """

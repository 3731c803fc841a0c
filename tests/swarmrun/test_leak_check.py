"""The check that runs after every test sees what `purge` would leave, and leaves nothing to the next test."""

from __future__ import annotations

import pytest
import redis.asyncio as redis

from redis_server import RedisServer, leaks, redis_server
from swarmrun.queue import admin
from swarmrun.queue.redis import RedisQueue, connect

__all__ = ["redis_server"]

pytestmark = pytest.mark.redis


async def test_a_run_that_is_purged_whole_is_no_leak(redis_server: RedisServer) -> None:
    client = connect(redis_server.url)
    await RedisQueue(client, "whole").open(1)
    await admin.ensure_user(client, "whole", "hub", "secret")
    assert leaks(redis_server.url) == []
    assert await client.dbsize() == 0
    await client.aclose()


@pytest.mark.parametrize("key", ["swr:{run}:undeclared", "swr:nobody's", "other"])
async def test_a_key_that_no_run_declares_is_a_leak(redis_server: RedisServer, key: str) -> None:
    client = connect(redis_server.url)
    await client.set(key, "x")
    assert leaks(redis_server.url) == [key]
    assert leaks(redis_server.url) == []
    await client.aclose()


async def test_a_login_of_no_role_is_a_leak(redis_server: RedisServer) -> None:
    client: redis.Redis = connect(redis_server.url)
    await client.acl_setuser("swr-run-agent", enabled=True)
    assert leaks(redis_server.url) == ["swr-run-agent"]
    await client.acl_deluser("swr-run-agent")
    await client.aclose()

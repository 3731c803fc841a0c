"""The fixture that every contract test runs on, once per backend."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from contract.worlds import MemoryWorld, RedisWorld, World
from redis_server import RedisServer, redis_server
from swarmrun.queue import admin
from swarmrun.queue.redis import connect

__all__ = ["redis_server"]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A run that is not open yet; on Redis it leaves no key behind, or the test fails."""
    if request.param == "memory":
        yield MemoryWorld()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    uid = str(uuid.uuid4())
    root = connect(server.url)
    logins = {}
    for role in admin.Role:
        await admin.ensure_user(root, uid, role, f"secret-{role}")
        logins[role] = connect(server.url, admin.user_name(uid, role), f"secret-{role}")
    redis_world = RedisWorld(root, logins[admin.Role.HUB], logins[admin.Role.MERGER], uid)
    yield redis_world
    await redis_world.admin.purge()
    leaked = await redis_world.leaked()
    await admin.remove_users(root, uid)
    for client in (root, *logins.values()):
        await client.aclose()
    assert leaked == []

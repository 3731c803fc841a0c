"""The fixture that every contract test runs on, once per backend."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Final

import pytest

from contract.worlds import MemoryWorld, RedisWorld, World
from redis_server import redis_server, valkey_server
from redis_topologies import redis_cluster
from swarmrun.queue import admin
from swarmrun.queue.redis_connection import Access
from swarmrun.queue.redis_store import Store, open_store

__all__ = ["redis_cluster", "redis_server", "valkey_server"]

#: Fixture of each kind of store.
STORES: Final = {"redis": "redis_server", "valkey": "valkey_server", "cluster": "redis_cluster"}
PARAMS: Final = [
    "memory",
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("valkey", marks=pytest.mark.redis),
    # Started once: its tests stay in one process.
    pytest.param("cluster", marks=[pytest.mark.redis, pytest.mark.xdist_group("cluster")]),
]


@pytest.fixture(params=PARAMS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A run that is not open yet; on Redis it leaves no key and no login behind, or the test fails."""
    if request.param == "memory":
        yield MemoryWorld()
        return
    url = request.getfixturevalue(STORES[request.param]).url
    uid = str(uuid.uuid4())
    passwords = {role: f"secret-{role}" for role in admin.Role}
    root = open_store(url)
    await admin.ensure_users(root, uid, passwords)
    logins: dict[admin.Role, Store] = {
        role: open_store(url, Access(admin.user_name(uid, role), password))
        for role, password in passwords.items()
    }
    hub, merger = (logins[role].run(uid) for role in (admin.Role.HUB, admin.Role.MERGER))
    redis_world = RedisWorld(root.run(uid), hub, merger, uid)
    yield redis_world
    await redis_world.admin.purge()
    leaked = await redis_world.leaked()
    await admin.remove_users_everywhere(root, uid)
    leaked += sorted(await admin.known_uids(root) & {uid})
    for store in (root, *logins.values()):
        await store.aclose()
    assert leaked == []

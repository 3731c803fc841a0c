"""Logins of runs: written again when a server forgot them, and removed when their run vanished."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from operator_support import actions, look, started_run
from redis_server import RedisServer, lasting_server
from swarm_operator.decision import EnsureUsers
from swarm_operator.leftovers import Leftovers
from swarm_operator.manifests.build import RunTokens
from swarm_operator.stores import RedisStores
from swarmrun.core.derive import derive
from swarmrun.queue import admin
from swarmrun.queue.redis_store import Store, open_store

__all__ = ["lasting_server"]

pytestmark = pytest.mark.redis

OURS, THEIRS = b"o" * 32, b"t" * 32


def tokens_of(key: bytes, uid: str) -> RunTokens:
    return RunTokens(agent="a", hub_redis=derive(key, uid, "hub"), merger_redis=derive(key, uid, "merger"))


def ours(uid: str) -> RunTokens:
    return tokens_of(OURS, uid)


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[Store]:
    store = open_store(server.url)
    yield store
    await store.aclose()


async def test_a_restart_without_an_acl_file_is_seen_and_the_logins_are_written_again(
    server: RedisServer, store: Store
) -> None:
    stores = RedisStores(store)
    await stores.ensure_users("run", ours("run"))
    await stores.queue("run").open(1)
    server.kill()
    server.start()
    # The connection died with the server.
    assert (await stores.observe("run")).error
    assert await admin.known_uids(store) == frozenset()
    # The data is there, but another server speaks: the epoch rises, and with it come the logins.
    seen = await stores.observe("run")
    assert (seen.epoch, seen.error) == (None, "")
    decision = look(started_run(), queue=seen, raised=1)
    assert actions(decision, EnsureUsers)
    await stores.ensure_users("run", ours("run"))
    assert await admin.known_uids(store) == {"run"}


async def test_only_what_this_installation_left_is_removed(store: Store) -> None:
    stores = RedisStores(store)
    for uid, key in (("alive", OURS), ("gone", OURS), ("another-s", THEIRS)):
        await stores.ensure_users(uid, tokens_of(key, uid))
        await stores.queue(uid).open(1)

    async def alive() -> frozenset[str]:
        return frozenset({"alive"})

    leftovers = Leftovers(stores, ours)
    assert await leftovers.clean(alive) == 1
    assert await admin.known_uids(store) == {"alive", "another-s"}
    keys: list[Any] = await store.run("x").keys("swr:*")
    assert keys
    assert not any("gone" in key for key in keys)
    assert await leftovers.clean(alive) == 0


async def test_a_store_that_is_away_stops_no_sweep(server: RedisServer, store: Store) -> None:
    server.kill()

    async def alive() -> frozenset[str]:
        raise AssertionError("nobody needs to be asked")

    assert await Leftovers(RedisStores(store), ours).clean(alive) == 0

"""Logins of a run: what they may do, and that they are on every server, and gone with the run."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis
from redis.exceptions import NoPermissionError

from redis_server import RedisServer, redis_server
from swarmrun.queue import admin
from swarmrun.queue.admin import Role
from swarmrun.queue.redis import RedisQueue, connect
from swarmrun.queue.rules import QueueUnavailable

__all__ = ["redis_server"]

pytestmark = pytest.mark.redis


@pytest.fixture
def uid() -> str:
    return str(uuid.uuid4())


@pytest.fixture
async def root(redis_server: RedisServer) -> AsyncIterator[redis.Redis]:
    client = connect(redis_server.url)
    yield client
    await client.aclose()


async def test_a_login_is_written_once_and_corrected_when_it_differs(root: redis.Redis, uid: str) -> None:
    assert await admin.ensure_user(root, uid, Role.HUB, "one")
    assert not await admin.ensure_user(root, uid, "hub", "one")
    assert await admin.ensure_user(root, uid, Role.HUB, "two")
    await root.acl_setuser(admin.user_name(uid, Role.HUB), enabled=True, keys=["*"])
    assert await admin.ensure_user(root, uid, Role.HUB, "two")
    assert not await admin.ensure_user(root, uid, Role.HUB, "two")
    await admin.remove_users(root, uid)


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("SCAN", "0"),
        ("GET", "swr:{other}:run"),
        ("HGET", "swr:{other}:run", "epoch"),
        ("EVAL", "return redis.call('HGET', KEYS[1], 'epoch')", "1", "swr:{other}:run"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
        ("SUBSCRIBE", "anything"),
        ("ACL", "SETUSER", "default", "on"),
        ("SCRIPT", "FLUSH"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("CLUSTER", "RESET"),
        ("SHUTDOWN",),
        ("REPLICAOF", "NO", "ONE"),
        ("MIGRATE", "127.0.0.1", "1", "swr:{other}:run", "0", "1"),
        ("BLPOP", "swr:{other}:wake", "1"),
        ("EVAL", "return redis.call('ACL', 'LIST')", "0"),
        ("EVAL", "return redis.call('HGET', 'swr:{other}:run', 'epoch')", "0"),
    ],
)
async def test_a_login_reaches_its_own_run_only(
    redis_server: RedisServer, root: redis.Redis, uid: str, command: tuple[str, ...]
) -> None:
    await admin.ensure_user(root, uid, Role.MERGER, "secret")
    client = connect(redis_server.url, admin.user_name(uid, Role.MERGER), "secret")
    # From within a script the refusal arrives as the script's error.
    refusal = r"(?i)permission|can't (access|run)|not allowed"
    with pytest.raises((NoPermissionError, redis.ResponseError), match=refusal):
        await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    await client.aclose()
    await admin.remove_users(root, uid)


async def test_a_removed_login_is_refused_and_asks_to_try_again(
    redis_server: RedisServer, root: redis.Redis, uid: str
) -> None:
    await admin.ensure_user(root, uid, Role.HUB, "secret")
    client = connect(redis_server.url, admin.user_name(uid, Role.HUB), "secret")
    queue = RedisQueue(client, uid)
    await queue.totals()
    assert await admin.remove_users(root, uid) == 1
    with pytest.raises(QueueUnavailable):
        await queue.totals()
    await client.aclose()


@pytest.mark.parametrize("bad", ["", "a*", "a}b", "x" * 65, "a b"])
def test_a_uid_cannot_widen_a_pattern(bad: str) -> None:
    with pytest.raises(ValueError, match="uid must be"):
        admin.user_name(bad, Role.HUB)

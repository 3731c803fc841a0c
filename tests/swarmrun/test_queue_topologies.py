"""The queue on a cluster and behind Sentinels: moving slots, dying primaries, logins on every server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from redis.crc import key_slot
from redis.exceptions import NoPermissionError

from contract.swarm import change, claimed, landed, opened, state, task
from redis_topologies import Cluster, Process, Watched, free_ports, redis_cluster, redis_watched
from swarmrun.core.task import Reply, TaskState
from swarmrun.queue import admin
from swarmrun.queue.redis import RedisQueue
from swarmrun.queue.redis_connection import Access
from swarmrun.queue.redis_server import server_problems
from swarmrun.queue.redis_store import Store, open_store
from swarmrun.queue.rules import QueueUnavailable

__all__ = ["redis_cluster", "redis_watched"]

# One cluster serves all its tests, one after the other.
pytestmark = [pytest.mark.redis, pytest.mark.xdist_group("cluster")]

T = TypeVar("T")
PASSWORDS = {role: f"secret-{role}" for role in admin.Role}
TRIES = 5_000


class Swarm:
    """One queue in all three roles, as the operator logs in."""

    def __init__(self, store: Store, uid: str) -> None:
        self.uid, self.store = uid, store
        self.admin = self.work = self.merge = RedisQueue(store.run(uid), uid)


@pytest.fixture
async def cluster(redis_cluster: Cluster) -> AsyncIterator[Store]:
    store = open_store(redis_cluster.url)
    yield store
    await store.aclose()


@pytest.fixture
async def watched(redis_watched: Watched) -> AsyncIterator[Store]:
    store = open_store(redis_watched.url)
    yield store
    await store.aclose()


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeat a call, as all callers do, until the store answers."""
    for _ in range(TRIES):
        try:
            return await call()
        except QueueUnavailable:
            await asyncio.sleep(0)
    raise AssertionError("the store never came back")


def slot_of(uid: str) -> int:
    return int(key_slot(f"swr:{{{uid}}}:".encode()))


def uid_on(cluster: Cluster, number: int) -> str:
    """Make up a run that the cluster's node of this number serves."""
    share = 16384 // 3 + 1
    while True:
        uid = str(uuid.uuid4())
        if slot_of(uid) // share == number:
            return uid


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_a_run_lives_on_one_node_and_wakes_its_waiters(
    redis_cluster: Cluster, cluster: Store, number: int
) -> None:
    swarm = Swarm(cluster, uid_on(redis_cluster, number))
    await opened(swarm)
    waiting = asyncio.create_task(swarm.merge.submissions(limit=1, timeout_seconds=20))
    await swarm.admin.enqueue([task("a")], plan_hash="h", max_attempts=3, landed={})
    assert await swarm.work.submit((await claimed(swarm)).lease, change()) is Reply.OK
    assert [submission.task.id for submission in await waiting] == ["a"]
    assert [bool(node.do("DBSIZE")) for node in redis_cluster.primaries] == [n == number for n in range(3)]
    assert await swarm.admin.purge()
    assert not any(node.do("DBSIZE") for node in redis_cluster.primaries)


async def test_a_run_goes_on_when_its_slot_moves(redis_cluster: Cluster, cluster: Store) -> None:
    swarm = Swarm(cluster, uid_on(redis_cluster, 1))
    await opened(swarm, task("a"), task("b"))
    lease = (await claimed(swarm)).lease
    before = await swarm.admin.generation()
    merger = asyncio.create_task(insist(lambda: swarm.merge.submissions(limit=1, timeout_seconds=20)))
    _, source, target = redis_cluster.primaries
    await asyncio.to_thread(redis_cluster.move, slot_of(swarm.uid), source, target)
    assert await insist(lambda: swarm.work.submit(lease, change())) is Reply.OK
    assert [submission.task.id for submission in await merger] == ["a"]
    assert target.do("DBSIZE")
    # Another server speaks, so the operator raises the epoch; needlessly here, but it cannot know.
    after = await swarm.admin.generation()
    assert before is not None
    assert after is not None
    assert (before[0] != after[0], before[1]) == (True, after[1])
    await swarm.admin.purge()
    await asyncio.to_thread(redis_cluster.move, slot_of(swarm.uid), target, source)


async def test_logins_are_on_every_node_and_a_run_s_login_reaches_its_run(
    redis_cluster: Cluster, cluster: Store
) -> None:
    uid, other = (uid_on(redis_cluster, number) for number in (0, 2))
    for run in (uid, other):
        await admin.ensure_users(cluster, run, PASSWORDS)
    names = {admin.user_name(uid, role) for role in admin.Role}
    assert all(names <= set(node.do("ACL", "USERS")) for node in redis_cluster.nodes)
    login = open_store(redis_cluster.url, Access(admin.user_name(uid, "hub"), PASSWORDS[admin.Role.HUB]))
    await RedisQueue(login.run(uid), uid).totals()
    with pytest.raises(NoPermissionError):
        await RedisQueue(login.run(other), other).totals()
    await login.aclose()
    assert {uid, other} <= await admin.known_uids(cluster)
    for run in (uid, other):
        await admin.remove_users_everywhere(cluster, run)
    assert not {uid, other} & await admin.known_uids(cluster)
    assert all(node.do("ACL", "USERS") == ["default"] for node in redis_cluster.nodes)


async def test_a_run_goes_on_when_its_node_dies(redis_cluster: Cluster, cluster: Store) -> None:
    swarm = Swarm(cluster, uid_on(redis_cluster, 0))
    await admin.ensure_users(cluster, swarm.uid, PASSWORDS)
    await opened(swarm, task("a"))
    hub = open_store(redis_cluster.url, Access(admin.user_name(swarm.uid, "hub"), PASSWORDS[admin.Role.HUB]))
    work = RedisQueue(hub.run(swarm.uid), swarm.uid)
    lease = (await claimed(swarm)).lease
    primary, replica = redis_cluster.nodes[0], redis_cluster.nodes[3]
    await _replicated(primary, swarm.uid)
    primary.kill()
    try:
        # The hub's login is there before the operator has looked again.
        assert await insist(lambda: work.submit(lease, change())) is Reply.OK
        await insist(lambda: landed(swarm))
        assert await state(swarm, "a") is TaskState.COMPLETED
        await swarm.admin.purge()
    finally:
        primary.start()
        await asyncio.to_thread(redis_cluster.give_back, primary, replica)
        await hub.aclose()
    # The node came back without the login; the next visit writes it again.
    assert not _logins(primary)
    await admin.ensure_users(cluster, swarm.uid, PASSWORDS)
    assert len(_logins(primary)) == len(admin.Role)
    await admin.remove_users_everywhere(cluster, swarm.uid)


def _logins(node: Process) -> set[str]:
    return set(node.do("ACL", "USERS")) - {"default"}


async def _replicated(primary: Process, uid: str) -> None:
    """Have the replica know all; what it does not know a failover loses, which the epoch is for."""

    def wait() -> int:
        # WAIT speaks of the writes of its own connection, so there must be one, after all others.
        with primary.client.client() as connection:  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            connection.set(f"mark:{{{uid}}}", 1)  # in the slot of the run
            return int(connection.wait(1, 5_000))

    assert await asyncio.to_thread(wait) == 1


async def test_the_queue_goes_on_with_the_primary_that_the_sentinels_choose(
    redis_watched: Watched, watched: Store
) -> None:
    swarm = Swarm(watched, str(uuid.uuid4()))
    await admin.ensure_users(watched, swarm.uid, PASSWORDS)
    await opened(swarm, task("a"))
    lease = (await claimed(swarm)).lease
    before = await swarm.admin.generation()
    hub = open_store(redis_watched.url, Access(admin.user_name(swarm.uid, "hub"), PASSWORDS[admin.Role.HUB]))
    work = RedisQueue(hub.run(swarm.uid), swarm.uid)
    await work.totals()
    await _replicated(redis_watched.primary, swarm.uid)
    redis_watched.primary.kill()
    assert await insist(lambda: work.submit(lease, change())) is Reply.OK
    after = await insist(swarm.admin.generation)
    assert before is not None
    assert after is not None
    assert (before[0] != after[0], before[1]) == (True, after[1])
    await swarm.admin.open(2)
    assert await swarm.admin.generation() == (after[0], 2)
    await hub.aclose()


async def test_a_primary_that_became_a_replica_is_left(redis_watched: Watched, watched: Store) -> None:
    swarm = Swarm(watched, str(uuid.uuid4()))
    await opened(swarm, task("a"))
    await _replicated(redis_watched.primary, swarm.uid)
    primary, replica = redis_watched.primary, redis_watched.replica
    # An orderly failover: the old primary stays up. Seconds later a Sentinel does this to it; here at once.
    await asyncio.to_thread(redis_watched.fail_over)
    primary.do("REPLICAOF", "127.0.0.1", replica.port)
    primary.do("CLIENT", "KILL", "TYPE", "normal")
    await insist(lambda: swarm.admin.open(2))
    await swarm.merge.mark_landed({}, epoch=2)
    lease = (await insist(lambda: claimed(swarm))).lease
    assert await swarm.work.heartbeat(lease) is Reply.OK
    assert replica.client.info("replication")["role"] == "master"


async def test_a_server_that_turns_into_a_replica_is_left_alone_and_asked_again(tmp_path: Path) -> None:
    server = Process(tmp_path, free_ports(1)[0])
    server.start()
    store = open_store(f"redis://127.0.0.1:{server.port}")
    swarm = Swarm(store, str(uuid.uuid4()))
    await opened(swarm, task("a"))
    lease = (await claimed(swarm)).lease
    server.do("REPLICAOF", "127.0.0.1", 1)
    with pytest.raises(QueueUnavailable, match="ReadOnlyError"):
        await swarm.work.submit(lease, change())
    assert server.client.info("clients")["connected_clients"] == 1
    server.do("REPLICAOF", "NO", "ONE")
    assert await swarm.work.submit(lease, change()) is Reply.OK
    await store.aclose()
    server.close()


async def test_every_server_is_judged_and_a_replica_is_no_fault(
    cluster: Store, watched: Store, redis_watched: Watched
) -> None:
    assert await server_problems(cluster) == ()
    assert await server_problems(watched) == ()
    redis_watched.replica.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    (problem,) = await server_problems(watched)
    assert problem.startswith(f"127.0.0.1:{redis_watched.replica.port}: redis.maxmemory-policy: must be noev")
    assert await server_problems(watched, allow_unsafe=True) == ()
    by_replica = open_store(f"redis://127.0.0.1:{redis_watched.replica.port}")
    problems = await server_problems(by_replica, allow_unsafe=True)
    assert [problem.split(": ")[1] for problem in problems] == ["redis.role"]
    await by_replica.aclose()


async def test_a_plain_url_to_a_node_of_a_cluster_is_refused(redis_cluster: Cluster) -> None:
    store = open_store(f"redis://127.0.0.1:{redis_cluster.nodes[0].port}")
    (problem,) = await server_problems(store)
    assert "use redis+cluster://" in problem
    await store.aclose()


async def test_sentinels_that_do_not_answer_are_said_to_be_unavailable() -> None:
    store = open_store("redis+sentinel://127.0.0.1:1/mymaster")
    with pytest.raises(QueueUnavailable, match="No master found for 'mymaster'"):
        await RedisQueue(store.run("uid"), "uid").totals()
    await store.aclose()

"""Which servers are refused at the start, and what is said of them."""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as sync_redis

from contract.swarm import change, claimed, landed, opened, task
from redis_server import RedisServer, valkey_binary
from swarmrun.core.task import Reply
from swarmrun.queue import admin
from swarmrun.queue.redis import RedisQueue
from swarmrun.queue.redis_connection import Access
from swarmrun.queue.redis_server import ServerFacts, Weight, judge_server, server_problems
from swarmrun.queue.redis_store import Store, open_store

GUIDE = Path(__file__).resolve().parents[2] / "docs/guides/redis.md"


@pytest.mark.parametrize(
    ("facts", "weights"),
    [
        (ServerFacts("7.0.15"), {}),
        (ServerFacts("8.2.0", maxmemory_policy=None, aof=None, appendfsync=None), {}),
        (ServerFacts("10.0.0"), {}),
        (ServerFacts("6.2.14"), {"redis.version": Weight.FATAL}),
        (ServerFacts(""), {"redis.version": Weight.FATAL}),
        (ServerFacts("7.0.15", role="slave"), {"redis.role": Weight.FATAL}),
        (ServerFacts("7.0.15", cluster=True), {"redis.cluster-enabled": Weight.FATAL}),
        (ServerFacts("7.0.15", scripts_refused="no permission"), {"redis.EVAL": Weight.FATAL}),
        (ServerFacts("7.0.15", logins_refused="no permission"), {"redis.ACL": Weight.FATAL}),
        (ServerFacts("7.0.15", maxmemory_policy="allkeys-lru"), {"redis.maxmemory-policy": Weight.UNSAFE}),
        (ServerFacts("7.0.15", aof=False, appendfsync="everysec"), {"redis.appendonly": Weight.UNSAFE}),
        (ServerFacts("7.0.15", appendfsync="everysec"), {"redis.appendfsync": Weight.WARNING}),
        (ServerFacts("7.0.15", appendfsync="no"), {"redis.appendfsync": Weight.WARNING}),
    ],
)
def test_a_server_is_judged_by_what_it_says(facts: ServerFacts, weights: dict[str, Weight]) -> None:
    assert {finding.problem.path: finding.weight for finding in judge_server(facts)} == weights


def test_a_replica_and_a_cluster_are_no_fault_where_they_are_expected() -> None:
    assert judge_server(ServerFacts("7.0.15", role="slave"), primary=False) == ()
    assert judge_server(ServerFacts("7.0.15", cluster=True), clustered=True) == ()


class Fit:
    """A server that is fit until a test spoils it."""

    def __init__(self, folder: Path, binary: str) -> None:
        self.server = RedisServer(folder, "--appendonly", "yes", "--appendfsync", "always", binary=binary)
        self.server.start()
        self.root = sync_redis.Redis.from_url(self.server.url, decode_responses=True)

    def log_in_as(self, *rules: str) -> Store:
        """Make a user of these rules."""
        self.root.execute_command("ACL", "SETUSER", "tester", "reset", "on", ">secret", *rules)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        return open_store(self.server.url, Access("tester", "secret"))

    def close(self) -> None:
        self.root.acl_deluser("tester")
        self.root.close()
        self.server.stop()


@pytest.fixture(params=["redis", "valkey"])
def fit(request: pytest.FixtureRequest) -> Iterator[Fit]:
    with tempfile.TemporaryDirectory(prefix="swr-") as folder:
        server = Fit(Path(folder), valkey_binary() if request.param == "valkey" else "")
        yield server
        server.close()


async def paths(store: Store, *, allow_unsafe: bool = False) -> list[str]:
    found = [line.split(": ")[1] for line in await server_problems(store, allow_unsafe=allow_unsafe)]
    await store.aclose()
    return found


@pytest.mark.redis
async def test_real_servers_are_fit_as_the_chart_sets_them_up(fit: Fit) -> None:
    assert await paths(open_store(fit.server.url)) == []


@pytest.mark.redis
async def test_a_server_that_evicts_or_forgets_is_refused_unless_that_is_allowed(fit: Fit) -> None:
    fit.root.config_set("maxmemory-policy", "volatile-lru")
    fit.root.config_set("appendonly", "no")
    refused = ["redis.maxmemory-policy", "redis.appendonly"]
    assert await paths(open_store(fit.server.url)) == refused
    assert await paths(open_store(fit.server.url), allow_unsafe=True) == []
    # Managed servers refuse CONFIG; INFO tells it all the same.
    assert await paths(fit.log_in_as("~*", "+@all", "-config")) == refused


@pytest.mark.redis
async def test_what_only_costs_the_last_second_is_logged(fit: Fit, caplog: pytest.LogCaptureFixture) -> None:
    fit.root.config_set("appendfsync", "everysec")
    assert await paths(open_store(fit.server.url)) == []
    (record,) = caplog.records
    assert "redis.appendfsync: should be always" in record.__dict__["problem"]


@pytest.mark.redis
@pytest.mark.parametrize(
    ("rules", "path"),
    [(["~*", "+@all", "-eval"], "redis.EVAL"), (["~*", "+@all", "-acl"], "redis.ACL")],
)
async def test_a_login_that_lacks_a_right_is_refused(fit: Fit, rules: list[str], path: str) -> None:
    assert await paths(fit.log_in_as(*rules), allow_unsafe=True) == [path]


@pytest.mark.redis
async def test_the_guide_s_login_is_enough_for_the_operator(fit: Fit) -> None:
    """Its rules are read from the guide, so that they cannot part."""
    found = re.search(r"^user swarmrun on >PASSWORD (.*)$", GUIDE.read_text(), re.MULTILINE)
    assert found is not None
    store = fit.log_in_as(*found[1].split())
    assert await server_problems(store) == ()
    uid = str(uuid.uuid4())
    passwords = dict.fromkeys(admin.Role, "secret")
    await admin.ensure_users(store, uid, passwords)
    assert await admin.is_ours(store, uid, passwords)
    assert not await admin.is_ours(store, uid, dict.fromkeys(admin.Role, "another's"))
    swarm = _Swarm(store, uid)
    await opened(swarm, task("a"))
    assert await swarm.work.submit((await claimed(swarm)).lease, change()) is Reply.OK
    await landed(swarm)
    await swarm.admin.snapshot()
    assert await swarm.admin.generation() is not None
    await swarm.admin.reap()
    await swarm.admin.purge()
    await admin.remove_users_everywhere(store, uid)
    await store.aclose()


class _Swarm:
    def __init__(self, store: Store, uid: str) -> None:
        self.admin = self.work = self.merge = RedisQueue(store.run(uid), uid)

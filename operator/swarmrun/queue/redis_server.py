"""Whether a Redis server is fit to hold money and promises: gather what it says of itself, then judge.

Managed servers often refuse CONFIG, so INFO is asked for all that it tells.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, cast

import redis.asyncio as redis
from redis.exceptions import NoPermissionError, ResponseError

from swarmrun.core.errors import Problem
from swarmrun.queue.redis_errors import unavailable
from swarmrun.queue.redis_store import Store
from swarmrun.queue.rules import QueueUnavailable

logger = logging.getLogger(__name__)

#: Functions of ACL, INFO and scripts that we rely on came with it.
OLDEST: Final = (7, 0)
_VERSION: Final = re.compile(r"^(\d+)\.(\d+)")


class Weight(Enum):
    """What a finding means for the start."""

    #: Nothing would work, whatever is allowed.
    FATAL = auto()
    #: Work may be lost. Refused, unless unsafe servers are allowed.
    UNSAFE = auto()
    #: A short while of acknowledged work may be lost. Said, not refused.
    WARNING = auto()


@dataclass(frozen=True)
class ServerFacts:
    """What a Redis server says of itself. None: it would not say."""

    version: str
    maxmemory_policy: str | None = "noeviction"
    aof: bool | None = True
    #: always, everysec or no. Only CONFIG tells it.
    appendfsync: str | None = "always"
    role: str = "master"
    cluster: bool = False
    #: Why scripts or logins are refused; empty: they are not.
    scripts_refused: str = ""
    logins_refused: str = ""


@dataclass(frozen=True)
class Finding:
    """One fault of a server."""

    weight: Weight
    problem: Problem


async def gather_facts(client: redis.Redis) -> ServerFacts:
    """Ask the server.

    Raises:
        QueueUnavailable: Redis does not answer.
        NoPermissionError: not even INFO is allowed.
    """
    with unavailable("info"):
        info = cast("Mapping[str, Any]", await client.info("everything"))
        fsync = await _setting(client, "appendfsync")
        scripts = await _refusal(client, "EVAL", "return 1", 0)
        logins = await _refusal(client, "ACL", "USERS")
    return ServerFacts(
        version=str(info.get("redis_version", "")),
        maxmemory_policy=str(info["maxmemory_policy"]) if "maxmemory_policy" in info else None,
        aof=bool(info["aof_enabled"]) if "aof_enabled" in info else None,
        appendfsync=fsync,
        role=str(info.get("role", "master")),
        cluster=bool(info.get("cluster_enabled", 0)),
        scripts_refused=scripts,
        logins_refused=logins,
    )


async def _setting(client: redis.Redis, name: str) -> str | None:
    try:
        found = await client.config_get(name)
    except ResponseError:
        return None
    return found.get(name)


async def _refusal(client: redis.Redis, *command: str | int) -> str:
    try:
        await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    except (NoPermissionError, ResponseError) as error:
        return str(error) or type(error).__name__
    return ""


def judge_server(facts: ServerFacts, *, primary: bool = True, clustered: bool = False) -> tuple[Finding, ...]:
    """Decide what makes a server unfit. Pure."""
    return (*_capable(facts, primary=primary, clustered=clustered), *_durable(facts))


def _capable(facts: ServerFacts, *, primary: bool, clustered: bool) -> list[Finding]:
    found = []
    match = _VERSION.match(facts.version)
    if match is None or (int(match[1]), int(match[2])) < OLDEST:
        rule = f"must be at least {OLDEST[0]}.{OLDEST[1]}"
        fix = "run Redis 7.0 or newer, or Valkey"
        found.append(_fatal("redis.version", facts.version or "unknown", rule, fix))
    if primary and facts.role != "master":
        rule = "must be a primary: a replica refuses writes"
        fix = "let the URL lead to the primary, or use redis+sentinel:// so that it is always found"
        found.append(_fatal("redis.role", facts.role, rule, fix))
    if facts.cluster and not clustered:
        rule = "must be off behind this URL: other nodes hold most keys"
        found.append(_fatal("redis.cluster-enabled", "yes", rule, "use redis+cluster://HOST:PORT,…"))
    if facts.scripts_refused:
        rule = "must be allowed on keys swr:*: every step of the queue is one script"
        fix = "grant the operator's user +@scripting ~swr:*; docs/guides/redis.md has the whole list"
        found.append(_fatal("redis.EVAL", facts.scripts_refused, rule, fix))
    if facts.logins_refused:
        rule = "must be allowed: each run gets logins of its own"
        fix = "grant the operator's user +acl; docs/guides/redis.md has the whole list"
        found.append(_fatal("redis.ACL", facts.logins_refused, rule, fix))
    return found


def _durable(facts: ServerFacts) -> list[Finding]:
    found = []
    if facts.maxmemory_policy not in {None, "noeviction"}:
        problem = Problem(
            path="redis.maxmemory-policy",
            value=str(facts.maxmemory_policy),
            rule="must be noeviction, or tasks and money vanish when memory is short",
            fix="CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
        )
        found.append(Finding(Weight.UNSAFE, problem))
    if facts.aof is False:
        problem = Problem(
            path="redis.appendonly",
            value="no",
            rule="must be yes, or a restart loses the queue",
            fix="CONFIG SET appendonly yes and appendfsync always, and the same in redis.conf",
        )
        found.append(Finding(Weight.UNSAFE, problem))
    if facts.aof and facts.appendfsync not in {None, "always"}:
        problem = Problem(
            path="redis.appendfsync",
            value=str(facts.appendfsync),
            rule="should be always, or a crash loses the last second of acknowledged work",
            fix="CONFIG SET appendfsync always, and the same in redis.conf",
        )
        found.append(Finding(Weight.WARNING, problem))
    return found


def _fatal(path: str, value: str, rule: str, fix: str) -> Finding:
    return Finding(Weight.FATAL, Problem(path=path, value=value, rule=rule, fix=fix))


async def server_problems(store: Store, *, allow_unsafe: bool = False) -> tuple[str, ...]:
    """List why the store must not be used, by server; log what is only unwise. Replicas may take over.

    Raises:
        QueueUnavailable: a primary does not answer.
    """
    refused = []
    nodes = await store.nodes()
    for node in nodes:
        try:
            facts = await gather_facts(node.client)
        except QueueUnavailable as error:
            if node.primary:
                raise
            logger.warning(
                "a replica does not answer", extra={"server": node.name, "error": str(error)[:300]}
            )
            continue
        for finding in judge_server(facts, primary=node.primary, clustered=store.clustered):
            if finding.weight is Weight.FATAL or (finding.weight is Weight.UNSAFE and not allow_unsafe):
                refused.append(f"{node.name}: {finding.problem}")
            else:
                logger.warning(
                    "the store is not safe", extra={"server": node.name, "problem": str(finding.problem)}
                )
    return tuple(refused)

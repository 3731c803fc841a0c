"""What the operator does to the Redis server itself: one login per run and role, and a look at its fitness.

A run's login may touch its own keys only, by the commands its scripts use. That a login may run any script
over its keys is accepted: agents have none, only hub and merger do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

import redis.asyncio as redis

from swarmrun.core.errors import Problem
from swarmrun.queue.keys import prefix
from swarmrun.queue.redis_errors import unavailable

#: What scripts and reads of one run need, and the manners of a connection. No admin, no dangerous command.
COMMANDS: Final = (
    "auth",
    "blpop",
    "del",
    "eval",
    "evalsha",
    "exec",
    "hdel",
    "hello",
    "hexists",
    "hget",
    "hgetall",
    "hincrby",
    "hmget",
    "hset",
    "hsetnx",
    "ltrim",
    "multi",
    "ping",
    "rpush",
    "select",
    "time",
    "xadd",
    "zadd",
    "zrange",
    "zrangebyscore",
    "zrem",
    "zscore",
)
OLDEST: Final = (7, 0)
_VERSION: Final = re.compile(r"^(\d+)\.(\d+)")


class Role(StrEnum):
    """The processes of a run that log in to Redis."""

    HUB = "hub"
    MERGER = "merger"


def user_name(uid: str, role: Role | str) -> str:
    """Give the login's name, e.g. `swr-<uid>-hub`.

    Raises:
        ValueError: `uid` or `role` is malformed.
    """
    prefix(uid)
    return f"swr-{uid}-{Role(role)}"


async def ensure_user(client: redis.Redis, uid: str, role: Role | str, password: str) -> bool:
    """Create or correct a run's login; writes only on a difference. Returns whether it wrote.

    Servers without an ACL file forget logins at a restart, so call this on every visit.

    Raises:
        QueueUnavailable: Redis does not answer.
    """
    name = user_name(uid, role)
    digest = hashlib.sha256(password.encode()).hexdigest()
    with unavailable(f"login {role}"):
        found = await _acl(client, "GETUSER", name)
        if found is not None and _fits(_pairs(found), digest, uid):
            return False
        grants = [f"+{command}" for command in COMMANDS]
        rules = ["reset", "on", f"#{digest}", f"~{prefix(uid)}*", "-@all", *grants]
        await _acl(client, "SETUSER", name, *rules)
    return True


async def remove_users(client: redis.Redis, uid: str) -> int:
    """Delete a run's logins; their open connections are cut. Returns how many there were.

    Raises:
        QueueUnavailable: Redis does not answer.
    """
    with unavailable("removing logins"):
        return int(await _acl(client, "DELUSER", *(user_name(uid, role) for role in Role)))


async def _acl(client: redis.Redis, action: str, *args: str) -> Any:
    # In two words, so that redis-py does not reshape the answer by its own idea of "ACL GETUSER".
    return await client.execute_command("ACL", action, *args)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


def _pairs(answer: Any) -> dict[str, Any]:
    if isinstance(answer, Mapping):
        return {str(key): value for key, value in answer.items()}
    return dict(zip(answer[::2], answer[1::2], strict=True))


def _fits(user: Mapping[str, Any], digest: str, uid: str) -> bool:
    """Tell whether a login is exactly what we would write."""
    keys = user.get("keys", "")
    patterns = keys.split() if isinstance(keys, str) else list(keys)
    commands = user.get("commands", "")
    granted = {word for word in str(commands).split() if word != "-@all"}
    return (
        "on" in user.get("flags", ())
        and "nopass" not in user.get("flags", ())
        and list(user.get("passwords", ())) == [digest]
        and patterns == [f"~{prefix(uid)}*"]
        and not user.get("channels")
        and not user.get("selectors")
        and granted == {f"+{command}" for command in COMMANDS}
    )


@dataclass(frozen=True)
class ServerFacts:
    """What a Redis server says of itself. None: it would not say."""

    version: str
    maxmemory_policy: str | None
    maxmemory: int = 0


async def gather_facts(client: redis.Redis) -> ServerFacts:
    """Ask the server by INFO; managed servers refuse CONFIG.

    Raises:
        QueueUnavailable: Redis does not answer.
    """
    with unavailable("info"):
        info = cast("Mapping[str, Any]", await client.info())
    return ServerFacts(
        version=str(info.get("redis_version", "")),
        maxmemory_policy=str(info["maxmemory_policy"]) if "maxmemory_policy" in info else None,
        maxmemory=int(info.get("maxmemory", 0)),
    )


def judge_server(facts: ServerFacts) -> tuple[Problem, ...]:
    """Decide what makes a server unfit. Pure."""
    problems = []
    if facts.maxmemory_policy not in {None, "noeviction"}:
        problems.append(
            Problem(
                path="redis.maxmemory-policy",
                value=str(facts.maxmemory_policy),
                rule="must be noeviction, or tasks vanish when memory is short",
                fix="CONFIG SET maxmemory-policy noeviction",
            )
        )
    match = _VERSION.match(facts.version)
    if match is None or (int(match[1]), int(match[2])) < OLDEST:
        problems.append(
            Problem(
                path="redis.version",
                value=facts.version or "unknown",
                rule=f"must be at least {OLDEST[0]}.{OLDEST[1]}",
                fix="run Redis 7.0 or newer, or Valkey",
            )
        )
    return tuple(problems)


async def server_problems(client: redis.Redis) -> tuple[Problem, ...]:
    """List what makes the server unfit; empty when all is well."""
    return judge_server(await gather_facts(client))

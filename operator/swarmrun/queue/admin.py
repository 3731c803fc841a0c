"""Logins of a run at the store: one per role, created and removed with the run.

A run's login may touch its own keys only, by the commands its scripts use. That a login may run any script
over its keys is accepted: agents have none, only hub and merger do. Logins are no data: servers without an
ACL file forget them at a restart, and no replica is told of them. So they are written on every node, and
looked at again on every visit.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import redis.asyncio as redis

from swarmrun.queue.keys import prefix
from swarmrun.queue.redis_errors import unavailable
from swarmrun.queue.redis_store import Node, Store
from swarmrun.queue.rules import QueueUnavailable

logger = logging.getLogger(__name__)

#: What scripts and reads of one run need, and the manners of a connection: its password, its server's role,
#: the map of a cluster. Nothing that administers a server, lists keys or reaches beyond the run's own.
COMMANDS: Final = (
    "auth",
    "blpop",
    "cluster|slots",
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
    "info",
    "ltrim",
    "multi",
    "ping",
    "role",
    "rpush",
    "select",
    "time",
    "xadd",
    "zcard",
    "zadd",
    "zrange",
    "zrangebyscore",
    "zrem",
    "zscore",
)
_NAME: Final = re.compile(r"swr-(?P<uid>[A-Za-z0-9-]{1,64})-(?P<role>hub|merger)")


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
    digest = _digest(password)
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


async def ensure_users(store: Store, uid: str, passwords: Mapping[Role, str]) -> None:
    """Create or correct a run's logins on every server.

    Raises:
        QueueUnavailable: a primary does not answer. A replica that does not is left for the next visit.
    """

    async def ensure(node: Node) -> None:
        for role, password in passwords.items():
            await ensure_user(node.client, uid, role, password)

    await _everywhere(await store.nodes(), ensure)


async def remove_users_everywhere(store: Store, uid: str) -> None:
    """Delete a run's logins on every server.

    Raises:
        QueueUnavailable: a primary does not answer. What stays on a replica is found by `is_ours`.
    """

    async def remove(node: Node) -> None:
        await remove_users(node.client, uid)

    await _everywhere(await store.nodes(), remove)


async def known_uids(store: Store) -> frozenset[str]:
    """List the runs that have a login anywhere, of whatever installation.

    Raises:
        QueueUnavailable: a primary does not answer.
    """
    found: set[str] = set()

    async def collect(node: Node) -> None:
        with unavailable("listing logins"):
            names = await _acl(node.client, "USERS")
        found.update(match["uid"] for name in names if (match := _NAME.fullmatch(str(name))))

    await _everywhere(await store.nodes(), collect)
    return frozenset(found)


async def is_ours(store: Store, uid: str, passwords: Mapping[Role, str]) -> bool:
    """Tell whether a run's logins were made by this installation: only it can derive their passwords.

    Several installations may share a store, so a login of an unknown run may be another's.

    Raises:
        QueueUnavailable: a primary does not answer.
    """
    ours: list[bool] = []

    async def compare(node: Node) -> None:
        for role, password in passwords.items():
            with unavailable("reading a login"):
                found = await _acl(node.client, "GETUSER", user_name(uid, role))
            if found is not None:
                ours.append(list(_pairs(found).get("passwords", ())) == [_digest(password)])

    await _everywhere(await store.nodes(), compare)
    return bool(ours) and all(ours)


async def _everywhere(nodes: Sequence[Node], step: Callable[[Node], Awaitable[None]]) -> None:
    """Do something on all servers at once; replicas that do not answer are passed over."""
    outcomes = await asyncio.gather(*(step(node) for node in nodes), return_exceptions=True)
    for node, outcome in zip(nodes, outcomes, strict=True):
        if not isinstance(outcome, BaseException):
            continue
        if node.primary or not isinstance(outcome, QueueUnavailable):
            raise outcome
        logger.warning("a replica does not answer", extra={"server": node.name, "error": str(outcome)[:300]})


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


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

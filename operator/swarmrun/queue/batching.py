"""Calls scripts; those that come while others are under way travel together.

A hub serves a thousand agents over one event loop. One round trip per call would spend the loop on sockets,
and the server on preparing scripts; so what has gathered since the last write leaves in one piece, the calls
of one script as rows of one execution. Each row is a transition of its own, answered by itself; every call
may be repeated by token or call id.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import hiredis
import redis.asyncio as redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

#: Batches under way at a time; the next one fills meanwhile.
_UNDER_WAY: Final = 2
#: Calls of one batch; bounds the time until its first caller goes on.
_LONGEST: Final = 128
#: Rows of one execution, during which the server does nothing else: about two milliseconds.
_ROWS: Final = 32
#: Arguments of a row; longer ones have an execution of their own.
_SHORT: Final = 12
#: As an argument: the run id of the very server process that executes the script.
SERVER: Final = "$server"


@dataclass(frozen=True)
class Script:
    """A whole script, its SHA-1 by which the server knows it, and the names of its keys in order."""

    text: str
    sha: str
    keys: tuple[str, ...]


class _Call(NamedTuple):
    script: Script
    keys: Sequence[str]
    args: Sequence[str | int]
    answer: asyncio.Future[Any]


class _Execution(NamedTuple):
    """Calls of one script with equally many arguments."""

    calls: list[_Call]

    def command(self, server: str, *, whole: bool = False) -> tuple[str | int, ...]:
        script, keys, first, _ = self.calls[0]
        rows = (server if arg is SERVER else arg for call in self.calls for arg in call.args)
        head = ("EVAL", script.text) if whole else ("EVALSHA", script.sha)
        return (*head, len(keys), *keys, len(first), *rows)

    def settle(self, reply: Any) -> None:
        """Give every caller its row of the reply, or the error."""
        if isinstance(reply, list) and len(reply) == len(self.calls):
            answers = reply
        elif isinstance(reply, BaseException):
            answers = [reply] * len(self.calls)
        else:
            answers = [ResponseError("the script did not answer once for each row")] * len(self.calls)
        for call, answer in zip(self.calls, answers, strict=True):
            if call.answer.done():
                continue
            if isinstance(answer, BaseException):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)


def _executions(calls: Iterable[_Call]) -> list[_Execution]:
    """Put calls together that may share an execution, as many as its bound allows."""
    found: list[_Execution] = []
    filling: dict[tuple[str, int], _Execution] = {}
    for call in calls:
        kind = (call.script.sha, len(call.args))
        execution = filling.get(kind)
        if execution is None or len(execution.calls) == _ROWS or len(call.args) > _SHORT:
            execution = filling[kind] = _Execution([])
            found.append(execution)
        execution.calls.append(call)
    return found


class Caller:
    """Runs scripts on one client. Errors of the client and of the script reach the caller of that script."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._waiting: deque[_Call] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._senders = 0

    async def call(self, script: Script, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """Run a script and return its answer.

        Raises:
            RedisError: the connection failed, with unknown effect, or the script did.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(script, keys, args, answer))
        if self._senders < _UNDER_WAY:
            self._senders += 1
            sender = asyncio.create_task(self._send())
            self._under_way.add(sender)
            sender.add_done_callback(self._under_way.discard)
        return await answer

    async def _send(self) -> None:
        """Send what waits, until nothing does."""
        try:
            while self._waiting:
                calls = [self._waiting.popleft() for _ in range(min(_LONGEST, len(self._waiting)))]
                await self._answer(calls)
        finally:
            # Not when the task is seen to be done: a call in between would find no room and no sender.
            self._senders -= 1

    async def _answer(self, calls: Sequence[_Call]) -> None:
        executions = _executions(calls)
        replies: Sequence[Any]
        try:
            replies = await self._exchange(executions)
        except asyncio.CancelledError:
            for call in calls:
                call.answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001 — it belongs to those who wait
            replies = [error] * len(executions)
        for execution, reply in zip(executions, replies, strict=True):
            execution.settle(reply)

    async def _exchange(self, executions: Sequence[_Execution]) -> list[Any]:
        pool = self._client.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        try:
            return await _replies_to(connection, executions)
        except BaseException:
            # Replies may still be on their way; nobody else may read them.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)


async def _replies_to(connection: AbstractConnection, executions: Sequence[_Execution]) -> list[Any]:
    """Execute scripts by name; those that the server has forgotten by their whole text."""
    server = str(getattr(connection, "run_id", ""))
    replies = await _replies(connection, [execution.command(server) for execution in executions])
    unknown = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if unknown:
        whole = [executions[at].command(server, whole=True) for at in unknown]
        for at, reply in zip(unknown, await _replies(connection, whole), strict=True):
            replies[at] = reply
    return replies


async def _replies(connection: AbstractConnection, commands: list[tuple[str | int, ...]]) -> list[Any]:
    # redis-py's own packing, in Python, would take most of a busy hub's time.
    packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]  # its stub allows one word only
    await connection.send_packed_command(b"".join(packed))
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(await connection.read_response())
        except ResponseError as error:
            replies.append(error)
    return replies

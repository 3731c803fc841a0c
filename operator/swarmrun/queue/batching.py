"""Calls scripts; those that come while others are under way travel together.

A hub serves a thousand agents over one event loop. One round trip per call would spend the loop on sockets;
so what has gathered since the last write leaves in one piece, without a transaction: every script is atomic
by itself, and every call may be repeated by token or call id.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import hiredis
import redis.asyncio as redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

#: Batches under way at a time; the next one fills meanwhile.
_UNDER_WAY: Final = 2
#: Calls of one batch; bounds the time until its first caller goes on.
_LONGEST: Final = 128
#: As an argument: the run id of the very server process that executes the script.
SERVER: Final = "$server"


class ScriptLike(Protocol):
    """A script's text and the SHA-1 by which the server knows it."""

    @property
    def text(self) -> str:
        """The whole text."""

    @property
    def sha(self) -> str:
        """Hexadecimal SHA-1 of the text."""


class _Call(NamedTuple):
    script: ScriptLike
    keys: Sequence[str]
    args: Sequence[str | int]
    answer: asyncio.Future[Any]

    def command(self, server: str, *, whole: bool = False) -> tuple[str | int, ...]:
        args = [server if arg is SERVER else arg for arg in self.args]
        head = ("EVAL", self.script.text) if whole else ("EVALSHA", self.script.sha)
        return (*head, len(self.keys), *self.keys, *args)


class Caller:
    """Runs scripts on one client. Errors of the client and of the script reach the caller of that script."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._waiting: deque[_Call] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._senders = 0

    async def call(self, script: ScriptLike, keys: Sequence[str], args: Sequence[str | int]) -> Any:
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
        answers: list[Any]
        try:
            answers = await self._exchange(calls)
        except asyncio.CancelledError:
            for call in calls:
                call.answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001 — it belongs to those who wait
            answers = [error] * len(calls)
        for call, answer in zip(calls, answers, strict=True):
            if call.answer.done():
                continue
            if isinstance(answer, Exception):
                call.answer.set_exception(answer)
            else:
                call.answer.set_result(answer)

    async def _exchange(self, calls: Sequence[_Call]) -> list[Any]:
        pool = self._client.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        try:
            return await _answers(connection, calls)
        except BaseException:
            # Replies may still be on their way; nobody else may read them.
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)


async def _answers(connection: AbstractConnection, calls: Sequence[_Call]) -> list[Any]:
    """Run the scripts by name; those that the server has forgotten by their whole text."""
    server = str(getattr(connection, "run_id", ""))
    answers = await _replies(connection, [call.command(server) for call in calls])
    unknown = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        whole = [calls[at].command(server, whole=True) for at in unknown]
        for at, answer in zip(unknown, await _replies(connection, whole), strict=True):
            answers[at] = answer
    return answers


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

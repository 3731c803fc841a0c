"""Calls scripts; those that come while others are under way travel together.

A hub serves a thousand agents over one event loop. One round trip per call would spend the loop on sockets;
so what has gathered since the last write leaves as one pipeline, without a transaction: every script is
atomic by itself, and every call may be repeated by token or call id.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import redis.asyncio as redis
from redis.exceptions import NoScriptError

#: Pipelines under way at a time; the next one fills meanwhile.
_UNDER_WAY: Final = 2
#: Calls of one pipeline; bounds the answer that one read has to hold.
_LONGEST: Final = 128


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


class Caller:
    """Runs scripts on one client. Errors of the client and of the script reach the caller of that script."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._waiting: deque[_Call] = deque()
        self._senders: set[asyncio.Task[None]] = set()

    async def call(self, script: ScriptLike, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        """Run a script and return its answer.

        Raises:
            RedisError: the connection failed, with unknown effect, or the script did.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(script, keys, args, answer))
        if len(self._senders) < _UNDER_WAY:
            sender = asyncio.create_task(self._send())
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await answer

    async def _send(self) -> None:
        """Send what waits, until nothing does."""
        while self._waiting:
            calls = [self._waiting.popleft() for _ in range(min(_LONGEST, len(self._waiting)))]
            try:
                answers = await self._answers(calls)
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

    async def _answers(self, calls: Sequence[_Call]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.evalsha(call.script.sha, len(call.keys), *call.keys, *call.args)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
        for position, (call, answer) in enumerate(zip(calls, answers, strict=True)):
            if isinstance(answer, NoScriptError):
                answers[position] = await self._evaluated(call)
        return answers

    async def _evaluated(self, call: _Call) -> Any:
        try:
            return await self._client.eval(call.script.text, len(call.keys), *call.keys, *call.args)
        except redis.RedisError as error:
            return error

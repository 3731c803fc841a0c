"""The loop of an agent: claim, work under a living lease, report; until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from swarm_agent.backoff import Backoff, wait
from swarm_agent.errors import (
    AttemptFailedError,
    GiveBackError,
    HubRefusedError,
    HubUnavailable,
    LeaseLostError,
)
from swarm_agent.health import Pulse
from swarm_agent.hub import HubClient
from swarmrun.core.errors import Retryable
from swarmrun.core.task import ChangeSet, Failure, FailureKind, Lease, Reply
from swarmrun.queue.port import Claimed
from swarmrun.runconfig import ClaimResponse

_LOG: Final = logging.getLogger("swarm_agent")
_CLAIM_WAIT: Final = 20.0
#: An empty answer faster than this was no long poll; come back no sooner.
_MIN_TURN: Final = 1.0
_DRAIN_SECONDS: Final = 8.0


class Works(Protocol):
    """An attempt that is ready to run."""

    async def run(self) -> ChangeSet:
        """Work until there is a change set; raises what `swarm_agent.errors` lists."""


class Worker:
    """`begin` makes the attempt for a claim. Nothing that an attempt does or raises ends the loop."""

    def __init__(
        self,
        hub: HubClient,
        pod: str,
        begin: Callable[[ClaimResponse], Works],
        pulse: Pulse,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self._hub, self._pod, self._begin, self._pulse = hub, pod, begin, pulse
        self._backoff = backoff or Backoff(base=0.5, cap=10.0)
        self._given_back = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; the current claim is then given back."""
        stopped = asyncio.ensure_future(stop.wait())
        failures = 0
        try:
            while not stop.is_set():
                self._pulse.beat()
                try:
                    response = await self._claim(stopped)
                except (HubUnavailable, HubRefusedError) as error:
                    failures += 1
                    _LOG.warning("no claim", extra={"error": str(error)[:500], "failures": failures})
                    await wait(stop, self._backoff.delay(failures))
                    continue
                failures = 0
                if response is not None and response.claimed is not None:
                    await self._serve(response, response.claimed, stop)
        finally:
            stopped.cancel()

    async def _claim(self, stopped: asyncio.Future[Any]) -> ClaimResponse | None:
        """Poll once; None when told to stop meanwhile."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        poll = asyncio.ensure_future(self._hub.claim(self._pod, _CLAIM_WAIT))
        try:
            await asyncio.wait({poll, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not poll.done():
                return None
            response = poll.result()
            if response.claimed is None and (early := begin + _MIN_TURN - loop.time()) > 0:
                await asyncio.wait({stopped}, timeout=early)
            return response
        finally:
            await _cancelled(poll)

    async def _serve(self, response: ClaimResponse, claimed: Claimed, stop: asyncio.Event) -> None:
        """Work on a claim to its report, its loss, or the stop."""
        lease = claimed.lease
        fields = {"task": lease.task_id, "attempt": lease.attempt, "agent": lease.agent}
        _LOG.info("claimed", extra={**fields, "type": claimed.task.type.value, "model": response.model})
        work = asyncio.ensure_future(self._attempt(response, lease, fields))
        beats = asyncio.ensure_future(self._keep_alive(lease))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({work, beats, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                if work.result():
                    await wait(stop, Backoff(base=1.0, cap=30.0).delay(self._given_back))
            elif beats.done():
                _LOG.warning("lease lost", extra=fields)
            else:
                await _cancelled(work)
                await self._drain(lease, fields)
        finally:
            for task in (work, beats, stopped):
                await _cancelled(task)

    async def _keep_alive(self, lease: Lease) -> None:
        """Prolong the lease three times per its length; returns when it is lost."""
        while True:
            await asyncio.sleep(lease.ttl_seconds / 3)
            self._pulse.beat()
            try:
                if await self._hub.heartbeat(lease) is Reply.STALE:
                    return
            except HubUnavailable:
                continue  # the next one may come through; if the lease ends meanwhile, its token tells
            except HubRefusedError:
                return

    async def _attempt(self, response: ClaimResponse, lease: Lease, fields: dict[str, Any]) -> bool:
        """Make the attempt and report; True asks for a pause before the next claim."""
        pause = False
        try:
            report = await self._outcome(response, lease, fields)
            if report is None:
                return False
            pause = report.pause
            self._given_back = self._given_back + 1 if pause else 0
            reply = await report.send()
        except HubRefusedError as error:
            _LOG.error("report refused", extra={**fields, "error": str(error)[:500]})
            failure = Failure(kind=FailureKind.FORMAT, message=f"the change set was refused: {error}"[:1000])
            with contextlib.suppress(HubRefusedError, HubUnavailable):
                await self._hub.fail(lease, failure)
            return False
        except HubUnavailable as error:
            _LOG.warning("report undeliverable", extra={**fields, "error": str(error)[:500]})
            return pause
        if reply is Reply.STALE:
            _LOG.warning("report stale", extra=fields)
        return pause

    async def _outcome(self, response: ClaimResponse, lease: Lease, fields: dict[str, Any]) -> _Report | None:
        """Run the attempt and decide what the queue is to be told; None means nothing."""
        hub = self._hub
        try:
            change_set = await self._begin(response).run()
        except LeaseLostError:
            _LOG.warning("lease lost", extra=fields)
            return None
        except AttemptFailedError as error:
            failure = error.failure
            _LOG.info("attempt failed", extra={**fields, "kind": failure.kind.value, "step": failure.step})
            return _Report(lambda: hub.fail(lease, failure))
        except (GiveBackError, Retryable) as error:
            reason = str(error)[:500]
            _LOG.warning("claim given back", extra={**fields, "reason": reason})
            return _Report(lambda: hub.release(lease, reason), pause=True)
        except Exception as error:  # noqa: BLE001 — whatever breaks here must not end the agent
            # Our own fault, so no attempt is spent; the type is enough for the queue.
            _LOG.exception("attempt broke", extra=fields)
            reason = f"the worker broke: {type(error).__name__}"
            return _Report(lambda: hub.release(lease, reason), pause=True)
        _LOG.info("submitting", extra={**fields, "files": len(change_set.edits)})
        return _Report(lambda: hub.submit(lease, change_set))

    async def _drain(self, lease: Lease, fields: dict[str, Any]) -> None:
        _LOG.info("claim given back", extra={**fields, "reason": "draining"})
        with contextlib.suppress(HubUnavailable, HubRefusedError, TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._hub.release(lease, "draining", seconds=_DRAIN_SECONDS)


class _Report:
    """What to tell the queue, and whether to pause afterwards."""

    def __init__(self, send: Callable[[], Awaitable[Reply]], *, pause: bool = False) -> None:
        self.send, self.pause = send, pause


async def _cancelled(task: asyncio.Future[Any]) -> None:
    """Cancel a task and see it end."""
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task

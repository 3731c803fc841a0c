"""Asks until there is an answer or no time. Trouble on the way spends no attempt of the task."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from swarm_agent.backoff import Backoff
from swarm_agent.errors import AttemptFailedError, GiveBackError, ModelUnavailable
from swarm_agent.model.base import Answer, Model, Request
from swarmrun.core.task import FailureKind

MAX_CALLS: Final = 40


@dataclass(frozen=True, slots=True)
class PatientModel:
    """A model whose 429, 5xx and broken connections are waited out."""

    model: Model
    backoff: Backoff = field(default_factory=lambda: Backoff(base=1.0, cap=60.0))

    async def ask(self, request: Request, *, deadline: float) -> Answer:
        """Return the answer; `deadline` is a time of the running loop.

        Raises:
            GiveBackError: the model stayed unavailable.
            AttemptFailedError: it works, but its answer took too long (TIMEOUT), or it refused (MODEL).
            LeaseLostError: the lease is stale.
        """
        loop = asyncio.get_running_loop()
        trouble: ModelUnavailable | None = None
        for failures in range(1, MAX_CALLS + 1):
            try:
                async with asyncio.timeout_at(deadline):
                    return await self.model.complete(request)
            except TimeoutError:
                if trouble is None:
                    raise AttemptFailedError(
                        FailureKind.TIMEOUT, "the model's answer took too long"
                    ) from None
                break
            except ModelUnavailable as error:
                trouble = error
            asked = trouble.retry_after
            delay = self.backoff.delay(failures) if asked is None else self.backoff.asked(asked)
            if loop.time() + delay >= deadline:
                break
            await asyncio.sleep(delay)
        raise GiveBackError(f"the model is not available: {trouble}")

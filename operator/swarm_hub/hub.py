"""Wiring of one hub: everything but sockets, signals and the environment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from swarm_hub.admission import PATIENCE_SECONDS, Admission
from swarm_hub.app import build_api, build_metrics
from swarm_hub.background import Background
from swarm_hub.claims import Claims
from swarm_hub.dialects import dialect_for
from swarm_hub.gateway import ModelGateway
from swarm_hub.health import ProviderHealth
from swarm_hub.ledger import HOLD_SECONDS, Ledger
from swarm_hub.metrics import HubMetrics
from swarm_hub.queue_api import QueueApi
from swarm_hub.routes import FALLBACK, FIRST, LOOK_AGAIN_SECONDS, Timing, routes_of
from swarm_hub.upstream import SILENCE_SECONDS
from swarmrun.prices import unpriced_models
from swarmrun.queue.port import WorkQueue
from swarmrun.runconfig import RunConfig

#: No model call lasts longer, whatever the task's own timeout is.
_LONGEST_CALL: Final = 600


class Hub:
    """One run's hub. Build it inside the running loop; `close` it when the servers have stopped."""

    def __init__(
        self,
        config: RunConfig,
        queue: WorkQueue,
        *,
        agent_token: str,
        provider_key: str,
        fallback_key: str = "",
        now: Callable[[], float],
        patience_seconds: float = PATIENCE_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
        hold_seconds: int = HOLD_SECONDS,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
    ) -> None:
        deadline = min(config.task_timeout_seconds, _LONGEST_CALL)
        dialect = dialect_for(config.provider.type)
        self._config, self._now = config, now
        self._background = Background()
        self.metrics = HubMetrics(config.namespace, config.name, config.provider.type)
        self.claims = Claims(queue, self._background, ttl_seconds=config.lease_seconds)
        self.routes = routes_of(
            config.provider,
            {FIRST: provider_key, FALLBACK: fallback_key},
            dialect=dialect,
            signal=queue.signal,
            background=self._background,
            now=now,
            timing=Timing(
                deadline_seconds=deadline,
                silence_seconds=silence_seconds,
                patience_seconds=patience_seconds,
                look_again_seconds=look_again_seconds,
            ),
        )
        admission = Admission(queue, self._background, patience_seconds=patience_seconds)
        gateway = ModelGateway(
            config,
            dialect,
            agent_token=agent_token,
            ledger=Ledger(queue, admission, self.metrics, self._background, hold_seconds=hold_seconds),
            routes=self.routes,
            metrics=self.metrics,
            types=self.claims.types,
            deadline_seconds=deadline,
        )
        self.api: web.Application = build_api(
            queue=queue,
            queue_api=QueueApi(config, queue, self.claims),
            gateway=gateway,
            dialect=dialect,
            claims=self.claims,
            metrics=self.metrics,
            agent_token=agent_token,
        )
        self.metrics_app: web.Application = build_metrics(queue, self.metrics)

    @property
    def health(self) -> ProviderHealth:
        """The verdict on the first credential."""
        return self.routes[0].health

    def begin(self) -> None:
        """Report the provider's state as far as it can be told without a call."""
        at = datetime.fromtimestamp(self._now(), UTC)
        missing = unpriced_models(self._config.models.models(), self._config.provider, at=at)
        if missing:
            names = ", ".join(missing)
            self.health.report_unpriced(
                f"the price of {names} is unknown; declare it under spec.provider.prices "
                "(0 is allowed for a local model), or name another model"
            )
            return
        unusable = [route for route in self.routes if route.refuse_unusable_key()]
        if self.routes[0] not in unusable:
            self.health.begin()

    async def close(self, timeout_seconds: float) -> None:
        """Finish what is under way: settlements, claims to give back."""
        await self._background.drain(timeout_seconds)
        for route in self.routes:
            await route.upstream.close()

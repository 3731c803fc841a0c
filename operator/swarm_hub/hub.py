"""Wiring of one hub: everything but sockets, signals and the environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from swarm_hub.admission import PATIENCE_SECONDS, Admission
from swarm_hub.app import build_api, build_metrics
from swarm_hub.background import Background
from swarm_hub.claims import Claims
from swarm_hub.dialects import dialect_for
from swarm_hub.gateway import ModelGateway
from swarm_hub.health import ProviderHealth, Refusal
from swarm_hub.ledger import HOLD_SECONDS, Ledger
from swarm_hub.metrics import HubMetrics
from swarm_hub.pace import Pace
from swarm_hub.prices import PriceBook
from swarm_hub.queue_api import QueueApi
from swarm_hub.upstream import SILENCE_SECONDS, Upstream
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
        now: Callable[[], float],
        patience_seconds: float = PATIENCE_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
        hold_seconds: int = HOLD_SECONDS,
    ) -> None:
        deadline = min(config.task_timeout_seconds, _LONGEST_CALL)
        dialect = dialect_for(config.provider.type)
        self._config, self._key = config, provider_key
        self._background = Background()
        self.metrics = HubMetrics(config.namespace, config.name, config.provider.type)
        self.claims = Claims(queue, self._background, ttl_seconds=config.lease_seconds)
        self.health = ProviderHealth(queue.signal, self._background, provider_key)
        self._prices = PriceBook(config, now)
        self._upstream = Upstream(
            dialect,
            config.provider.base_url,
            provider_key,
            deadline_seconds=deadline,
            silence_seconds=silence_seconds,
        )
        admission = Admission(queue, self._background, patience_seconds=patience_seconds)
        gateway = ModelGateway(
            config,
            dialect,
            agent_token=agent_token,
            prices=self._prices,
            ledger=Ledger(queue, admission, self.metrics, self._background, hold_seconds=hold_seconds),
            upstream=self._upstream,
            health=self.health,
            pace=Pace(now, patience_seconds=patience_seconds),
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

    def begin(self) -> None:
        """Report the provider's state as far as it can be told without a call."""
        missing = self._prices.missing()
        if missing:
            names = ", ".join(missing)
            self.health.report_unpriced(
                f"the price of {names} is unknown; declare it under spec.provider.prices "
                "(0 is allowed for a local model), or name another model"
            )
        elif self._config.provider.type != "OpenAICompatible" and not self._key:
            self.health.refuse(
                Refusal(
                    status=401,
                    reason="ProviderUnauthorized",
                    message="the API key is empty; "
                    "set it in the Secret of spec.provider.credentialsSecretRef",
                )
            )
        elif not (self._key.isascii() and self._key.isprintable()):
            self.health.refuse(
                Refusal(
                    status=401,
                    reason="ProviderUnauthorized",
                    message="the API key holds characters that no HTTP header may carry; "
                    "correct the Secret of spec.provider.credentialsSecretRef",
                )
            )
        else:
            self.health.begin()

    async def close(self, timeout_seconds: float) -> None:
        """Finish what is under way: settlements, claims to give back."""
        await self._background.drain(timeout_seconds)
        await self._upstream.close()

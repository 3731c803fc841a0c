"""The ways a model call can take: the provider's first credential, and the one it falls back to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from swarm_hub.background import Background
from swarm_hub.dialects import Dialect, ModelCall
from swarm_hub.dialects.base import dump, load_object
from swarm_hub.health import ProviderHealth, Refusal
from swarm_hub.pace import Pace
from swarm_hub.prices import PriceBook
from swarm_hub.upstream import Upstream
from swarmrun.queue.port import Signal
from swarmrun.runconfig import ProviderConfig, ProviderEndpoint, ProviderType

#: Reports the state of a component.
Report = Callable[[str, Signal], Awaitable[None]]

FIRST: Final = "spec.provider"
FALLBACK: Final = "spec.provider.fallback"
#: While the fallback serves, one call looks so often whether the first credential is taken again, in seconds.
LOOK_AGAIN_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Route:
    """One credential, and all that this process knows about it."""

    #: FIRST or FALLBACK.
    name: str
    #: Value of the metrics' label `provider`.
    label: str
    type: ProviderType
    key: str = field(repr=False)
    #: What this provider calls the run's models, where the names differ.
    models: Mapping[str, str]
    prices: PriceBook
    upstream: Upstream
    health: ProviderHealth
    pace: Pace

    def named(self, call: ModelCall, dialect: Dialect, max_output: Callable[[str], int]) -> ModelCall:
        """Return the call under the name that the model has here."""
        name = self.models.get(call.model)
        if name is None:
            return call
        return dialect.parse(dump({**load_object(call.body), "model": name}), max_output=max_output)

    def refuse_unusable_key(self) -> bool:
        """Refuse a key that no call is needed for to tell; tell whether it was refused."""
        secret = f"the Secret of {self.name}.credentialsSecretRef"
        if self.type != "OpenAICompatible" and not self.key:
            message = f"the API key is empty; set it in {secret}"
        elif not (self.key.isascii() and self.key.isprintable()):
            message = f"the API key holds characters that no HTTP header may carry; correct {secret}"
        else:
            return False
        self.health.refuse(Refusal(status=401, reason="ProviderUnauthorized", message=message))
        return True


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a route waits for what; see the classes that it is made of."""

    deadline_seconds: float
    silence_seconds: float
    patience_seconds: float
    look_again_seconds: float


def routes_of(
    provider: ProviderConfig,
    keys: Mapping[str, str],
    *,
    dialect: Dialect,
    signal: Report,
    background: Background,
    now: Callable[[], float],
    timing: Timing,
) -> tuple[Route, ...]:
    """Make the routes of a provider in the order in which to try them; `keys` has their keys by name."""
    joint = JointSignal(signal)

    def route(name: str, endpoint: ProviderEndpoint, label: str, look_again: float) -> Route:
        key = keys[name]
        return Route(
            name=name,
            label=label,
            type=endpoint.type,
            key=key,
            models=endpoint.models,
            prices=PriceBook(endpoint, now),
            upstream=Upstream(
                dialect,
                endpoint.base_url,
                key,
                deadline_seconds=timing.deadline_seconds,
                silence_seconds=timing.silence_seconds,
            ),
            health=ProviderHealth(joint.of(name), background, key, look_again_seconds=look_again),
            pace=Pace(now, patience_seconds=timing.patience_seconds),
        )

    fallback, never = provider.fallback, math.inf
    if fallback is None:
        return (route(FIRST, provider, provider.type, never),)
    return (
        route(FIRST, provider, provider.type, timing.look_again_seconds),
        route(FALLBACK, fallback, f"{provider.type} fallback", never),
    )


async def all_refused(routes: Sequence[Route]) -> None:
    """Return once no credential is left that the provider takes."""
    while not all(route.health.refused.is_set() for route in routes):
        for route in routes:
            await route.health.refused.wait()


class JointSignal:
    """Joins what is known of the credentials into the run's one signal: all is well while one is taken."""

    def __init__(self, signal: Report) -> None:
        self._signal, self._sending = signal, asyncio.Lock()
        self._latest: dict[str, Signal] = {}

    def of(self, name: str) -> Report:
        """Return the way in which the route of that name reports."""

        async def send(component: str, signal: Signal) -> None:
            self._latest[name] = signal
            async with self._sending:  # what is written last knows all
                await self._signal(component, joint(self._latest))

        return send


def joint(latest: Mapping[str, Signal]) -> Signal:
    """Say in one signal what the routes have reported."""
    first = latest.get(FIRST, Signal(ok=True, reason="Probing"))
    fallback = latest.get(FALLBACK)
    if fallback is None or fallback.ok:
        if first.ok or first.reason == "PriceUnknown" or fallback is None:
            return first
        message = f"{first.reason}: {first.message}; calls go through {FALLBACK}"
        return Signal(ok=True, reason="ProviderFallback", message=message)
    message = f"{FALLBACK}: {fallback.reason}: {fallback.message}"
    return first.model_copy(update={"message": f"{first.message}; {message}" if first.message else message})

"""What keeps pods from starting, in words that name the thing to mend."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from swarm_operator.names import COMPONENTS, LABEL_OF, child
from swarm_operator.observed import Children
from swarm_operator.reasons import Reason
from swarmrun.telemetry import redact

_NO_SECRET: Final = re.compile(r'secret "(?P<name>[^"]+)" not found')
_NO_KEY: Final = re.compile(r"couldn't find key (?P<key>\S+) in Secret (?P<name>\S+)")
#: Waiting reasons that need a person.
_STALLING: Final = frozenset(
    {
        Reason.SECRET_NOT_FOUND.value,
        Reason.SECRET_KEY_NOT_FOUND.value,
        Reason.PODS_REFUSED.value,
        "InvalidImageName",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
    }
)


@dataclass(frozen=True)
class Trouble:
    """Why a component does not run."""

    component: str
    reason: str
    message: str

    @property
    def stalling(self) -> bool:
        """Tell whether a person must act."""
        return self.reason in _STALLING


def _name(component: str, reason: str, message: str) -> Trouble:
    text = redact(message)
    if (found := _NO_SECRET.search(message)) is not None:
        return Trouble(
            component,
            Reason.SECRET_NOT_FOUND,
            f"Secret {found['name']!r} is not in the run's namespace; create it, and the run goes on",
        )
    if (found := _NO_KEY.search(message)) is not None:
        name = found["name"].rpartition("/")[2]
        return Trouble(
            component,
            Reason.SECRET_KEY_NOT_FOUND,
            f"Secret {name!r} has no key {found['key']!r}; add it, and the run goes on",
        )
    return Trouble(component, reason, f"{component}: {text}" if text else f"{component}: {reason}")


def troubles(run: str, children: Children) -> list[Trouble]:
    """List what keeps each component from running: refused pods first, then waiting containers."""
    found: list[Trouble] = []
    components: Mapping[str, str] = {LABEL_OF[c]: c for c in COMPONENTS}
    for component in COMPONENTS:
        view = children.deployments.get(child(run, component))
        if view is not None and view.failure and view.ready < max(1, view.replicas):
            found.append(_name(component, Reason.PODS_REFUSED, view.failure))
    seen = {t.component for t in found}
    for pod in sorted(children.pods, key=lambda p: p.name):
        component = components.get(pod.component, "")
        if not component or pod.ready or not pod.waiting_reason or component in seen:
            continue
        found.append(_name(component, pod.waiting_reason, pod.waiting_message))
        seen.add(component)
    return sorted(found, key=lambda t: not t.stalling)

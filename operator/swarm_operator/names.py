"""Names and labels of a run's objects (docs/contracts.md, "Names of a run's objects")."""

from __future__ import annotations

import hashlib
import re
from typing import Final

RUN_LABEL: Final = "swarmrun.dev/run"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "swarmrun-operator"}
FINALIZER: Final = "swarmrun.dev/redis"
#: Carries the hash of the plan that a person approved.
APPROVED_PLAN: Final = "swarmrun.dev/approved-plan"
#: Hash of the manifest that was applied; spares an apply that would change nothing.
APPLIED_HASH: Final = "swarmrun.dev/applied-hash"
#: On the hub's Deployment: hash of all children that nobody watches. Applied last, it vouches for the others.
CHILDREN_HASH: Final = "swarmrun.dev/children-hash"
#: Marks a pod template with the configuration it was started with, so that a change rolls the pods.
CONFIG_HASH: Final = "swarmrun.dev/config-hash"

MAX_LABEL: Final = 63
COMPONENTS: Final = ("hub", "agents", "merger", "gates")
#: The word of the component label; agents are told apart from their Deployment's plural name.
LABEL_OF: Final = {"hub": "hub", "agents": "agent", "merger": "merger", "gates": "gates"}


def labels(run: str, component: str = "") -> dict[str, str]:
    """Labels of every object of a run; `component` is a key of LABEL_OF or empty."""
    extra = {COMPONENT_LABEL: LABEL_OF[component]} if component else {}
    return {"app.kubernetes.io/name": "swarmrun", **extra, **MANAGED_BY, RUN_LABEL: run}


def selector(run: str, component: str) -> dict[str, str]:
    """Labels that select the pods of one component; never change for a living Deployment."""
    return {RUN_LABEL: run, COMPONENT_LABEL: LABEL_OF[component]}


def child(run: str, suffix: str) -> str:
    """Name of a child object."""
    return f"{run}-{suffix}"


def escalation_name(run: str, task_id: str, round_: int) -> str:
    """Name of a task's n-th escalation (1-based): readable, ≤ 63 characters, unique by a hash if cut."""
    tail = "" if round_ == 1 else f"-{round_}"
    safe = re.sub(r"[^a-z0-9-]+", "-", task_id.lower()).strip("-")
    name = f"{run}-{safe}"
    room = MAX_LABEL - len(tail)
    if safe != task_id or len(name) > room:
        digest = hashlib.sha256(task_id.encode()).hexdigest()[:8]
        name = f"{name[: room - 9].rstrip('-')}-{digest}"
    return name + tail

"""Events of events.k8s.io/v1 about a SwarmRun."""

from __future__ import annotations

from swarm_operator.manifests.build import Json
from swarmrun.core.api_base import API_VERSION

#: Bounds of the API.
MAX_NOTE = 1000


def event(
    namespace: str, run: str, uid: str, *, name: str, type_: str, reason: str, note: str, time: str
) -> Json:
    """Build an Event; `time` is RFC 3339 with microseconds."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "eventTime": time,
        "type": type_,
        "reason": reason,
        "action": "Reconcile",
        "note": note[:MAX_NOTE],
        "reportingController": "swarmrun.dev/operator",
        "reportingInstance": "swarmrun-operator",
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": "SwarmRun",
            "namespace": namespace,
            "name": run,
            "uid": uid,
        },
    }

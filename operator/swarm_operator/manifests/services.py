"""Services of hub, merger and gates."""

from __future__ import annotations

from swarm_operator.manifests.build import (
    PORT_API,
    PORT_METRICS,
    PORT_SANDBOX,
    Blueprint,
    Json,
    metadata,
)
from swarm_operator.names import selector

_API = (("http", PORT_API), ("metrics", PORT_METRICS))
_PORTS = {"hub": _API, "merger": _API, "gates": (("http", PORT_SANDBOX),)}


def services(b: Blueprint) -> list[Json]:
    """Build the Services."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata(b, component, component),
            "spec": {
                "selector": selector(b.run, component),
                "ports": [
                    {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}
                    for name, port in ports
                ],
            },
        }
        for component, ports in _PORTS.items()
    ]

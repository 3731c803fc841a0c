"""ConfigMap `<run>-report`: what the run did, for programs and for people. It outlives the pods."""

from __future__ import annotations

import json

from swarm_operator.manifests.build import Json, owner
from swarm_operator.names import child, labels

#: A ConfigMap holds at most a MiB; both forms must fit.
MAX_BYTES = 480_000


def report_map(namespace: str, run: str, uid: str, report: Json, markdown: str) -> Json:
    """Build the ConfigMap."""
    text = json.dumps(report, indent=1, sort_keys=False)
    if len(text.encode()) > MAX_BYTES:
        text = json.dumps({**report, "tasks": []})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": child(run, "report"),
            "namespace": namespace,
            "labels": labels(run),
            "ownerReferences": [owner(run, uid)],
        },
        "data": {"report.json": text, "report.md": markdown.encode()[:MAX_BYTES].decode(errors="ignore")},
    }

"""Secret `<run>-tokens`: derived, written, and never read back."""

from __future__ import annotations

import base64

from swarm_operator.manifests.build import (
    AGENT_TOKEN,
    HUB_PASSWORD,
    MERGER_PASSWORD,
    Blueprint,
    Json,
    metadata,
)


def secret(b: Blueprint) -> Json:
    """Build the Secret."""
    values = {
        AGENT_TOKEN: b.tokens.agent,
        HUB_PASSWORD: b.tokens.hub_redis,
        MERGER_PASSWORD: b.tokens.merger_redis,
        **b.platform.redis_files,
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(b, "tokens"),
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }

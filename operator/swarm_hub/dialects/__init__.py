"""The two wire dialects of model calls, pure: bytes in, facts out."""

from __future__ import annotations

from swarm_hub.dialects.anthropic import AnthropicDialect
from swarm_hub.dialects.base import Dialect, ModelCall, StreamMeter
from swarm_hub.dialects.openai import OpenAIDialect
from swarmrun.runconfig import ProviderType

__all__ = ["AnthropicDialect", "Dialect", "ModelCall", "OpenAIDialect", "StreamMeter", "dialect_for"]


def dialect_for(provider: ProviderType) -> Dialect:
    """Return the dialect that a provider type speaks."""
    if provider == "Anthropic":
        return AnthropicDialect()
    return OpenAIDialect(vendor=provider == "OpenAI")

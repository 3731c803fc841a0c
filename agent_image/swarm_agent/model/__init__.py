"""The model behind the hub, in two dialects. Only the dialect in use is imported: each SDK costs memory."""

from __future__ import annotations

from swarm_agent.model.base import Answer, Model, Request, Turn

__all__ = ["Answer", "Model", "Request", "Turn", "make_model"]


def make_model(dialect: str, *, hub_url: str, token: str, vendor: bool) -> Model:
    """Build the client of a dialect; `vendor` tells OpenAI itself from a compatible server."""
    if dialect == "anthropic":
        from swarm_agent.model.anthropic_messages import AnthropicModel  # noqa: PLC0415 — see above

        return AnthropicModel(hub_url, token)
    from swarm_agent.model.openai_chat import OpenAIModel  # noqa: PLC0415 — see above

    return OpenAIModel(hub_url, token, vendor=vendor)

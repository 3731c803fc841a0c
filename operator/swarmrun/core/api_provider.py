"""Where model calls go, and what they cost: `spec.provider`."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ConfigDict, Field

from swarmrun.core.api_base import (
    BASE_URL_PATTERN,
    ModelName,
    SecretKeyRef,
    Spec,
    Usd,
    explained,
    rule,
    with_rules,
)


class Price(Spec):
    """Price of one model in US dollars per million tokens; wins over the built-in table."""

    model: ModelName
    """Model that this price is for."""
    input_usd: Usd = Field(alias="inputUSD")
    """Price of a million input tokens. 0 is allowed, for a local model."""
    output_usd: Usd = Field(alias="outputUSD")
    """Price of a million output tokens. 0 is allowed, for a local model."""
    cache_read_usd: Usd | None = Field(default=None, alias="cacheReadUSD")
    """Price of a million input tokens read from the provider's cache. Defaults to inputUSD."""
    cache_write_usd: Usd | None = Field(default=None, alias="cacheWriteUSD")
    """Price of a million input tokens written to the provider's cache. Defaults to inputUSD."""


_BASE_URL_RULE: Final = rule(
    "self.type != 'OpenAICompatible' || has(self.baseURL)",
    "must be set for type OpenAICompatible, such as http://ollama.models.svc:11434/v1",
    fieldPath=".baseURL",
)


class ProviderEndpoint(Spec):
    """Where model calls go and which credential they carry."""

    type: Literal["OpenAI", "Anthropic", "OpenAICompatible"]
    """API dialect: OpenAI, Anthropic, or OpenAICompatible (Ollama, vLLM and the like, with baseURL)."""
    base_url: str | None = Field(
        default=None,
        alias="baseURL",
        max_length=512,
        pattern=BASE_URL_PATTERN,
        json_schema_extra=explained(
            BASE_URL_PATTERN,
            "must be an http or https URL without credentials, query or trailing slash, such as https://llm.example.com/v1",
        ),
    )
    """Base URL of the API without trailing slash. Required for OpenAICompatible, where it usually ends in
    /v1.
    """
    credentials_secret_ref: SecretKeyRef | None = None
    """Secret key that holds the provider's API key. Only the run's hub mounts it. Omit it for a server that
    needs none.
    """
    prices: list[Price] = Field(
        default=[],
        max_length=50,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["model"]},
    )
    """Prices of models that the built-in table lacks or has wrong. A model without any price is refused."""


class Fallback(ProviderEndpoint):
    """A second credential, of the same type. Its own prices go before those of the provider."""

    model_config = ConfigDict(json_schema_extra=with_rules(_BASE_URL_RULE))
    models: dict[ModelName, ModelName] = Field(default={}, max_length=20)
    """What the run's models are called there, where the names differ."""


class Provider(ProviderEndpoint):
    """Where model calls go and which credential they carry."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            _BASE_URL_RULE,
            rule(
                "!has(self.fallback) || self.fallback.type == self.type",
                "must be the type of spec.provider; a fallback speaks the same dialect",
                fieldPath=".fallback.type",
            ),
        )
    )
    fallback: Fallback | None = None
    """Where calls go while the provider refuses the first credential (no credit, unauthorized) or asks for a
    pause that is too long to wait for.
    """

"""The hub's settings, from its environment (docs/contracts.md), and the provider's keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from swarmrun.queue.redis_settings import RedisSettings
from swarmrun.runconfig import CONFIG_PATH

_KEY_VARIABLE: Final = "SWARM_PROVIDER_API_KEY"
_FALLBACK_KEY_VARIABLE: Final = "SWARM_PROVIDER_FALLBACK_API_KEY"


class HubSettings(RedisSettings):
    """Environment of the hub. Addresses are `host:port`."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    agent_token_file: Annotated[Path, Field(validation_alias="SWARM_AGENT_TOKEN_FILE")]
    provider_api_key: Annotated[SecretStr, Field(validation_alias=_KEY_VARIABLE)] = SecretStr("")
    fallback_api_key: Annotated[SecretStr, Field(validation_alias=_FALLBACK_KEY_VARIABLE)] = SecretStr("")
    listen: Annotated[str, Field(validation_alias="SWARM_LISTEN", pattern=r"^.*:\d+$")] = "0.0.0.0:8080"
    metrics_listen: Annotated[str, Field(validation_alias="SWARM_METRICS_LISTEN", pattern=r"^.*:\d+$")] = (
        "0.0.0.0:9090"
    )
    #: After the provider has refused the key, the process ends so that its successor reads the Secret anew.
    refused_grace_seconds: Annotated[
        float, Field(validation_alias="SWARM_REFUSED_GRACE_SECONDS", ge=0, le=3600)
    ] = 60.0
    config_file: Annotated[Path, Field(validation_alias="SWARM_CONFIG_FILE")] = CONFIG_PATH


def load_settings() -> HubSettings:
    """Read the environment, and take the provider's keys out of it.

    Raises:
        pydantic.ValidationError: a variable is missing or malformed.
    """
    settings = HubSettings()
    for variable in (_KEY_VARIABLE, _FALLBACK_KEY_VARIABLE):
        os.environ.pop(variable, None)
    return settings


def read_secret(path: Path) -> str:
    """Read a token file; the newline that editors add does not belong to it.

    Raises:
        ValueError: the file is empty.
    """
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise ValueError(f"{path}: must hold a token (found an empty file); check the Secret mounted there")
    return secret


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port`; brackets of an IPv6 host are dropped."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)

"""Settings of the operator process, from the environment (docs/contracts.md, "Files and environment")."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from swarm_operator.manifests.build import SENTINEL_PASSWORD
from swarmrun.queue.redis_settings import RedisSettings
from swarmrun.queue.redis_url import parse_location


class Settings(RedisSettings):
    """Everything an administrator can set. Field docstrings give unit and reason."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", use_attribute_docstrings=True, populate_by_name=True
    )

    redis_url_for_runs: str = Field(default="", validation_alias="SWARM_REDIS_URL_FOR_RUNS")
    """How the runs' pods reach the store. Empty: the same URL."""
    redis_allow_unsafe: bool = Field(default=False, validation_alias="SWARM_REDIS_ALLOW_UNSAFE")
    """Start on a store that may lose work: without AOF, or one that evicts. For development."""
    install_key_file: Path = Field(validation_alias="SWARM_INSTALL_KEY_FILE")
    """File with the key that all tokens of all runs are derived from; at least 32 bytes."""
    agent_image: str = Field(validation_alias="SWARM_AGENT_IMAGE")
    """Image of workers, sandboxes, gates and mergers."""
    hub_image: str = Field(validation_alias="SWARM_HUB_IMAGE")
    """Image of hubs; the operator's own."""
    watch_namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), validation_alias="SWARM_WATCH_NAMESPACES"
    )
    """Comma-separated namespaces to serve. Empty: all."""
    metrics_listen: str = Field(default="0.0.0.0:9090", validation_alias="SWARM_METRICS_LISTEN")
    """Address of /metrics, /healthz and /readyz."""
    workers: int = Field(default=8, ge=1, le=64, validation_alias="SWARM_WORKERS")
    """Reconciles at the same time. Bounds the load on the API server; each waits on I/O most of its life."""
    log_level: str = Field(default="INFO", validation_alias="SWARM_LOG_LEVEL")
    """DEBUG, INFO, WARNING or ERROR."""

    @field_validator("watch_namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part for part in (p.strip() for p in value.split(",")) if part)
        return value

    @field_validator("redis_url_for_runs")
    @classmethod
    def _url(cls, value: str) -> str:
        if value:
            parse_location(value)
        return value

    @field_validator("metrics_listen")
    @classmethod
    def _address(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not colon or not host or not port.isdigit():
            raise ValueError(f"must be host:port, such as 0.0.0.0:9090, got {value!r}")
        return value

    def files_for_runs(self) -> dict[str, str]:
        """Read what a run's pods need to reach the store, by file name; their passwords are derived."""
        password = self.sentinel_password()
        return {**self.tls_files(), **({SENTINEL_PASSWORD: password} if password else {})}

    def install_key(self) -> bytes:
        """Read the install key.

        Raises:
            ValueError: it is too short to derive tokens from.
        """
        key = self.install_key_file.read_bytes().strip()
        if len(key) < _KEY_BYTES:
            raise ValueError(
                f"SWARM_INSTALL_KEY_FILE must hold at least {_KEY_BYTES} bytes, got {len(key)}; "
                "create the Secret anew with a random key"
            )
        return key


_KEY_BYTES = 32

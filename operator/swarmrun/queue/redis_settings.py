"""Settings of the connection to the store, the same for operator, hub and merger (docs/guides/redis.md)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from swarmrun.queue.redis_connection import CA_FILE, CERTIFICATE_FILE, KEY_FILE, Access
from swarmrun.queue.redis_store import Store, open_store
from swarmrun.queue.redis_url import parse_location


class RedisSettings(BaseSettings):
    """To inherit from. All secrets come from files."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    redis_url: str = Field(validation_alias="REDIS_URL")
    """Store of all queues, without credentials; its forms are those of `redis_url`."""
    redis_username: str = Field(default="", validation_alias="REDIS_USERNAME")
    """Login. Empty: the store's default user."""
    redis_username_file: Path | None = Field(default=None, validation_alias="SWARM_REDIS_USERNAME_FILE")
    """File that holds the login, instead of `redis_username`."""
    redis_password_file: Path | None = Field(default=None, validation_alias="SWARM_REDIS_PASSWORD_FILE")
    """File that holds its password."""
    redis_sentinel_password_file: Path | None = Field(
        default=None, validation_alias="SWARM_REDIS_SENTINEL_PASSWORD_FILE"
    )
    """File that holds the password of the Sentinels' default user."""
    redis_tls_dir: Path | None = Field(default=None, validation_alias="SWARM_REDIS_TLS_DIR")
    """Folder with `ca.crt` and, for a client certificate, `tls.crt` and `tls.key`."""

    @field_validator("redis_url")
    @classmethod
    def _form(cls, value: str) -> str:
        parse_location(value)
        return value

    def store(self) -> Store:
        """Make the store. Nothing is sent yet.

        Raises:
            ValueError: a secret's file is empty.
            OSError: a file cannot be read.
        """
        username = read_line(self.redis_username_file) if self.redis_username_file else self.redis_username
        access = Access(
            username=username,
            password=read_line(self.redis_password_file) if self.redis_password_file else "",
            sentinel_password=self.sentinel_password(),
            tls_dir=self.redis_tls_dir,
        )
        return open_store(self.redis_url, access)

    def sentinel_password(self) -> str:
        """Read the Sentinels' password; empty without a file."""
        path = self.redis_sentinel_password_file
        return read_line(path) if path else ""

    def tls_files(self) -> dict[str, str]:
        """Read what the TLS folder holds, by file name."""
        folder = self.redis_tls_dir
        if folder is None:
            return {}
        names = (CA_FILE, CERTIFICATE_FILE, KEY_FILE)
        return {name: (folder / name).read_text() for name in names if (folder / name).exists()}


def read_line(path: Path) -> str:
    """Read a secret; the newline that editors add does not belong to it.

    Raises:
        ValueError: the file is empty.
    """
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise ValueError(f"{path}: must hold a secret (found an empty file); check the Secret mounted there")
    return secret

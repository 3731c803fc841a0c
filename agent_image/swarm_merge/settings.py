"""Settings of the merger's process, from the environment (docs/contracts.md)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from swarmrun.queue.redis_settings import RedisSettings
from swarmrun.runconfig import CONFIG_PATH


class Settings(RedisSettings):
    """One field per variable; the name is the variable in lower case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    swarm_agent_token_file: Path
    swarm_work_dir: Path = Path("/work")
    swarm_listen: str = Field(default=":8080", pattern=r"^.*:\d+$")
    swarm_metrics_listen: str = Field(default=":9090", pattern=r"^.*:\d+$")
    swarm_run_config: Path = CONFIG_PATH
    #: Where `__main__` has moved the git credentials to.
    swarm_git_credentials_dir: Path | None = None

    def agent_token(self) -> str:
        """Read the token that guards the git server."""
        return read_secret(self.swarm_agent_token_file)


def read_secret(path: Path) -> str:
    """Read a one-line secret file."""
    return path.read_text().strip()


def address(listen: str) -> tuple[str, int]:
    """Split host:port; an empty host means every address."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 — in a pod, NetworkPolicy decides who may come

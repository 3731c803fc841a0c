"""Settings of the worker's process, from the environment (docs/contracts.md)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from swarmrun.runconfig import CONFIG_PATH


class Settings(BaseSettings):
    """One field per variable; the name is the variable in lower case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    pod_name: str = Field(min_length=1, max_length=253)
    swarm_agent_token_file: Path
    swarm_work_dir: Path = Path("/work")
    swarm_listen: str = Field(default=":8080", pattern=r"^.*:\d{1,5}$")
    swarm_run_config: Path = CONFIG_PATH

    def token(self) -> str:
        """Read the token for hub and merger.

        Raises:
            ValueError: the file is empty.
        """
        token = self.swarm_agent_token_file.read_text(encoding="utf-8").strip()
        if not token:
            raise ValueError(
                f"{self.swarm_agent_token_file}: must hold the agent token (found an empty file)"
            )
        return token

    def address(self) -> tuple[str, int]:
        """Split the health check's address; an empty host means every address."""
        host, _, port = self.swarm_listen.rpartition(":")
        return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 — the kubelet asks from outside the pod

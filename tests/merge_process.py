"""The merger as a process with the tests' stack: `python merge_process.py SETTINGS.json`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from merge_values import PROFILE
from swarm_merge.app import run
from swarm_merge.settings import Settings
from swarmrun.queue.redis import RedisQueue, connect
from swarmrun.runconfig import RunConfig
from swarmrun.telemetry import configure_logging


async def main(given: dict[str, str]) -> None:
    """Do what `swarm_merge.process` does, with a profile that is in no folder."""
    settings = Settings.model_validate_json(given["settings"])
    config = RunConfig.model_validate_json(given["config"])
    client = connect(settings.redis_url)
    await run(settings, config, PROFILE, RedisQueue(client, config.uid))
    await client.aclose()


if __name__ == "__main__":
    configure_logging()
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))

"""The merger as a process of a run: configuration, profile and Redis from where the contracts put them."""

from __future__ import annotations

from swarm_merge.app import run
from swarm_merge.settings import Settings
from swarmrun import profiles
from swarmrun.queue.redis import RedisQueue
from swarmrun.runconfig import load_run_config


async def main(settings: Settings) -> None:
    """Run the merger of the configured run until SIGTERM."""
    config = load_run_config(settings.swarm_run_config)
    store = settings.store()
    try:
        await run(
            settings, config, profiles.load(config.profile), RedisQueue(store.run(config.uid), config.uid)
        )
    finally:
        await store.aclose()

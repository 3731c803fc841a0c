"""Puts the merger together and runs it until SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from typing import Final

import aiohttp

from swarm_merge.codestats import CodeStats
from swarm_merge.gates import GatesClient
from swarm_merge.gitserver import GitServer
from swarm_merge.judge import Judge
from swarm_merge.merger import Merger
from swarm_merge.metrics import MergeMetrics
from swarm_merge.reporter import Reporter
from swarm_merge.server import application, metrics_application, serve
from swarm_merge.settings import Settings, address
from swarmrun.core.profile import Profile
from swarmrun.queue.port import MergeQueue
from swarmrun.runconfig import RunConfig
from swarmrun.vcs.credentials import git_environment
from swarmrun.vcs.git import Git
from swarmrun.vcs.repo import Mirror

#: Seconds for a push under way at SIGTERM; with the servers' own 2 s it stays below the 25 s of the contract.
_LAST_PUSH: Final = 16.0


async def run(settings: Settings, config: RunConfig, profile: Profile, queue: MergeQueue) -> None:
    """Serve and merge until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics = MergeMetrics(namespace=config.namespace, run=config.name)
    # A pooled connection that the gates have closed meanwhile would look like a run that they lost.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        merger = assemble(settings, config, profile, queue, metrics=metrics, session=session)
        task = asyncio.create_task(merger.loop())
        git_server = GitServer(merger.mirror.path, settings.agent_token(), lambda: merger.ready)
        app = application(git_server, alive=lambda: not task.done(), ready=lambda: merger.ready)
        runners = [
            await serve(app, *address(settings.swarm_listen)),
            await serve(metrics_application(metrics), *address(settings.swarm_metrics_listen)),
        ]
        gc.collect()
        gc.freeze()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await merger.finish(task, _LAST_PUSH)
        for runner in runners:
            await runner.cleanup()
        if not stop.is_set():
            task.result()  # the loop never ends by itself: raise what ended it


def assemble(
    settings: Settings,
    config: RunConfig,
    profile: Profile,
    queue: MergeQueue,
    *,
    metrics: MergeMetrics,
    session: aiohttp.ClientSession,
) -> Merger:
    """Wire the merger's parts."""
    folder = settings.swarm_git_credentials_dir
    git = Git(env=git_environment(folder) if folder else {})
    mirror = Mirror(
        settings.swarm_work_dir / "mirror.git", url=config.repository_url, branch=config.branch, git=git
    )
    reporter = Reporter(queue, time.time)
    judge = Judge(
        mirror,
        GatesClient(session, config.gates_url.rstrip("/")),
        profile,
        config.gates.commands,
        reporter,
        metrics,
    )
    return Merger(
        run=config.uid,
        profile=profile,
        queue=queue,
        mirror=mirror,
        judge=judge,
        reporter=reporter,
        metrics=metrics,
        code_stats=CodeStats(),
        now=time.time,
        pause=asyncio.sleep,
    )

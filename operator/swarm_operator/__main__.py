"""Starts the operator: settings, checks, then watches, workers, sweeper and health server side by side."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import kopf
from pydantic import ValidationError
from redis.exceptions import AuthenticationError

from swarm_operator import handlers, health
from swarm_operator.apply import Applier
from swarm_operator.builder import PlanBuilder
from swarm_operator.connection import Connection, NoClusterError
from swarm_operator.controller import Controller
from swarm_operator.fairqueue import WorkQueue
from swarm_operator.guard import RefusedError, check_crds
from swarm_operator.kube import HttpKube, KubeError
from swarm_operator.leftovers import Leftovers
from swarm_operator.manifests.build import Platform, RunTokens
from swarm_operator.memory import Memory
from swarm_operator.metrics import Metrics
from swarm_operator.observe import Observer
from swarm_operator.planning import Planner
from swarm_operator.poster import Poster
from swarm_operator.settings import Settings
from swarm_operator.stores import STORE_ERRORS, RedisStores
from swarm_operator.sweep import Sweeper
from swarm_operator.view import Context
from swarmrun.core.derive import derive
from swarmrun.queue.redis_server import server_problems
from swarmrun.queue.redis_store import Store
from swarmrun.queue.rules import QueueUnavailable
from swarmrun.telemetry import configure_logging

logger = logging.getLogger("swarm_operator")

#: Times and pauses in seconds of waiting for API server and store at the start.
START_ATTEMPTS = 30
START_PAUSE = 2.0
_LOGIN = "check user and password in the Secret of redis.external.existingSecret, and the user's ACL"


def _tokens(key: bytes, uid: str) -> RunTokens:
    return RunTokens(
        agent=derive(key, uid, "agent-token"),
        hub_redis=derive(key, uid, "hub-redis-password"),
        merger_redis=derive(key, uid, "merger-redis-password"),
    )


async def _patiently(step: Callable[[], Awaitable[None]]) -> None:
    """Repeat a step of the start while API server or store do not answer, for a minute.

    Raises:
        RefusedError: they did not answer, or the step itself refuses.
    """
    last = ""
    for _ in range(START_ATTEMPTS):
        try:
            return await step()
        except (KubeError, *STORE_ERRORS) as error:
            last = f"{type(error).__name__}: {error}"[:300]
            logger.warning("waiting for API server and store", extra={"error": last})
            await asyncio.sleep(START_PAUSE)
    raise RefusedError(f"API server or store did not answer within a minute: {last}")


async def _check(kube: HttpKube, store: Store, *, allow_unsafe: bool) -> None:
    """Demand what we rely on.

    Raises:
        RefusedError: the operator must not start.
    """
    await check_crds(kube)
    try:
        problems = await server_problems(store, allow_unsafe=allow_unsafe)
    except QueueUnavailable as error:
        if _refused_login(error):
            raise RefusedError(f"the store refuses the operator's login: {error}; {_LOGIN}") from error
        raise
    if problems:
        raise RefusedError("the store is not safe to use: " + "; ".join(problems))


def _refused_login(error: BaseException | None) -> bool:
    """Look for the cause: over a Unix socket redis-py hides it behind a second error."""
    while error is not None:
        if isinstance(error, AuthenticationError):
            return True
        error = error.__cause__
    return False


def build(settings: Settings, connection: Connection, store: Store) -> tuple[Controller, Sweeper]:
    """Wire everything together."""
    key = settings.install_key()
    kube, memory, stores = HttpKube(connection), Memory(), RedisStores(store)

    def tokens(uid: str) -> RunTokens:
        return _tokens(key, uid)

    platform = Platform(
        hub_image=settings.hub_image,
        agent_image=settings.agent_image,
        redis_url=settings.redis_url_for_runs or settings.redis_url,
        redis_files=settings.files_for_runs(),
    )
    queue = WorkQueue(time.monotonic)
    controller = Controller(
        memory=memory,
        queue=queue,
        observer=Observer(kube, stores, memory),
        applier=Applier(kube, stores, memory, tokens),
        context=Context(platform, Planner(PlanBuilder(time.time)), tokens),
        poster=Poster(kube, time.time),
        metrics=Metrics(lambda: len(queue)),
    )
    namespaces = settings.watch_namespaces or (None,)
    sweeper = Sweeper(kube, memory, controller, namespaces, leftovers=Leftovers(stores, tokens))
    return controller, sweeper


async def run(settings: Settings, *, stop: asyncio.Event | None = None) -> None:
    """Run the operator until a signal, or until `stop` is set.

    Raises:
        RefusedError: something it relies on is missing.
    """
    async with AsyncExitStack() as stack:
        connection = Connection()
        stack.push_async_callback(connection.close)
        store = settings.store()
        stack.push_async_callback(store.aclose)
        unsafe = settings.redis_allow_unsafe
        await _patiently(lambda: _check(HttpKube(connection), store, allow_unsafe=unsafe))
        PlanBuilder.warm()
        controller, sweeper = build(settings, connection, store)
        await _patiently(sweeper.prime)
        ready = asyncio.Event()
        app = health.application(
            controller.metrics.registry,
            alive=sweeper.problem,
            ready=lambda: "" if ready.is_set() else "the watches have not started",
        )
        runner = await health.serve(app, settings.metrics_listen)
        stack.push_async_callback(runner.cleanup)
        watching = kopf.operator(
            registry=handlers.register(connection, controller),
            settings=handlers.kopf_settings(),
            clusterwide=not settings.watch_namespaces,
            namespaces=settings.watch_namespaces,
            ready_flag=ready,
            stop_flag=stop,
        )
        tasks = [controller.work() for _ in range(settings.workers)]
        await _until_one_ends([watching, *tasks, sweeper.run()], _freeze(ready))


async def _until_one_ends(
    lasting: Sequence[Coroutine[Any, Any, None]], *more: Coroutine[Any, Any, None]
) -> None:
    """Run all side by side until one of `lasting` ends: Kopf does on a signal, the others never should."""
    tasks = {asyncio.create_task(c) for c in lasting}
    others = {asyncio.create_task(c) for c in more}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks | others:
            task.cancel()
        await asyncio.gather(*tasks, *others, return_exceptions=True)


async def _freeze(ready: asyncio.Event) -> None:
    """Keep what was loaded at the start out of every later collection: a full one took 54 ms, then none."""
    await ready.wait()
    gc.collect()
    gc.freeze()
    logger.info("operator started")


def _tame_kopf_logs() -> None:
    """Keep Kopf's two lines per event out, and its settings object, which is no JSON, off its warnings."""

    def plain(record: logging.LogRecord) -> bool:
        for name in ("settings", "k8s_skip"):
            record.__dict__.pop(name, None)
        return True

    for handler in logging.getLogger().handlers:
        handler.addFilter(plain)
    logging.getLogger("kopf").setLevel(logging.WARNING)


def main() -> int:
    """Run the process; exit code 2 says that a person must mend something first."""
    try:
        settings = Settings()
        configure_logging(settings.log_level)
        _tame_kopf_logs()
        asyncio.run(run(settings))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        sys.stderr.write(f"swarm-operator: the environment is not complete: {faults}\n")
        return 2
    except (RefusedError, NoClusterError, ValueError, OSError) as error:
        logger.error("operator refuses to start: %s", error)  # noqa: TRY400 — the message is the help, a trace is none
        sys.stderr.write(f"swarm-operator: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

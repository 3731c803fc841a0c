"""arq: a job is another's again when its in-progress key has expired, ten seconds after its timeout."""

from __future__ import annotations

import logging
import time
from typing import Any

from arq import Worker, create_pool
from arq.connections import RedisSettings
from arq.jobs import Job

from swarmpeers.workers import protocol

_settings = RedisSettings.from_dsn(protocol.URL)


async def slow(_ctx: dict[str, Any]) -> str:
    """Run the job that A is frozen in."""
    return await protocol.slow()


async def probe(_ctx: dict[str, Any]) -> None:
    """Show that the worker works."""
    protocol.probe()


async def noop(_ctx: dict[str, Any]) -> None:
    """Do nothing."""
    protocol.noop()


async def enqueue() -> None:
    """Put the job in."""
    pool = await create_pool(_settings)
    await pool.enqueue_job("slow", _job_id=protocol.JOB_ID)
    await pool.aclose()


async def probes() -> None:
    """Put some probes in."""
    pool = await create_pool(_settings)
    for _ in range(6):
        await pool.enqueue_job("probe")
    await pool.aclose()


async def fill() -> None:
    """Put the benchmark's jobs in."""
    pool = await create_pool(_settings)
    began = time.perf_counter()
    for _ in range(protocol.JOBS):
        await pool.enqueue_job("noop")
    protocol.filled(began)
    await pool.aclose()


async def work() -> None:
    """Run one worker."""
    logging.basicConfig(level=logging.WARNING if protocol.BENCH else logging.INFO)
    worker = Worker(
        [slow, probe, noop],
        redis_settings=_settings,
        max_jobs=protocol.CONCURRENCY,
        # The shortest lease there is: one second, plus the ten that arq adds.
        job_timeout=300 if protocol.BENCH else 1,
        poll_delay=0.01,
    )
    await worker.async_run()


async def result() -> None:
    """Tell the job's result."""
    pool = await create_pool(_settings)
    info = await Job(protocol.JOB_ID, pool).result_info()
    if info is None:
        protocol.answer("open")
    else:
        protocol.answer("success" if info.success else "failure", repr(info.result).strip("'"))
    await pool.aclose()


if __name__ == "__main__":
    protocol.main(enqueue=enqueue, probe=probes, work=work, result=result, fill=fill, drain=work)

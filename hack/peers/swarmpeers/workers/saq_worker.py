"""SAQ: a job whose timeout has passed is swept back into the queue."""

from __future__ import annotations

import logging
import time
from typing import Any

from saq import Queue, Worker

from swarmpeers.workers import protocol

queue = Queue.from_url(protocol.URL)


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
    """Put the job in; without retries SAQ would abort it instead."""
    await queue.enqueue("slow", key=protocol.JOB_ID, timeout=1, retries=5)
    await queue.disconnect()


async def probes() -> None:
    """Put some probes in."""
    for _ in range(6):
        await queue.enqueue("probe")
    await queue.disconnect()


async def fill() -> None:
    """Put the benchmark's jobs in."""
    began = time.perf_counter()
    for _ in range(protocol.JOBS):
        await queue.enqueue("noop")
    protocol.filled(began)
    await queue.disconnect()


async def work() -> None:
    """Run one worker."""
    logging.basicConfig(level=logging.WARNING if protocol.BENCH else logging.INFO)
    timers = {} if protocol.BENCH else {"sweep": 1}
    functions = [slow, probe, noop]
    await Worker(queue, functions, concurrency=protocol.CONCURRENCY, timers=timers).start()


async def result() -> None:
    """Tell the job's result."""
    job = await queue.job(protocol.JOB_ID)
    if job is None:
        protocol.answer("gone")
    else:
        protocol.answer(job.status.value, job.result)
    await queue.disconnect()


if __name__ == "__main__":
    protocol.main(enqueue=enqueue, probe=probes, work=work, result=result, fill=fill, drain=work)

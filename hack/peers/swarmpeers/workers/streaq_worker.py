"""streaq: an entry that has not been renewed within the idle timeout is claimed by the next reader."""

from __future__ import annotations

import logging
import time

from streaq import Worker

from swarmpeers.workers import protocol

if protocol.BENCH:
    worker = Worker(redis_url=protocol.URL, concurrency=protocol.CONCURRENCY)
else:
    worker = Worker(redis_url=protocol.URL, concurrency=1, idle_timeout=1)

slow = worker.task(name="slow")(protocol.slow)
probe = worker.task(name="probe")(protocol.probe_async)
noop = worker.task(name="noop")(protocol.noop_async)


async def enqueue() -> None:
    """Put the job in."""
    async with worker:
        task = slow.enqueue()
        task.id = protocol.JOB_ID
        await task


async def probes() -> None:
    """Put some probes in."""
    async with worker:
        await worker.enqueue_many([probe.enqueue() for _ in range(6)])


async def fill() -> None:
    """Put the benchmark's jobs in, in batches as the library offers."""
    batch = 500
    async with worker:
        began = time.perf_counter()
        for start in range(0, protocol.JOBS, batch):
            size = min(batch, protocol.JOBS - start)
            await worker.enqueue_many([noop.enqueue() for _ in range(size)])
        protocol.filled(began)


def work() -> None:
    """Run one worker."""
    logging.basicConfig(level=logging.WARNING if protocol.BENCH else logging.INFO)
    worker.run_sync()


async def result() -> None:
    """Tell the job's result."""
    async with worker:
        try:
            got = await worker.result_by_id(protocol.JOB_ID, timeout=1)
        except TimeoutError:
            protocol.answer("open")
        else:
            protocol.answer(
                "success" if got.success else "failure", got.result if got.success else got.exception
            )


if __name__ == "__main__":
    protocol.main(enqueue=enqueue, probe=probes, work=work, result=result, fill=fill, drain=work)

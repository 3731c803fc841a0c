"""taskiq on a Redis stream (or list): idle entries are claimed after new ones have been read."""

from __future__ import annotations

import time

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

from swarmpeers.workers import protocol

if protocol.VARIANT == "list":
    broker = ListQueueBroker(protocol.URL)
elif protocol.BENCH:
    broker = RedisStreamBroker(protocol.URL)
else:
    broker = RedisStreamBroker(protocol.URL, idle_timeout=1000, xread_block=500)
backend = RedisAsyncResultBackend(protocol.URL)
if not protocol.BENCH:
    broker = broker.with_result_backend(backend)
_HERE = "swarmpeers.workers.taskiq_worker"

slow = broker.task(task_name="slow")(protocol.slow)
probe = broker.task(task_name="probe")(protocol.probe_async)
noop = broker.task(task_name="noop")(protocol.noop_async)


async def enqueue() -> None:
    """Put the job in."""
    await broker.startup()
    await slow.kicker().with_task_id(protocol.JOB_ID).kiq()
    await broker.shutdown()


async def probes() -> None:
    """Put some probes in."""
    await broker.startup()
    for _ in range(6):
        await probe.kiq()
    await broker.shutdown()


async def fill() -> None:
    """Put the benchmark's jobs in; the stream's group must be there before them."""
    await broker.startup()
    began = time.perf_counter()
    for _ in range(protocol.JOBS):
        await noop.kiq()
    protocol.filled(began)
    await broker.shutdown()


def work() -> None:
    """Run one worker process."""
    level = "WARNING" if protocol.BENCH else "INFO"
    size = ("--workers", "1", "--max-async-tasks", str(protocol.CONCURRENCY))
    protocol.become("taskiq", "worker", f"{_HERE}:broker", *size, "--log-level", level)


async def result() -> None:
    """Tell the job's result."""
    await broker.startup()
    if await backend.is_result_ready(protocol.JOB_ID):
        got = await backend.get_result(protocol.JOB_ID)
        protocol.answer("failure" if got.is_err else "success", got.error or got.return_value)
    else:
        protocol.answer("open")
    await broker.shutdown()


if __name__ == "__main__":
    protocol.main(enqueue=enqueue, probe=probes, work=work, result=result, fill=fill, drain=work)

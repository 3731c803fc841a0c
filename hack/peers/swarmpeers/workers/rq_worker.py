"""RQ: an execution whose heartbeat is a minute late is abandoned, and retried by the next maintenance."""

from __future__ import annotations

import logging
import time

from redis import Redis
from rq import Queue, Retry, SimpleWorker, Worker
from rq.job import Job

from swarmpeers.workers import protocol

connection = Redis.from_url(protocol.URL)
queue = Queue(connection=connection)


def slow() -> str:
    """Run the job that A is frozen in."""
    return protocol.slow_sync()


def probe() -> None:
    """Show that the worker works."""
    protocol.probe()


def noop() -> None:
    """Do nothing."""
    protocol.noop()


_HERE = "swarmpeers.workers.rq_worker"


def enqueue() -> None:
    """Put the job in; without retries RQ would let it fail instead."""
    queue.enqueue(f"{_HERE}.slow", job_id=protocol.JOB_ID, retry=Retry(max=5))


def probes() -> None:
    """Put some probes in."""
    for _ in range(6):
        queue.enqueue(f"{_HERE}.probe")


def fill() -> None:
    """Put the benchmark's jobs in."""
    began = time.perf_counter()
    for _ in range(protocol.JOBS):
        queue.enqueue(f"{_HERE}.noop")
    protocol.filled(began)


def work() -> None:
    """Run one worker with the shortest heartbeat: one second, plus the sixty that RQ adds."""
    logging.basicConfig(level=logging.INFO)
    worker = Worker(
        [queue],
        connection=connection,
        worker_ttl=20,
        job_monitoring_interval=1,
        maintenance_interval=1,
    )
    worker.work()


def drain() -> None:
    """Run one worker that does not fork for each job."""
    SimpleWorker([queue], connection=connection).work(logging_level="WARNING")


def result() -> None:
    """Tell the job's result."""
    job = Job.fetch(protocol.JOB_ID, connection=connection)
    latest = job.latest_result()
    value = None if latest is None else latest.return_value or latest.exc_string
    protocol.answer(job.get_status().value, value)


if __name__ == "__main__":
    protocol.main(enqueue=enqueue, probe=probes, work=work, result=result, fill=fill, drain=drain)

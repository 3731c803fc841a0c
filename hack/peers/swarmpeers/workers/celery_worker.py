"""Celery with late acknowledgement: an unacknowledged message is restored after the visibility timeout."""

from __future__ import annotations

import time

from celery import Celery

from swarmpeers.workers import protocol

app = Celery("peers", broker=protocol.URL, backend=None if protocol.BENCH else protocol.URL)
app.conf.update(task_acks_late=True, worker_hijack_root_logger=True, broker_connection_retry_on_startup=True)
if not protocol.BENCH:
    app.conf.update(
        worker_prefetch_multiplier=1,
        broker_transport_options={
            "visibility_timeout": 1,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        },
    )
_HERE = "swarmpeers.workers.celery_worker"

slow = app.task(name="slow")(protocol.slow_sync)
probe = app.task(name="probe", ignore_result=True)(protocol.probe)
noop = app.task(name="noop")(protocol.noop)


def enqueue() -> None:
    """Put the job in."""
    slow.apply_async(task_id=protocol.JOB_ID)


def probes() -> None:
    """Put some probes in."""
    for _ in range(12):
        probe.delay()


def fill() -> None:
    """Put the benchmark's jobs in."""
    began = time.perf_counter()
    for _ in range(protocol.JOBS):
        noop.delay()
    protocol.filled(began)


def work() -> None:
    """Run one worker with one child."""
    name = f"{protocol.WORKER}@peers"
    protocol.become("celery", "-A", _HERE, "worker", "-c", "1", "-n", name, "--loglevel", "INFO")


def drain() -> None:
    """Run one worker in one process, which is faster here than one child or threads."""
    pool = protocol.VARIANT or "solo"
    protocol.become("celery", "-A", _HERE, "worker", "-P", pool, "-c", "1", "--loglevel", "WARNING")


def result() -> None:
    """Tell the job's result."""
    got = app.AsyncResult(protocol.JOB_ID)
    protocol.answer(got.state, got.result)


if __name__ == "__main__":
    protocol.main(enqueue=enqueue, probe=probes, work=work, result=result, fill=fill, drain=drain)

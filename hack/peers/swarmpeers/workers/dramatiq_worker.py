"""dramatiq: messages of a broker whose heartbeat is too old go back to the queue with maintenance."""

from __future__ import annotations

import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends.redis import RedisBackend

from swarmpeers.workers import protocol

#: An idle worker beats at least once a second, so a shorter lease would call live workers dead.
_LEASE_MS = 2000
_ALWAYS = 1_000_000
backend = RedisBackend(url=protocol.URL)
if protocol.BENCH:
    broker = RedisBroker(url=protocol.URL)
else:
    broker = RedisBroker(url=protocol.URL, heartbeat_timeout=_LEASE_MS, maintenance_chance=_ALWAYS)
    broker.add_middleware(Results(backend=backend))
dramatiq.set_broker(broker)
_HERE = "swarmpeers.workers.dramatiq_worker"
_results = {} if protocol.BENCH else {"store_results": True}

slow = dramatiq.actor(protocol.slow_sync, actor_name="slow", **_results)
probe = dramatiq.actor(protocol.probe, actor_name="probe")
noop = dramatiq.actor(protocol.noop, actor_name="noop")


def enqueue() -> None:
    """Put the job in."""
    broker.enqueue(slow.message().copy(message_id=protocol.JOB_ID))


def probes() -> None:
    """Put some probes in; a worker with one thread takes two of them at a time."""
    for _ in range(12):
        probe.send()


def fill() -> None:
    """Put the benchmark's jobs in."""
    began = time.perf_counter()
    for _ in range(protocol.JOBS):
        noop.send()
    protocol.filled(began)


def work() -> None:
    """Run one worker process."""
    protocol.become("dramatiq", _HERE, "-p", "1", "-t", str(protocol.CONCURRENCY))


def result() -> None:
    """Tell the job's result."""
    message = slow.message().copy(message_id=protocol.JOB_ID)
    try:
        protocol.answer("success", message.get_result(backend=backend))
    except dramatiq.results.ResultMissing:
        protocol.answer("open")
    except dramatiq.results.ResultFailure as failure:
        protocol.answer("failure", failure)


if __name__ == "__main__":
    protocol.main(enqueue=enqueue, probe=probes, work=work, result=result, fill=fill, drain=work)

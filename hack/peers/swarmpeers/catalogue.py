"""The libraries: which lock, which worker module, which settings, and how long to wait for a re-delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PEERS_LOCK: Final = "peers"


@dataclass(frozen=True)
class Peer:
    """One library, or one way of using it.

    `lease` says in words what the smallest settings for the stale-worker scenario are; `patience` is how many
    seconds a re-delivery may take. `concurrency` is the benchmark's, chosen by trying; `setting` names it.
    `share` of the asked number of jobs is run, so that slow libraries take no longer than others.
    """

    name: str
    module: str
    distributions: tuple[str, ...]
    lease: str = ""
    patience: float = 30.0
    lock: str = PEERS_LOCK
    helper: str = ""
    variant: str = ""
    concurrency: int = 1
    setting: str = ""
    share: float = 1.0

    def argv(self, python: str, role: str) -> list[str]:
        """Return the command that does one role of the worker module."""
        return [python, "-m", f"swarmpeers.workers.{self.module}", role]


OURS: Final = Peer(
    name="SwarmRun",
    module="swarmrun_worker",
    distributions=("swarmrun",),
    lease="1 s, reaped each 0.2 s",
    lock="",
    helper="reap",
)

STALE: Final = (
    Peer("SAQ", "saq_worker", ("saq",), lease="job timeout 1 s, sweep each 1 s"),
    Peer("arq", "arq_worker", ("arq",), lease="job timeout 1 s, to which arq adds 10 s", lock="peers-arq"),
    Peer("RQ", "rq_worker", ("rq",), lease="heartbeat 1 s, to which RQ adds 60 s", patience=120),
    Peer("Celery", "celery_worker", ("celery",), lease="late ack, visibility 1 s, restore each 1 s"),
    Peer("dramatiq", "dramatiq_worker", ("dramatiq",), lease="heartbeat timeout 2 s, maintenance always"),
    Peer("taskiq", "taskiq_worker", ("taskiq", "taskiq-redis"), lease="stream, idle timeout 1 s"),
    Peer("streaq", "streaq_worker", ("streaq",), lease="idle timeout 1 s"),
)

BENCH: Final = (
    Peer(
        "taskiq-stream",
        "taskiq_worker",
        ("taskiq", "taskiq-redis"),
        concurrency=100,
        setting="100 async tasks (default)",
    ),
    Peer(
        "taskiq-list",
        "taskiq_worker",
        ("taskiq", "taskiq-redis"),
        variant="list",
        concurrency=100,
        setting="100 async tasks (default), no acknowledgement",
    ),
    Peer("saq", "saq_worker", ("saq",), concurrency=20, setting="concurrency 20 (default 10)"),
    Peer("dramatiq", "dramatiq_worker", ("dramatiq",), concurrency=32, setting="32 threads (default 8)"),
    Peer("streaq", "streaq_worker", ("streaq",), concurrency=64, setting="concurrency 64 (default 16)"),
    Peer(
        "arq",
        "arq_worker",
        ("arq",),
        lock="peers-arq",
        concurrency=100,
        setting="100 jobs (default 10), poll each 10 ms (default 500)",
    ),
    Peer("celery", "celery_worker", ("celery",), setting="solo pool, late acknowledgement"),
    Peer("rq", "rq_worker", ("rq",), share=0.1, setting="SimpleWorker, which does not fork"),
)

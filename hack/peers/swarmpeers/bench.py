"""No-op jobs through one worker process of each library, on a Redis of their own that keeps nothing on disk.

The jobs are put in first, then the worker starts. The first tenth warms up; the rest is timed inside the
worker, from one job to the last, so that start-up costs nobody anything. Server CPU is Redis' own count over
the same time. The machine should have nothing else to do.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from swarmpeers.catalogue import BENCH, Peer
from swarmpeers.environment import python_for, versions
from swarmpeers.processes import Process, await_it, command, redis_server, worker_env
from swarmpeers.workers.protocol import METER

_FEWEST_JOBS: Final = 100
_SLOWEST_PER_SECOND: Final = 50
_START_SECONDS: Final = 30.0


@dataclass(frozen=True)
class PeerResult:
    """What one library did. CPU is in microseconds per job; `jobs` were measured, after a warm-up."""

    peer: str
    versions: str
    setting: str
    jobs: int
    jobs_per_second: float
    server_cpu_us: float
    worker_cpu_us: float
    enqueued_per_second: float


NAMES: Final = tuple(peer.name for peer in BENCH)


def run(names: Sequence[str] = NAMES, jobs: int = 5000, rounds: int = 1) -> list[PeerResult]:
    """Measure the named libraries (all by default), one after the other, with `jobs` jobs each.

    The best of `rounds` rounds over all of them counts, so that a busy minute hits nobody alone. A library of
    a small `share` in the catalogue gets that part of the jobs, 100 at least.

    Raises:
        SystemExit: a name is unknown, or a worker failed; says how.
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise SystemExit(f"--peer {', '.join(unknown)}: must be of {', '.join(NAMES)}")
    peers = [peer for peer in BENCH if peer.name in names]
    measured = [[measure(peer, jobs) for peer in peers] for _ in range(rounds)]
    return [max(of_peer, key=_speed) for of_peer in zip(*measured, strict=True)]


def measure(peer: Peer, jobs: int) -> PeerResult:
    """Measure one library."""
    count = max(_FEWEST_JOBS, int(jobs * peer.share))
    python = str(python_for(peer.lock))
    with tempfile.TemporaryDirectory(prefix="swarmpeers-") as name, redis_server(Path(name)) as redis_url:
        folder = Path(name)
        env = worker_env(
            redis_url, folder, worker="A", jobs=count, concurrency=peer.concurrency, variant=peer.variant
        )
        fill = json.loads(command(peer.argv(python, "fill"), env))
        worker = Process(peer.argv(python, "drain"), env, folder / "worker.log")
        try:
            meter = _meter(worker, folder, count)
        finally:
            worker.kill()
    if meter is None:
        raise SystemExit(f"{peer.name}: {count} jobs did not end in time")
    return PeerResult(
        peer=peer.name,
        versions=versions(Path(python), peer.distributions),
        setting=peer.setting,
        jobs=meter["jobs"],
        jobs_per_second=meter["jobs"] / meter["seconds"],
        server_cpu_us=meter["server_cpu"] / meter["jobs"] * 1e6,
        worker_cpu_us=meter["worker_cpu"] / meter["jobs"] * 1e6,
        enqueued_per_second=count / fill["seconds"],
    )


def _speed(result: PeerResult) -> float:
    return result.jobs_per_second


def _meter(worker: Process, folder: Path, count: int) -> dict[str, Any] | None:
    """Wait for the worker's own figures; a worker that ends early has failed."""
    path = folder / METER

    def look() -> dict[str, Any] | None:
        if path.exists():
            return dict(json.loads(path.read_text(encoding="utf-8")))
        if worker.ended:
            raise SystemExit(f"the worker ended: {worker.log.read_text(errors='replace')[-2000:]}")
        return None

    return await_it(look, _START_SECONDS + count / _SLOWEST_PER_SECOND)

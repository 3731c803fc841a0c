"""`make bench-queue`: our queue and others on the same machine in the same run. Ratios count, not figures."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from rich.console import Console
from rich.table import Table

from queuebench import ours
from swarmpeers import bench as peers

_ALWAYS: Final = ("--appendonly", "yes", "--appendfsync", "always")


@contextmanager
def server(*options: str) -> Iterator[str]:
    """Run a Redis of its own and give its URL."""
    with tempfile.TemporaryDirectory(prefix="queuebench-") as folder:
        socket = Path(folder, "redis.sock")
        argv = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        process = subprocess.Popen([*argv, *options], stdout=subprocess.DEVNULL)
        try:
            retry = Retry(ConstantBackoff(0.05), 200)
            with redis.Redis(unix_socket_path=str(socket), retry=retry) as client:
                client.ping()
            yield f"unix://{socket}"
        finally:
            process.kill()
            process.wait()


def best(measure: Callable[[str], Awaitable[ours.Throughput]], rounds: int, *options: str) -> ours.Throughput:
    """Measure a few times, each on a fresh server; the best counts, as for the peers."""

    async def once(url: str) -> ours.Throughput:
        return await measure(url)

    found = []
    for _ in range(rounds):
        with server(*options) as url:
            found.append(asyncio.run(once(url)))
    return max(found, key=lambda result: result.per_second)


def _worker(url: str, tasks: int, agents: int) -> ours.Throughput:
    return asyncio.run(ours.throughput(url, tasks=tasks, agents=agents))


def side_by_side(rounds: int, processes: int, tasks: int, agents: int, *options: str) -> dict[str, float]:
    """Let several processes, each with a run and agents of its own, work on one server."""
    found = []
    for _ in range(rounds):
        with server(*options) as url, ProcessPoolExecutor(processes) as pool:
            jobs = [
                pool.submit(_worker, url, tasks // processes, agents // processes) for _ in range(processes)
            ]
            results = [job.result() for job in jobs]
        seconds = max(result.seconds for result in results)
        done = sum(result.tasks for result in results)
        found.append({"per_second": done / seconds, "server_cpu_us": _all_cpu(results, done)})
    return max(found, key=lambda result: result["per_second"])


def _all_cpu(results: list[ours.Throughput], done: int) -> float:
    """Server CPU per task: each process saw all that the server did meanwhile, so the longest view counts."""
    longest = max(results, key=lambda result: result.seconds)
    return longest.server_cpu_us * longest.tasks / done


def measure(flags: argparse.Namespace) -> dict[str, Any]:
    """Run everything that was asked for."""
    result: dict[str, Any] = {}
    if not flags.no_peers:
        result["peers"] = [asdict(one) for one in peers.run(jobs=flags.jobs, rounds=flags.rounds)]
    for name, options in (("no AOF", ()), ("always", _ALWAYS)):
        one = best(lambda url: ours.throughput(url, tasks=flags.tasks, agents=100), flags.rounds, *options)
        result[f"one process, 100 agents, {name}"] = {"per_second": one.per_second, **asdict(one)}
    one = best(lambda url: ours.throughput(url, tasks=flags.tasks, agents=100, work=ours.apart), flags.rounds)
    result["the same without AOF, two calls a task"] = {"per_second": one.per_second, **asdict(one)}
    result["two processes, 1000 agents, always"] = side_by_side(flags.rounds, 2, flags.tasks, 1000, *_ALWAYS)
    with server(*_ALWAYS) as url:
        sorted_ms = asyncio.run(ours.latencies(url, samples=flags.samples))
        result["claim to start, ms"] = {
            "p50": sorted_ms[len(sorted_ms) // 2],
            "p99": sorted_ms[len(sorted_ms) * 99 // 100],
        }
        on_server, own = asyncio.run(ours.idle_share(url, agents=5000, seconds=flags.idle_seconds))
        result["5000 idle agents, share of a core"] = {"server": on_server, "process": own}
    return result


def show(result: dict[str, Any]) -> None:
    """Print figures and ratios."""
    console, table = Console(), Table(title="The queue, and others in the same run")
    for heading in ("what", "per second", "server us/task", "own us/task", "ours is"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    first = result["one process, 100 agents, no AOF"]
    for peer in sorted(result.get("peers", ()), key=lambda one: -one["jobs_per_second"]):
        figures = (peer["jobs_per_second"], peer["server_cpu_us"], peer["worker_cpu_us"])
        ratio = f"{first['per_second'] / peer['jobs_per_second']:.1f}x"
        table.add_row(f"{peer['peer']} ({peer['setting']})", *(f"{one:,.0f}" for one in figures), ratio)
    for name, value in result.items():
        if "per_second" in value:
            client = f"{value['client_cpu_us']:,.0f}" if "client_cpu_us" in value else "-"
            figures = (f"{value['per_second']:,.0f}", f"{value['server_cpu_us']:,.0f}", client)
            table.add_row(f"[bold]SwarmRun[/], {name}", *figures, "")
    console.print(table)
    start, idle = result["claim to start, ms"], result["5000 idle agents, share of a core"]
    console.print(f"memory per task: {first['bytes_per_task']:,.0f} bytes")
    console.print(
        f"enqueue to claim by a waiting agent: p50 {start['p50']:.2f} ms, p99 {start['p99']:.2f} ms"
    )
    console.print(
        f"5,000 idle agents: {idle['server']:.2%} of a core in the server, {idle['process']:.2%} in theirs"
    )


def main() -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="make bench-queue", description=__doc__)
    parser.add_argument("--no-peers", action="store_true", help="only ours")
    parser.add_argument("--jobs", type=int, default=4000, help="jobs for each peer")
    parser.add_argument("--tasks", type=int, default=20_000, help="tasks of ours")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--samples", type=int, default=1000, help="latencies")
    parser.add_argument("--idle-seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    flags = parser.parse_args()
    result = measure(flags)
    if flags.json:
        json.dump(result, sys.stdout, indent=2)
    else:
        show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())

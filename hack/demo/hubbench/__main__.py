"""python -m hubbench: what a streamed model call costs the hub, and how even 500 streams flow.

A real hub in front of a real Redis, with a provider that does nothing but stream. Every call is reserved and
settled. CPU is the hub process's own, from /proc. The floor, in the same run on the same provider, is a bare
aiohttp proxy that checks, counts and holds nothing. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from hubbench.load import Seen, drive, request_bytes
from hubbench.processes import cpu_seconds, free_port, memory_mib, module, running
from swarmrun.core.task import Task, TaskType
from swarmrun.queue.port import Claimed, RunState
from swarmrun.queue.redis import RedisQueue, connect
from swarmrun.runconfig import ModelPolicy, PriceOverride, ProviderConfig, RunConfig

_AGENT_TOKEN: Final = "agent-token"  # noqa: S105 — guards a benchmark
_PROMPT_BYTES: Final = 16_000
_UID: Final = "bench"
_CALL_PATH: Final = "/llm/{}/{}/openai/v1/chat/completions"


@dataclass(frozen=True)
class Options:
    """The command line."""

    calls: int
    connections: int
    chunks: int
    streams: int
    agents: int
    gaps: list[float]


@dataclass(frozen=True)
class Site:
    """One hub and its surroundings. `pids`: hub and Redis."""

    port: int
    upstream: int
    hub: int
    redis: int
    redis_url: str


def parse(argv: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench-hub", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--calls", type=int, default=6000, help="calls per measurement")
    parser.add_argument("--connections", type=int, default=50, help="connections at a time")
    parser.add_argument("--chunks", type=int, default=30, help="events of one answer")
    parser.add_argument("--streams", type=int, default=500, help="streams at the same time")
    parser.add_argument("--agents", type=int, default=1000, help="idle agents that wait for work")
    help_of_gaps = "milliseconds between events; one measurement for each"
    parser.add_argument("--gaps", type=float, nargs="*", default=[0.0, 10.0], help=help_of_gaps)
    return Options(**vars(parser.parse_args(argv)))


@contextmanager
def site(folder: Path, *, chunks: int, gap_ms: float) -> Iterator[Site]:
    """Start a Redis, a provider and a hub."""
    with ExitStack() as stack:
        redis_port, upstream, port = free_port(), free_port(), free_port()
        redis_argv = ["redis-server", "--bind", "127.0.0.1", "--port", str(redis_port), "--save", ""]
        redis = stack.enter_context(
            running([*redis_argv, "--dir", str(folder)], redis_port, folder / "redis.log")
        )
        provider = module("hubbench.upstream", str(upstream), str(chunks), str(gap_ms))
        stack.enter_context(running(provider, upstream, folder / "upstream.log"))
        redis_url = f"redis://127.0.0.1:{redis_port}/0"
        env = _environment(folder, port, upstream, redis_url)
        hub = stack.enter_context(running(module("swarm_hub"), port, folder / "hub.log", env))
        yield Site(port, upstream, hub, redis, redis_url)


def _environment(folder: Path, port: int, upstream: int, redis_url: str) -> dict[str, str]:
    config, token = folder / "run.json", folder / "token"
    price = PriceOverride(model="local", input_usd=Decimal(1), output_usd=Decimal(3))
    base_url = f"http://127.0.0.1:{upstream}"
    run = RunConfig(
        namespace="bench",
        name="bench",
        uid=_UID,
        project_name="Bench",
        profile="express",
        plan_hash="abc",
        provider=ProviderConfig(type="OpenAICompatible", base_url=base_url, prices=(price,)),
        models=ModelPolicy(default="local"),
        repository_url="https://git.example/bench.git",
        branch="main",
    )
    config.write_text(run.model_dump_json(), encoding="utf-8")
    token.write_text(_AGENT_TOKEN, encoding="utf-8")
    return {
        **os.environ,
        "REDIS_URL": redis_url,
        "SWARM_AGENT_TOKEN_FILE": str(token),
        "SWARM_LISTEN": f"127.0.0.1:{port}",
        "SWARM_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
        "SWARM_CONFIG_FILE": str(config),
    }


async def claims(redis_url: str, count: int) -> list[Claimed]:
    """Open a run and claim `count` tasks of it, one for each caller."""
    client = connect(redis_url)
    queue = RedisQueue(client, _UID)
    await queue.open(1)
    tasks = [Task(id=f"task-{n}", type=TaskType.IMPLEMENT_ENDPOINT, title=f"Task {n}") for n in range(count)]
    await queue.enqueue(tasks, plan_hash="abc", max_attempts=3, landed={})
    await queue.set_limit(1_000_000_000_000)
    await queue.set_state(RunState.ACTIVE)
    got = [await queue.claim(f"pod-{n}", ttl_seconds=3600) for n in range(count)]
    await client.aclose()
    return [each for each in got if isinstance(each, Claimed)]


def requests_of(leases: list[Claimed]) -> list[bytes]:
    """Render one streamed call of about 16 kB for each lease."""
    body = {
        "model": "local",
        "stream": True,
        "max_tokens": 4000,
        "messages": [
            {"role": "system", "content": "x = 1\n" * (_PROMPT_BYTES // 14)},
            {"role": "user", "content": 'return "y";\n' * (_PROMPT_BYTES // 28)},
        ],
    }
    text = json.dumps(body).encode()
    return [
        request_bytes(_CALL_PATH.format(each.lease.task_id, each.lease.token), _AGENT_TOKEN, text)
        for each in leases
    ]


async def per_call(port: int, pid: int, requests: list[bytes], calls: int) -> tuple[float, float, Seen]:
    """Return CPU milliseconds per call, calls per second, and what the callers saw."""
    each = max(1, calls // len(requests))
    await drive(port, requests, max(1, each // 10))
    loop = asyncio.get_running_loop()
    before, began = cpu_seconds(pid), loop.time()
    seen = await drive(port, requests, each)
    used, took = cpu_seconds(pid) - before, loop.time() - began
    if seen.failures:
        raise SystemExit(f"{len(seen.failures)} calls failed, the first with {seen.failures[0]!r}")
    return used / seen.calls * 1000, seen.calls / took, seen


async def speed(folder: Path, options: Options, gap_ms: float) -> None:
    """Compare the hub with the floor."""
    with site(folder, chunks=options.chunks, gap_ms=gap_ms) as at, ExitStack() as stack:
        port = free_port()
        argv = module("hubbench.floor", str(port), f"http://127.0.0.1:{at.upstream}")
        floor = stack.enter_context(running(argv, port, folder / "floor.log"))
        requests = requests_of(await claims(at.redis_url, options.connections))
        calls = options.calls if gap_ms == 0 else options.calls // 4
        bare, bare_rate, _ = await per_call(port, floor, requests, calls)
        redis_before = cpu_seconds(at.redis)
        hub, hub_rate, seen = await per_call(at.port, at.hub, requests, calls)
        redis = (cpu_seconds(at.redis) - redis_before) / (seen.calls * 1.1) * 1000
        how = "back to back" if gap_ms == 0 else f"{gap_ms:g} ms apart"
        print(
            f"{options.connections} connections, {options.chunks} events {how}: hub {hub:.2f} CPU-ms "
            f"per call ({hub_rate:.0f} calls/s), bare aiohttp proxy {bare:.2f} ({bare_rate:.0f} calls/s), "
            f"ratio {hub / bare:.2f}; Redis {redis:.3f} CPU-ms; hub {memory_mib(at.hub):.0f} MiB"
        )


async def streams(folder: Path, options: Options) -> None:
    """Let many slow streams flow at once, straight from the provider and through the hub."""
    gap_ms, chunks = 100.0, 50
    with site(folder, chunks=chunks, gap_ms=gap_ms) as at:
        requests = requests_of(await claims(at.redis_url, options.streams))
        for name, port, pid in (("provider itself", at.upstream, 0), ("hub", at.port, at.hub)):
            before = cpu_seconds(pid) if pid else 0.0
            seen = await drive(port, requests, 1)
            used = cpu_seconds(pid) - before if pid else 0.0
            if seen.failures:
                raise SystemExit(f"{len(seen.failures)} calls failed, first {seen.failures[0]!r}")
            gaps = sorted(seen.gaps)
            print(
                f"{options.streams} streams, an event each {gap_ms:g} ms, {name}: gap between events "
                f"p50 {gaps[len(gaps) // 2] * 1000:.0f} ms, p99 {gaps[len(gaps) * 99 // 100] * 1000:.0f} ms, "
                f"max {gaps[-1] * 1000:.0f} ms; {used / (seen.calls * chunks) * 1e6:.0f} CPU-µs per event"
            )


async def idle(folder: Path, options: Options) -> None:
    """Let many agents wait for work that does not come, in long polls of 20 seconds."""
    with site(folder, chunks=1, gap_ms=0) as at:
        await claims(at.redis_url, 0)
        callers = [await asyncio.open_connection("127.0.0.1", at.port) for _ in range(options.agents)]
        await _poll(callers, 0)  # all are known now
        loop = asyncio.get_running_loop()
        before, redis_before, began = cpu_seconds(at.hub), cpu_seconds(at.redis), loop.time()
        refused = await _poll(callers, 20)
        took = loop.time() - began
        hub, redis = cpu_seconds(at.hub) - before, cpu_seconds(at.redis) - redis_before
        for _, writer in callers:
            writer.close()
        print(
            f"{options.agents} idle agents, long polls of 20 s: hub {hub / took * 100:.1f} % of a core, "
            f"Redis {redis / took * 100:.1f} %; {refused} polls refused; hub {memory_mib(at.hub):.0f} MiB"
        )


async def _poll(callers: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]], seconds: int) -> int:
    """Ask for work on every connection, and return how many were refused."""
    for number, (_, writer) in enumerate(callers):
        body = json.dumps({"pod": f"pod-{number}", "wait_seconds": seconds}).encode()
        writer.write(request_bytes("/v1/claim", _AGENT_TOKEN, body))
    heads = await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in callers))
    for head, (reader, _) in zip(heads, callers, strict=True):
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
    return sum(b" 200 " not in head for head in heads)


async def _main(options: Options) -> None:
    with tempfile.TemporaryDirectory(prefix="hubbench-") as name:
        folder = Path(name)
        for gap_ms in options.gaps:
            await speed(folder, options, gap_ms)
        if options.streams:
            await streams(folder, options)
        if options.agents:
            await idle(folder, options)


if __name__ == "__main__":
    asyncio.run(_main(parse()))

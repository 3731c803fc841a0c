"""The hub as a process of its own, in front of a real Redis."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from hub_support import (
    AGENT_TOKEN,
    COST,
    MODEL,
    PROVIDER_KEY,
    Provider,
    free_port,
    process,
    run_config,
    running_provider,
    running_redis,
    tasks,
)
from swarmrun.queue.port import Claimed, RunState
from swarmrun.queue.redis import RedisQueue
from swarmrun.runconfig import ProviderConfig, ProviderEndpoint

pytestmark = pytest.mark.redis
HEADERS = {"Authorization": f"Bearer {AGENT_TOKEN}"}
CALL = {
    "model": MODEL["OpenAI"],
    "messages": [{"role": "user", "content": "slow"}],
    "max_tokens": 100,
    "stream": True,
}


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[tuple[RedisQueue, str]]:
    async with running_redis(tmp_path) as (store, url):
        await store.open(1)
        await store.enqueue(tasks(3), plan_hash="abc", max_attempts=3, landed={})
        await store.set_limit(10_000_000)
        await store.set_state(RunState.ACTIVE)
        yield store, url


@asynccontextmanager
async def hub_process(
    tmp_path: Path,
    provider: Provider,
    redis_url: str,
    key: str = PROVIDER_KEY,
    *,
    second: Provider | None = None,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    port = free_port()
    config, token = tmp_path / "run.json", tmp_path / "agent-token"
    fallback = second and ProviderEndpoint(type="OpenAI", base_url=f"{second.url}/v1")
    there = ProviderConfig(type="OpenAI", base_url=f"{provider.url}/v1", fallback=fallback)
    run = run_config("OpenAI", there.base_url).model_copy(update={"provider": there})
    config.write_text(run.model_dump_json())
    token.write_text(AGENT_TOKEN + "\n")
    env = {
        "PATH": os.environ["PATH"],
        "REDIS_URL": redis_url,
        "SWARM_AGENT_TOKEN_FILE": str(token),
        "SWARM_PROVIDER_API_KEY": key + "\n",
        "SWARM_PROVIDER_FALLBACK_API_KEY": second.key if second else "",
        "SWARM_LISTEN": f"127.0.0.1:{port}",
        "SWARM_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
        "SWARM_REFUSED_GRACE_SECONDS": "0",
        "SWARM_CONFIG_FILE": str(config),
    }
    url = f"http://127.0.0.1:{port}"
    async with process(sys.executable, "-m", "swarm_hub", env=env, log=tmp_path / "hub.log") as child:
        async with asyncio.timeout(20), aiohttp.ClientSession() as session:
            while not await answers(session, f"{url}/readyz"):
                assert child.returncode is None, (tmp_path / "hub.log").read_text()
        yield child, url


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def claim(session: aiohttp.ClientSession, url: str) -> Claimed:
    async with session.post(f"{url}/v1/claim", json={"pod": "pod-0", "wait_seconds": 5}) as answer:
        return Claimed.model_validate((await answer.json())["claimed"])


async def test_sigterm_lets_streams_end_settles_them_and_exits_with_0(
    tmp_path: Path, provider: Provider, queue: tuple[RedisQueue, str]
) -> None:
    store, redis_url = queue
    async with (
        hub_process(tmp_path, provider, redis_url) as (child, url),
        aiohttp.ClientSession(headers=HEADERS) as session,
    ):
        lease = (await claim(session, url)).lease
        endpoint = f"{url}/llm/{lease.task_id}/{lease.token}/openai/v1/chat/completions"
        async with session.post(endpoint, json=CALL) as answer:
            await answer.content.readany()
            await provider.begun.wait()
            assert (await store.totals()).reserved_micro_usd > COST["OpenAI"]
            child.send_signal(signal.SIGTERM)
            provider.proceed.set()
            text = (await answer.read()).decode()
        assert text.endswith("data: [DONE]\n\n")
        assert await asyncio.wait_for(child.wait(), 20) == 0
    totals = await store.totals()
    assert (totals.spent_micro_usd, totals.reserved_micro_usd) == (COST["OpenAI"], 0)
    log = (tmp_path / "hub.log").read_text()
    assert PROVIDER_KEY not in log
    assert AGENT_TOKEN not in log
    assert all(json.loads(line)["msg"] for line in log.splitlines())


async def test_a_killed_hub_leaves_its_hold_to_the_reaper(
    tmp_path: Path, provider: Provider, queue: tuple[RedisQueue, str]
) -> None:
    store, redis_url = queue
    async with (
        hub_process(tmp_path, provider, redis_url) as (child, url),
        aiohttp.ClientSession(headers=HEADERS) as session,
    ):
        lease = (await claim(session, url)).lease
        endpoint = f"{url}/llm/{lease.task_id}/{lease.token}/openai/v1/chat/completions"
        async with session.post(endpoint, json=CALL) as answer:
            await answer.content.readany()
            await provider.begun.wait()
            child.kill()
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
    totals = await store.totals()
    assert totals.spent_micro_usd == 0
    assert totals.reserved_micro_usd > COST["OpenAI"]


async def test_a_refused_hub_ends_and_its_successor_lifts_the_refusal(
    tmp_path: Path, provider: Provider, queue: tuple[RedisQueue, str]
) -> None:
    store, redis_url = queue
    for key, status, reason in (
        ("revoked-key", 401, "ProviderUnauthorized"),
        (PROVIDER_KEY, 200, "Available"),
    ):
        async with (
            hub_process(tmp_path, provider, redis_url, key) as (child, url),
            aiohttp.ClientSession(headers=HEADERS) as session,
        ):
            lease = (await claim(session, url)).lease
            endpoint = f"{url}/llm/{lease.task_id}/{lease.token}/openai/v1/chat/completions"
            provider.proceed.set()
            async with session.post(endpoint, json=CALL) as answer:
                assert answer.status == status
                await answer.read()
            if status == 200:
                child.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(child.wait(), 20) == 0
        found = (await store.snapshot()).signals["provider"]
        assert (found.ok, found.reason) == (status == 200, reason)


async def test_a_hub_with_a_fallback_goes_on_when_its_key_is_refused_and_ends_when_both_are(
    tmp_path: Path, provider: Provider, queue: tuple[RedisQueue, str]
) -> None:
    store, redis_url = queue
    async with running_provider() as second:
        second.key = "second-key-5678"
        second.proceed.set()
        async with (
            hub_process(tmp_path, provider, redis_url, "revoked-key", second=second) as (child, url),
            aiohttp.ClientSession(headers=HEADERS) as session,
        ):
            lease = (await claim(session, url)).lease
            endpoint = f"{url}/llm/{lease.task_id}/{lease.token}/openai/v1/chat/completions"
            for _ in range(2):
                async with session.post(endpoint, json=CALL) as answer:
                    assert answer.status == 200
                    await answer.read()
            assert (len(provider.requests), len(second.requests)) == (1, 2)
            second.key = "another"
            async with session.post(endpoint, json=CALL) as answer:
                assert answer.status == 401
                assert "second-key-5678" not in await answer.text()
            assert await asyncio.wait_for(child.wait(), 20) == 0
    found = (await store.snapshot()).signals["provider"]
    assert (found.ok, found.reason) == (False, "ProviderUnauthorized")
    seen = (tmp_path / "hub.log").read_text() + found.message
    assert "revoked-key" not in seen
    assert "second-key-5678" not in seen


async def test_missing_settings_are_named_all_at_once(tmp_path: Path) -> None:
    log = tmp_path / "hub.log"
    async with process(sys.executable, "-m", "swarm_hub", env={}, log=log) as child:
        assert await child.wait() == 2
    named = {json.loads(line)["variable"] for line in log.read_text().splitlines()}
    assert named == {"REDIS_URL", "SWARM_AGENT_TOKEN_FILE"}

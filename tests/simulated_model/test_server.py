"""The official SDKs against the server, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import anthropic
import openai
import pytest
from aiohttp.test_utils import TestServer

from simulated_model.__main__ import settings_from
from simulated_model.faults import Faults
from simulated_model.parse import Message
from simulated_model.rehearsal import conversation, files_in, rehearse
from simulated_model.server import Server, Settings

KEY = "a-key"
Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """A function that starts a server with settings and gives its URL."""
    servers: list[TestServer] = []

    async def run(**settings: Any) -> str:
        server = TestServer(Server(Settings(api_key=KEY, **settings)).app())
        await server.start_server()
        servers.append(server)
        return str(server.make_url("")).rstrip("/")

    yield run
    for server in servers:
        await server.close()


@pytest.fixture
def talk(specification: Callable[[str], Any]) -> list[Message]:
    """A real prompt."""
    rehearsal = rehearse(specification("task_management"))
    return conversation(rehearsal.plan.task("api.users.create"), rehearsal.profile)


def _openai(url: str, key: str = KEY) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def _anthropic(url: str, key: str = KEY) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0)


def _messages(talk: list[Message]) -> Any:
    return [{"role": m.role, "content": m.text} for m in talk]


async def _ask_openai(url: str, talk: list[Message], **more: Any) -> Any:
    async with _openai(url) as client:
        return await client.chat.completions.create(model="gpt-4-turbo", messages=_messages(talk), **more)


async def _journal(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/journal") as response:
        report: dict[str, Any] = await response.json()
        return report


async def test_openai_answers_whole(start: Start, talk: list[Message]) -> None:
    done = await _ask_openai(await start(), talk)

    assert set(files_in(done.choices[0].message.content)) == {"src/resources/users/create.ts"}
    assert done.choices[0].finish_reason == "stop"
    assert done.usage.prompt_tokens > 500
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens


async def test_openai_streams_and_reports_usage_last(start: Start, talk: list[Message]) -> None:
    url = await start()
    async with _openai(url) as client:
        stream = await client.chat.completions.create(
            model="gpt-4-turbo",
            messages=_messages(talk),
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]

    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert set(files_in(text)) == {"src/resources/users/create.ts"}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 100


async def test_anthropic_streams_and_reports_usage(start: Start, talk: list[Message]) -> None:
    url = await start()
    async with (
        _anthropic(url) as client,
        client.messages.stream(
            model="claude", max_tokens=8000, system=talk[0].text, messages=_messages(talk[1:])
        ) as stream,
    ):
        text = "".join([part async for part in stream.text_stream])
        final = await stream.get_final_message()

    assert set(files_in(text)) == {"src/resources/users/create.ts"}
    assert final.stop_reason == "end_turn"
    assert final.usage.input_tokens > 500
    assert final.usage.output_tokens > 100


async def test_both_dialects_say_the_same(start: Start, talk: list[Message]) -> None:
    url = await start()
    first = await _ask_openai(url, talk)
    async with _anthropic(url) as client:
        second = await client.messages.create(
            model="claude", max_tokens=8000, system=talk[0].text, messages=_messages(talk[1:])
        )

    assert first.choices[0].message.content == second.content[0].text  # type: ignore[union-attr] # only text blocks exist here


async def test_the_limit_of_output_tokens_is_kept(start: Start, talk: list[Message]) -> None:
    done = await _ask_openai(await start(), talk, max_completion_tokens=50)

    assert done.choices[0].finish_reason == "length"
    assert done.usage.completion_tokens == 50


async def test_a_wrong_key_is_refused_in_each_dialect(start: Start, talk: list[Message]) -> None:
    url = await start()
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
        async with _openai(url, "wrong") as client:
            await client.chat.completions.create(model="m", messages=_messages(talk))
    with pytest.raises(anthropic.AuthenticationError, match="Incorrect API key"):
        async with _anthropic(url, "wrong") as other:
            await other.messages.create(model="m", max_tokens=10, messages=_messages(talk[1:]))


async def test_an_unknown_model_is_refused_when_models_are_named(start: Start, talk: list[Message]) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-4-turbo"):
        await _ask_openai(await start(models=("other",)), talk)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'{"model": "m"}', b'{"model": "m", "messages": [{"role": "x"}]}']
)
async def test_a_malformed_request_gets_400(start: Start, body: bytes) -> None:
    url = await start()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/chat/completions", data=body, headers=headers) as response,
    ):
        assert response.status == 400
        assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_a_rate_limit_says_when_to_come_back_and_lets_the_retry_through(
    start: Start, talk: list[Message]
) -> None:
    url = await start(faults=Faults({"rate-limit": 1.0}))

    with pytest.raises(openai.RateLimitError) as refused:
        await _ask_openai(url, talk)

    assert refused.value.response.headers["retry-after"] == "1"
    assert (await _ask_openai(url, talk)).choices[0].finish_reason == "stop"


async def test_a_server_error_is_met_once(start: Start, talk: list[Message]) -> None:
    url = await start(faults=Faults({"server-error": 1.0}))

    with pytest.raises(openai.InternalServerError):
        await _ask_openai(url, talk)
    await _ask_openai(url, talk)


async def test_a_disconnect_ends_a_stream_in_the_middle(start: Start, talk: list[Message]) -> None:
    url = await start(faults=Faults({"disconnect": 1.0}))

    async def read() -> None:
        stream = await _ask_openai(url, talk, stream=True)
        async for _ in stream:
            pass

    with pytest.raises(openai.APIConnectionError):
        await read()


async def test_faults_do_not_depend_on_concurrency(start: Start, specification: Callable[[str], Any]) -> None:
    rehearsal = rehearse(specification("library"))
    talks = [conversation(task, rehearsal.profile) for task in rehearsal.plan.tasks]
    faults = Faults({"wrong-code": 0.3, "malformed": 0.3, "rate-limit": 0.3}, seed=5)

    async def outcomes(*, at_once: bool) -> dict[str, str]:
        url = await start(faults=faults)
        calls = [_ask_openai(url, talk) for talk in talks]
        if at_once:
            await asyncio.gather(*calls, return_exceptions=True)
        else:
            for call in calls:
                await asyncio.gather(call, return_exceptions=True)
        return {entry["task_id"]: entry["fault"] for entry in (await _journal(url))["entries"]}

    assert await outcomes(at_once=True) == await outcomes(at_once=False)


async def test_the_journal_tells_what_happened_without_text_or_key(start: Start, talk: list[Message]) -> None:
    url = await start()
    await _ask_openai(url, talk)

    report = await _journal(url)

    assert report["requests"] == 1
    entry = report["entries"][0]
    assert (entry["task_id"], entry["type"], entry["attempt"], entry["round"], entry["status"]) == (
        "api.users.create",
        "implement_endpoint",
        1,
        0,
        200,
    )
    assert KEY not in str(report)


def test_the_command_line_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    settings, host, port = settings_from(
        ["--listen", "0.0.0.0:9000", "--api-key", "k", "--faults", "slow=0.5", "--seed", "3"]
    )
    assert (host, port, settings.faults.seed) == ("0.0.0.0", 9000, 3)  # noqa: S104 — only parsed
    for wrong in (["--listen", "x"], ["--api-key", ""], ["--api-key", "k", "--faults", "x=1"]):
        with pytest.raises(SystemExit):
            settings_from(wrong)
    assert "--faults" in capsys.readouterr().err

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_hub.dialects import AnthropicDialect, Dialect, OpenAIDialect, dialect_for
from swarm_hub.dialects.base import TEMPLATE_TOKENS, token_bound
from swarm_hub.dialects.sse import MAX_LINE
from swarmrun.core.errors import Invalid
from swarmrun.core.pricing import TokenUsage

OPENAI = OpenAIDialect(vendor=True)
LOCAL = OpenAIDialect(vendor=False)
ANTHROPIC = AnthropicDialect()
MESSAGES = [{"role": "user", "content": "hi"}]
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'


def cap(_: str) -> int:
    return 1000


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": MESSAGES, **fields}).encode()


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("dialect", "field"),
    [(OPENAI, "max_completion_tokens"), (LOCAL, "max_tokens"), (ANTHROPIC, "max_tokens")],
)
def test_a_missing_output_limit_is_set(dialect: Dialect, field: str) -> None:
    call = dialect.parse(body(), max_output=lambda _: 777)
    assert call.max_output_tokens == 777
    assert json.loads(call.body)[field] == 777


def test_the_larger_of_two_output_limits_is_reserved() -> None:
    call = OPENAI.parse(body(max_tokens=5, max_completion_tokens=50), max_output=cap)
    assert call.max_output_tokens == 50


@pytest.mark.parametrize("dialect", [OPENAI, LOCAL, ANTHROPIC])
def test_an_output_limit_above_the_cap_is_lowered(dialect: Dialect) -> None:
    call = dialect.parse(body(max_tokens=1_000_000), max_output=cap)
    assert call.max_output_tokens == 1000
    assert json.loads(call.body)["max_tokens"] == 1000


def test_streams_report_their_usage_whatever_the_caller_says() -> None:
    call = OPENAI.parse(body(stream=True, stream_options={"include_usage": False}), max_output=cap)
    assert json.loads(call.body)["stream_options"] == {"include_usage": True}


def test_only_the_vendor_is_held_to_the_standard_tier() -> None:
    assert json.loads(OPENAI.parse(body(), max_output=cap).body)["service_tier"] == "default"
    assert "service_tier" not in json.loads(LOCAL.parse(body(), max_output=cap).body)


@pytest.mark.parametrize(
    ("dialect", "fields", "path"),
    [
        (OPENAI, {"service_tier": "priority"}, "service_tier"),
        (OPENAI, {"n": 4}, "n"),
        (OPENAI, {"web_search_options": {}}, "web_search_options"),
        (OPENAI, {"modalities": ["audio"]}, "modalities"),
        (OPENAI, {"max_tokens": -1}, "max_tokens"),
        (OPENAI, {"max_tokens": True}, "max_tokens"),
        (OPENAI, {"stream": "yes"}, "stream"),
        (OPENAI, {"model": ""}, "model"),
        (OPENAI, {"messages": []}, "messages"),
        (OPENAI, {"tools": [{"type": "web_search"}]}, "tools.0.type"),
        (
            OPENAI,
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content.0.type",
        ),
        (ANTHROPIC, {"speed": "fast"}, "speed"),
        (ANTHROPIC, {"inference_geo": "us"}, "inference_geo"),
        (ANTHROPIC, {"mcp_servers": []}, "mcp_servers"),
        (ANTHROPIC, {"tools": [{"type": "web_search_20260318"}]}, "tools.0.type"),
        (ANTHROPIC, {"system": [{"type": "image"}]}, "system.0.type"),
        (
            ANTHROPIC,
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "content": [{"type": "image"}]}],
                    }
                ]
            },
            "messages.0.content.0.content.0.type",
        ),
    ],
)
def test_what_may_change_the_price_is_refused_by_name(
    dialect: Dialect, fields: dict[str, Any], path: str
) -> None:
    with pytest.raises(Invalid) as caught:
        dialect.parse(body(**fields), max_output=cap)
    assert [problem.path for problem in caught.value.problems] == [path]
    assert all(problem.rule and problem.fix for problem in caught.value.problems)


@pytest.mark.parametrize("sent", [b"", b"[]", b"{", b'{"model": "\\ud800"}', b"\xff"])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
def test_what_is_no_json_object_is_refused(dialect: Dialect, sent: bytes) -> None:
    with pytest.raises(Invalid):
        dialect.parse(sent, max_output=cap)


def test_of_a_doubled_key_one_reaches_the_provider() -> None:
    call = OPENAI.parse(
        b'{"model":"cheap","messages":[{"role":"user","content":"x"}],"model":"dear"}', max_output=cap
    )
    assert call.model == "dear"
    assert call.body.count(b'"model"') == 1


@given(st.text())
def test_the_token_bound_covers_the_text_in_any_normal_form(text: str) -> None:
    sent = OPENAI.parse(
        json.dumps(
            {"model": "m", "messages": [{"role": "user", "content": text}]}, ensure_ascii=False
        ).encode("utf-8", "replace"),
        max_output=cap,
    )
    assert sent.input_tokens_bound >= len(text.encode("utf-8", "replace")) + TEMPLATE_TOKENS


def test_a_ligature_counts_as_what_it_unfolds_to() -> None:
    assert token_bound("\ufdfa".encode()) == TEMPLATE_TOKENS + 33


def test_openai_cached_tokens_are_counted_apart() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assert OPENAI.usage_of(json.dumps({"usage": usage}).encode()) == TokenUsage(
        input_tokens=10, cache_read_tokens=60, cache_write_tokens=30, output_tokens=7
    )


def test_anthropic_writes_for_an_hour_are_counted_apart() -> None:
    usage = {
        "input_tokens": 1,
        "cache_creation_input_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
        "cache_read_input_tokens": 9,
        "output_tokens": 3,
    }
    assert ANTHROPIC.usage_of(json.dumps({"usage": usage}).encode()) == TokenUsage(
        input_tokens=1,
        cache_read_tokens=9,
        cache_write_tokens=20,
        cache_write_long_tokens=30,
        output_tokens=3,
    )


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"{}", b'{"usage":null}', b'{"usage":{}}'])
def test_usage_that_is_not_stated_is_unknown(dialect: Dialect, answer: bytes) -> None:
    assert dialect.usage_of(answer) is None


def test_usage_before_the_stop_is_not_final() -> None:
    meter = OPENAI.meter()
    meter.feed(event(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 1}))
    assert (meter.usage, meter.stop_reason) == (None, "")
    meter.feed(FINISH)
    assert (meter.usage, meter.stop_reason) == (None, "stop")
    meter.feed(event(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 9}))
    assert meter.usage == TokenUsage(input_tokens=5, output_tokens=9)


def test_an_anthropic_stream_without_its_last_delta_has_no_usage() -> None:
    meter = ANTHROPIC.meter()
    meter.feed(event(type="message_start", message={"usage": {"input_tokens": 5, "output_tokens": 1}}))
    assert meter.usage is None
    meter.feed(event(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 8}))
    assert meter.usage == TokenUsage(input_tokens=5, output_tokens=8)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_streams_may_be_cut_anywhere(cuts: list[int]) -> None:
    stream = FINISH + event(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 9})
    meter = OPENAI.meter()
    start = 0
    for cut in cuts:
        meter.feed(stream[start : start + cut])
        start += cut
    meter.feed(stream[start:])
    assert meter.usage == TokenUsage(input_tokens=5, output_tokens=9)


def test_an_endless_line_ends_the_metering_and_is_not_kept() -> None:
    meter = OPENAI.meter()
    meter.feed(b"data: " + b"x" * (MAX_LINE + 1))
    meter.feed(b"\n" + FINISH + event(choices=[], usage={"prompt_tokens": 5, "completion_tokens": 9}))
    assert meter.usage is None


@pytest.mark.parametrize(
    ("version", "header", "value"),
    [
        ("2026-10-21", "Authorization", "Bearer k"),
        ("2023-06-01", "x-api-key", "k"),
        ("", "x-api-key", "k"),
    ],
)
def test_the_anthropic_key_goes_where_its_api_version_wants_it(version: str, header: str, value: str) -> None:
    headers = ANTHROPIC.headers("k", {"anthropic-version": version} if version else {})
    assert headers[header] == value
    assert len({"Authorization", "x-api-key"} & headers.keys()) == 1


def test_no_header_of_the_client_but_the_known_ones_goes_out() -> None:
    client = {"Authorization": "Bearer agent", "x-api-key": "agent", "Cookie": "c", "User-Agent": "sdk"}
    assert OPENAI.headers("k", client) == {"Authorization": "Bearer k", "User-Agent": "sdk"}
    assert LOCAL.headers("", client) == {"User-Agent": "sdk"}
    assert "agent" not in str(ANTHROPIC.headers("k", client))


def test_each_provider_type_has_its_dialect() -> None:
    assert [dialect_for(kind).name for kind in ("OpenAI", "OpenAICompatible", "Anthropic")] == [
        "openai",
        "openai",
        "anthropic",
    ]

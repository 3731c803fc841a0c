import asyncio
import json

import pytest

from swarm_hub.background import Background
from swarm_hub.health import ProviderHealth, ProviderRefused, refusal_of
from swarmrun.core.errors import Retryable
from swarmrun.queue.port import Signal


class Store:
    """Takes signals, after as many failures as told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.reasons: list[str] = []

    async def signal(self, component: str, signal: Signal) -> None:
        assert component == "provider"
        if self.failures:
            self.failures -= 1
            raise Retryable("away")
        self.reasons.append(signal.reason)


def body(message: str) -> bytes:
    return json.dumps({"error": {"message": message}}).encode()


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (401, "bad key", "ProviderUnauthorized"),
        (403, "not your region", "ProviderUnauthorized"),
        (404, "no such model", "ModelNotFound"),
        (402, "pay", "ProviderQuotaExhausted"),
        (429, "You exceeded your quota: insufficient_quota", "ProviderQuotaExhausted"),
        (400, "Your credit balance is too low", "ProviderQuotaExhausted"),
    ],
)
def test_a_refusal_has_a_reason_for_the_condition(status: int, message: str, reason: str) -> None:
    refusal = refusal_of(status, body(message), "")
    assert refusal
    assert (refusal.reason, refusal.message) == (reason, message)


@pytest.mark.parametrize(
    ("status", "message"),
    [(429, "slow down, see account/billing"), (400, "prompt too long"), (500, "oops"), (529, "overloaded")],
)
def test_what_passes_by_itself_is_no_refusal(status: int, message: str) -> None:
    assert refusal_of(status, body(message), "") is None


@pytest.mark.parametrize("answer", [b"", b"<html>my-key</html>", b'{"error":"my-key"}', body("my-key " * 99)])
def test_the_message_is_short_and_never_quotes_the_key(answer: bytes) -> None:
    refusal = refusal_of(401, answer, "my-key")
    assert refusal
    assert refusal.message
    assert "my-key" not in refusal.message
    assert len(refusal.message) <= 300


async def test_signals_arrive_in_order_even_when_the_store_was_away() -> None:
    store, background = Store(failures=2), Background()
    health = ProviderHealth(store.signal, background, "")
    health.begin()
    health.succeeded()
    health.succeeded()
    health.failed(401, body("revoked"))
    await background.drain(10)
    assert store.reasons == ["Probing", "Available", "ProviderUnauthorized"]


async def test_a_missing_price_is_not_hidden_by_a_call_that_succeeds() -> None:
    store, background = Store(), Background()
    health = ProviderHealth(store.signal, background, "")
    health.report_unpriced("the price of x is unknown")
    health.succeeded()
    await background.drain(10)
    assert store.reasons == ["PriceUnknown"]


async def test_while_unproven_calls_go_out_one_by_one_and_then_together() -> None:
    health = ProviderHealth(Store().signal, Background(), "")
    inside, most = 0, 0

    async def unproven() -> None:
        nonlocal inside, most
        async with health.turn():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(unproven() for _ in range(5)))
    assert most == 1
    health.succeeded()
    all_inside = asyncio.Barrier(5)

    async def proven() -> None:
        async with health.turn():
            await all_inside.wait()

    await asyncio.wait_for(asyncio.gather(*(proven() for _ in range(5))), 10)


async def test_after_a_refusal_no_call_goes_out() -> None:
    health = ProviderHealth(Store().signal, Background(), "")
    health.failed(401, body("revoked"))
    with pytest.raises(ProviderRefused, match="revoked"):
        async with health.turn():
            raise AssertionError
    assert health.refused.is_set()

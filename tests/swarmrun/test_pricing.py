from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmrun.core.errors import Stalled
from swarmrun.core.pricing import (
    Price,
    PriceUnknown,
    Rates,
    Tier,
    TokenUsage,
    cost_micro_usd,
    worst_case_micro_usd,
)
from swarmrun.prices import lookup_price, unpriced_models
from swarmrun.runconfig import PriceOverride, ProviderConfig

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OPENAI = ProviderConfig(type="OpenAI")
ANTHROPIC = ProviderConfig(type="Anthropic")
RATE = st.decimals(min_value=0, max_value=1000, places=6)
RATES = st.builds(
    Rates,
    input=RATE,
    output=RATE,
    cache_read=st.none() | RATE,
    cache_write=st.none() | RATE,
    cache_write_long=st.none() | RATE,
)
TOKENS = st.integers(min_value=0, max_value=2_000_000)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    starts = sorted(draw(st.sets(st.integers(1, 2_000_000), max_size=3)))
    return Price(
        base=draw(RATES), tiers=tuple(Tier(above_tokens=start, rates=draw(RATES)) for start in starts)
    )


@given(prices(), st.builds(TokenUsage, **dict.fromkeys(TokenUsage.model_fields, TOKENS)), TOKENS, TOKENS)
def test_real_cost_never_exceeds_the_worst_case(
    price: Price, usage: TokenUsage, more_input: int, more_output: int
) -> None:
    worst = worst_case_micro_usd(price, usage.prompt_tokens + more_input, usage.output_tokens + more_output)
    assert cost_micro_usd(price, usage) <= worst


def test_worst_case_takes_the_dearest_input_rate() -> None:
    price = Price(base=Rates(input=Decimal(4), output=Decimal(20), cache_write=Decimal(5)))
    assert worst_case_micro_usd(price, 1_000, 100) == 1_000 * 5 + 100 * 20


def test_crossing_a_tier_prices_every_token_at_its_rate() -> None:
    price = Price(
        base=Rates(input=Decimal("0.10"), output=Decimal("0.50")),
        tiers=(Tier(above_tokens=100_000, rates=Rates(input=Decimal("0.50"), output=Decimal("2.50"))),),
    )
    assert cost_micro_usd(price, TokenUsage(input_tokens=100_000)) == 10_000
    assert cost_micro_usd(price, TokenUsage(input_tokens=60_000, cache_read_tokens=40_001)) == 50_001


def test_a_fraction_of_a_micro_dollar_is_rounded_up() -> None:
    price = Price(base=Rates(input=Decimal("0.01"), output=Decimal(0)))
    assert cost_micro_usd(price, TokenUsage(input_tokens=1)) == 1


def test_gpt_4_turbo_is_priced() -> None:
    price = lookup_price("gpt-4-turbo", OPENAI, at=NOW)
    assert (price.base.input, price.base.output) == (Decimal(10), Decimal(30))


def test_cache_rates_and_long_context_tiers_come_from_the_table() -> None:
    price = lookup_price("claude-haiku-5-5", ANTHROPIC, at=NOW)
    assert price.base.write == Decimal("0.125")
    assert price.rates_at(100_000).input == Decimal("0.1")
    assert price.rates_at(100_001).input == Decimal("0.5")


def test_an_override_wins_over_the_table() -> None:
    override = PriceOverride(model="gpt-4-turbo", input_usd=Decimal(1), output_usd=Decimal(2))
    price = lookup_price("gpt-4-turbo", OPENAI.model_copy(update={"prices": (override,)}), at=NOW)
    assert price.base == Rates(input=Decimal(1), output=Decimal(2))


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-nonesuch", OPENAI),
        ("gpt-4-turbo", ANTHROPIC),
        ("gpt-4-turbo", ProviderConfig(type="OpenAICompatible", base_url="http://models.local/v1")),
        ("gpt-4-turbo", ProviderConfig(type="OpenAICompatible")),
    ],
)
def test_an_unknown_price_is_refused_with_the_fix(model: str, provider: ProviderConfig) -> None:
    with pytest.raises(PriceUnknown, match=r"spec\.provider\.prices") as caught:
        lookup_price(model, provider, at=NOW)
    assert isinstance(caught.value, Stalled)
    assert caught.value.reason == "PriceUnknown"
    assert model in caught.value.message


def test_a_local_model_may_cost_nothing() -> None:
    free = PriceOverride(model="qwen", input_usd=Decimal(0), output_usd=Decimal(0))
    provider = ProviderConfig(type="OpenAICompatible", base_url="http://models.local/v1", prices=(free,))
    assert worst_case_micro_usd(lookup_price("qwen", provider, at=NOW), 1_000_000, 1_000_000) == 0


def test_unpriced_models_are_listed_once() -> None:
    assert unpriced_models(("x", "gpt-4-turbo", "x", "y"), OPENAI, at=NOW) == ("x", "y")

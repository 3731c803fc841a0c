"""What a model call may cost at most, and what it did cost. Decimal prices in, integer micro-dollars out.

Two rules keep the ledger honest. The worst case takes the dearest rate that the call can reach (cache
writes, long-context tiers), and both sums are rounded up once, so that for the same token counts the real
cost is never above the worst case.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from pydantic import Field

from swarmrun.core.errors import Stalled
from swarmrun.core.task import Frozen


class PriceUnknown(Stalled):
    """The price of a model is not known, so no call of it may be made."""

    def __init__(self, model: str, fix: str) -> None:
        super().__init__("PriceUnknown", f"the price of model {model!r} is unknown; {fix}")
        self.model = model


class Rates(Frozen):
    """US dollars per million tokens. A cache rate that is None costs what uncached input costs."""

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cache_read: Decimal | None = Field(default=None, ge=0)
    cache_write: Decimal | None = Field(default=None, ge=0)
    #: Writes with a lifetime of an hour; None means the rate of `cache_write`.
    cache_write_long: Decimal | None = Field(default=None, ge=0)

    @property
    def read(self) -> Decimal:
        """Rate of tokens read from the cache."""
        return self.input if self.cache_read is None else self.cache_read

    @property
    def write(self) -> Decimal:
        """Rate of tokens written to the cache."""
        return self.input if self.cache_write is None else self.cache_write

    @property
    def write_long(self) -> Decimal:
        """Rate of tokens written to the cache for an hour."""
        return self.write if self.cache_write_long is None else self.cache_write_long

    @property
    def dearest_input(self) -> Decimal:
        """The most that one token of the prompt can cost."""
        return max(self.input, self.read, self.write, self.write_long)


class Tier(Frozen):
    """Long-context rates: they hold for all tokens of a call with more than `above_tokens` of input."""

    above_tokens: int = Field(ge=0)
    rates: Rates


class Price(Frozen):
    """Price of one model: the base rates, and tiers in ascending order."""

    base: Rates
    tiers: tuple[Tier, ...] = ()

    def rates_at(self, input_tokens: int) -> Rates:
        """Rates of a call with that much input, cached tokens included."""
        rates = self.base
        for tier in self.tiers:
            if input_tokens > tier.above_tokens:
                rates = tier.rates
        return rates


class TokenUsage(Frozen):
    """Token counts of one call. `input_tokens` excludes cache reads and writes; output includes reasoning."""

    input_tokens: int = Field(default=0, ge=0)
    cache_read_tokens: int = Field(default=0, ge=0)
    cache_write_tokens: int = Field(default=0, ge=0)
    #: Part of the writes with a lifetime of an hour; not contained in `cache_write_tokens`.
    cache_write_long_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompt; long-context tiers count these."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.cache_write_long_tokens
        )


def worst_case_micro_usd(price: Price, input_tokens_bound: int, max_output_tokens: int) -> int:
    """Return the most that a call can cost, in micro-dollars.

    Every tier within reach of the bound counts: a shorter prompt may fall into a dearer one.
    """
    reachable = [price.base, *(t.rates for t in price.tiers if input_tokens_bound > t.above_tokens)]
    return max(
        _round_up(input_tokens_bound * rates.dearest_input + max_output_tokens * rates.output)
        for rates in reachable
    )


def cost_micro_usd(price: Price, usage: TokenUsage) -> int:
    """Return the cost of a call, in micro-dollars, rounded up."""
    rates = price.rates_at(usage.prompt_tokens)
    return _round_up(
        usage.input_tokens * rates.input
        + usage.cache_read_tokens * rates.read
        + usage.cache_write_tokens * rates.write
        + usage.cache_write_long_tokens * rates.write_long
        + usage.output_tokens * rates.output
    )


def _round_up(micro_usd: Decimal) -> int:
    # Dollars per million tokens times tokens is micro-dollars.
    return int(micro_usd.to_integral_value(rounding=ROUND_CEILING))

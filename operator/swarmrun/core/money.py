"""Money in integer micro-dollars. A float never holds money."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Final

MICRO: Final = 1_000_000


def parse_usd(text: str | int) -> int:
    """Convert "150.00" or 25 to micro-dollars.

    Raises:
        ValueError: not a plain non-negative decimal, or finer than a micro-dollar.
    """
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        raise ValueError(f'must be a decimal number of US dollars such as "150.00", got {text!r}') from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"must be a decimal number of US dollars, not negative, got {text!r}")
    micro = amount * MICRO
    if micro != micro.to_integral_value():
        raise ValueError(f"must have at most 6 decimals, got {text!r}")
    return int(micro)


def format_usd(micro_usd: int) -> str:
    """Render micro-dollars exactly, at least two decimals: 1_500_000 -> "1.50", 1 -> "0.000001"."""
    whole, fraction = divmod(abs(micro_usd), MICRO)
    digits = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro_usd < 0 else ''}{whole}.{digits}"


def cost_micro_usd(tokens: int, usd_per_million: Decimal) -> int:
    """Cost of `tokens` at a price per million tokens, rounded up to a micro-dollar."""
    return int((Decimal(tokens) * usd_per_million).to_integral_value(rounding=ROUND_CEILING))

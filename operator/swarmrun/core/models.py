"""What is known of models beside their price."""

from __future__ import annotations

from typing import Final

#: Most tokens that older models write in one answer; the vendors refuse a request that allows more. Longest
#: prefix wins. Source: the vendors' model pages.
_OUTPUT_LIMITS: Final = {
    "claude-3-5-": 8_192,
    "claude-3-haiku": 4_096,
    "claude-3-opus": 4_096,
    "claude-3-sonnet": 4_096,
    "gpt-3.5-turbo": 4_096,
    "gpt-4-": 4_096,
    "gpt-4-0613": 8_192,
    "gpt-4o": 16_384,
    "gpt-4o-2024-05-13": 4_096,
}
_EXACT: Final = {"gpt-4": 8_192}


def output_limit(model: str, wanted: int) -> int:
    """Return `wanted`, or the model's own limit on output tokens where that is known to be lower."""
    if model in _EXACT:
        return min(wanted, _EXACT[model])
    known = [prefix for prefix in _OUTPUT_LIMITS if model.startswith(prefix)]
    return min(wanted, _OUTPUT_LIMITS[max(known, key=len)]) if known else wanted

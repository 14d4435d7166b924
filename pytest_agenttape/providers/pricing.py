"""What LLM calls cost, according to the optional package genai-prices; there is no price table here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib.util import find_spec

# Tokens with a price of their own, and what genai-prices calls them.
_DETAILS = {
    "cached_tokens": "cache_read_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "cached_audio_tokens": "cache_audio_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
}


def are_known() -> bool:
    """Return whether the package with the prices is installed."""
    return "genai_prices" in sys.modules or find_spec("genai_prices") is not None


def price(provider: str | None, models: Iterable[str | None], usage: Mapping[str, int]) -> Decimal | None:
    """Return the US dollars of one call: by the first of *models* that has a price; None if none has.

    Raises:
        ImportError: genai-prices is not installed.
    """
    if not usage.get("total_tokens"):
        return Decimal()  # it failed, or used no tokens
    # Optional and heavy: looked for only when a price is asked for.
    import genai_prices  # type: ignore[import-not-found, unused-ignore]  # installed or not

    details = {theirs: usage[ours] for ours, theirs in _DETAILS.items() if usage.get(ours)}
    if {"cache_read_tokens", "input_audio_tokens"} <= details.keys():
        details.setdefault("cache_audio_read_tokens", 0)
    try:
        tokens = genai_prices.Usage(
            input_tokens=usage.get("input_tokens", 0), output_tokens=usage.get("output_tokens", 0), **details
        )
    except (TypeError, ValueError):  # tokens of a kind that it does not know yet, or a count below zero
        return None
    for model in filter(None, models):
        for source in (provider, None):
            try:
                return Decimal(genai_prices.calc_price(tokens, model, provider_id=source).total_price)
            except (LookupError, ValueError):  # unknown, or counts that contradict each other
                continue
    return None

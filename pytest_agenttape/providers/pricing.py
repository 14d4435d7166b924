"""What LLM calls cost, according to the optional package genai-prices; there is no price table here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
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
_OLDEST = (0, 0, 21)  # of genai-prices, the first that tells a price


def are_known() -> bool:
    """Return whether the package with the prices is installed, in a version that tells them."""
    loaded = sys.modules.get("genai_prices")
    if loaded is not None:
        return hasattr(loaded, "calc_price")
    return find_spec("genai_prices") is not None and _is_new_enough()  # without its import, which takes long


def _is_new_enough() -> bool:
    try:
        found = version("genai-prices")
    except PackageNotFoundError:  # somebody's own copy
        return True
    return tuple(int(each) for each in found.split(".")[:3] if each.isdecimal()) >= _OLDEST


def price(provider: str | None, models: Iterable[str | None], usage: Mapping[str, int]) -> Decimal | None:
    """Return the US dollars of one call: by the first of *models* that has a price; None if none has.

    Raises:
        ImportError: genai-prices is not installed, or too old.
    """
    if not usage.get("total_tokens"):
        return Decimal()  # it failed, or used no tokens
    # Optional and heavy: looked for only when a price is asked for.
    from genai_prices import Usage, calc_price  # type: ignore[import-not-found, unused-ignore]  # installed or not

    details = {theirs: usage[ours] for ours, theirs in _DETAILS.items() if usage.get(ours)}
    if {"cache_read_tokens", "input_audio_tokens"} <= details.keys():
        details.setdefault("cache_audio_read_tokens", 0)
    try:
        tokens = Usage(
            input_tokens=usage.get("input_tokens", 0), output_tokens=usage.get("output_tokens", 0), **details
        )
    except (TypeError, ValueError):  # tokens of a kind that it does not know yet, or a count below zero
        return None
    for model in filter(None, models):
        for source in (provider, None):
            try:
                return Decimal(calc_price(tokens, model, provider_id=source).total_price)
            except (LookupError, ValueError):  # unknown, or counts that contradict each other
                continue
    return None

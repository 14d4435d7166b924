"""The value of a JSON text, where the text says nothing else, and what it says beyond its value."""

from __future__ import annotations

import json
from decimal import Decimal

from pytest_agenttape.bodies.json_layout import is_deep
from pytest_agenttape.model import JSON

_NUMBERS = "numbers="  # a word of a layout


def parse_exactly(text: str) -> dict[str, JSON]:
    """Return ``{"json": value}`` of a JSON text; nothing if the text says more than its value, or is no JSON."""
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_float=_exact, parse_int=_exact)
    except (ArithmeticError, ValueError, RecursionError):
        return {}
    return {} if is_deep(value, text) else {"json": value}


def exact_numbers(layout: JSON) -> list[str]:
    """Return the numbers in a *layout* that have more digits than their values, as an amount of money may have."""
    if not isinstance(layout, str) or _NUMBERS not in layout:
        return []
    words = (word.removeprefix(_NUMBERS) for word in layout.split() if word.startswith(_NUMBERS))
    return sorted(token for word in words for token in word.split(",") if not _is_exact(token))


def _distinct(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _exact(token: str) -> float:
    if not _is_exact(token):
        raise ValueError(token)
    return _value(token)


def _is_exact(token: str) -> bool:
    try:
        return token != "-0" and Decimal(token) == Decimal(repr(_value(token)))
    except (ArithmeticError, ValueError):
        return False


def _value(token: str) -> float:
    return int(token) if token.lstrip("-").isdecimal() else float(token)

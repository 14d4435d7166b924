"""The value of a JSON text, where the text says nothing else."""

from __future__ import annotations

import json
import math

from pytest_agenttape.bodies.json_layout import is_deep
from pytest_agenttape.model import JSON


def parse_exactly(text: str) -> dict[str, JSON]:
    """Return ``{"json": value}`` of a JSON text; nothing if the text says more than its value, or is no JSON."""
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_float=_finite)
    except (ValueError, RecursionError):
        return {}
    return {} if is_deep(value, text) else {"json": value}


def _distinct(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _finite(token: str) -> float:
    number = float(token)
    if math.isinf(number):
        raise ValueError(token)
    return number

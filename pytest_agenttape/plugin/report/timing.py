"""When the calls of a run began and how long they took, also where a recording does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def placed(steps: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return the start of each step and what it took, in milliseconds, from their ``start_ms`` and ``latency_ms``."""
    spans = []
    end_of_last = 0.0
    for step in steps:
        latency = float(step["latency_ms"] or 0)
        # Without start times, calls are shown one after the other.
        start = float(step["start_ms"]) if isinstance(step["start_ms"], int | float) else end_of_last
        end_of_last = max(end_of_last, start + latency)
        spans.append((start, latency))
    return spans

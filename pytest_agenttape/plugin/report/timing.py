"""When the calls of a run began and how long they took, also where a recording does not say."""

from __future__ import annotations

from collections.abc import Iterable


def placed(times: Iterable[tuple[float | None, float | None]]) -> list[tuple[float, float]]:
    """Return the start of each call and what it took, in milliseconds, from what is known of both."""
    spans = []
    end_of_last = 0.0
    for known_start, known_latency in times:
        latency = float(known_latency or 0)
        # Without start times, calls are shown one after the other.
        start = end_of_last if known_start is None else float(known_start)
        end_of_last = max(end_of_last, start + latency)
        spans.append((start, latency))
    return spans

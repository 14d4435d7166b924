"""Samples and how they are shown: medians, ratios to the first row, and the noise."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

Samples: TypeAlias = dict[str, list[float]]
Measure: TypeAlias = Callable[[], float]


def interleaved(measures: Mapping[str, Measure], repeats: int, warm_ups: int = 1) -> Samples:
    """Return the samples of each measure, taken in turn, so that a slow moment of the machine hits all alike."""
    samples: Samples = {name: [] for name in measures}
    for turn in range(-warm_ups, repeats):
        for name, measure in measures.items():
            sample = measure()
            if turn >= 0:
                samples[name].append(sample)
    return samples


def noise(samples: Sequence[float]) -> float:
    """Return half the distance of the quartiles as a part of the median."""
    if len(samples) < 3:
        return 0.0
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    middle = statistics.median(samples)
    return (high - low) / 2 / middle if middle else 0.0


def ratio(samples: Sequence[float], base: Sequence[float]) -> float:
    """Return the median of the ratios of samples that were taken together."""
    return statistics.median(one / other for one, other in zip(samples, base, strict=True))


def duration(nanoseconds: float) -> str:
    """Return a time with three digits and its unit."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if abs(nanoseconds) >= size:
            return (
                f"{nanoseconds / size:.3g} {unit}"
                if abs(nanoseconds) < 1e3 * size
                else f"{nanoseconds / size:.0f} {unit}"
            )
    return f"{nanoseconds:.0f} ns"


def compared(title: str, samples: Samples, base: str | None = None) -> list[str]:
    """Return the lines of a table with one row for each measure; *base* is what the ratios are to."""
    rows = [(title, "median", "noise", *([f"to {base}"] if base else []))]
    for name, taken in samples.items():
        times = [f"{ratio(taken, samples[base]):.2f}x"] if base else []
        rows.append((name, duration(statistics.median(taken)), f"±{noise(taken):.0%}", *times))
    return aligned(rows)


def aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return *rows* as lines of a Markdown table; the first is the head."""
    listed = [list(row) for row in rows]
    widths = [max(len(row[at]) for row in listed) for at in range(len(listed[0]))]
    rule = ["-" * width if at == 0 else "-" * (width - 1) + ":" for at, width in enumerate(widths)]
    return [
        "| "
        + " | ".join(
            cell.ljust(w) if at == 0 else cell.rjust(w) for at, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in (listed[0], rule, *listed[1:])
    ]

"""What the calls of a report took together: tokens, dollars, milliseconds, by model too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from pytest_agenttape.model import JSON
from pytest_agenttape.plugin.report.spending import sum_of_costs
from pytest_agenttape.plugin.report.test_record import ShownStep, Usage
from pytest_agenttape.reading.usage import duration


def taken_by(steps: Sequence[ShownStep]) -> dict[str, JSON]:
    """Return what *steps* took; a call that another of them made is in the time of that."""
    return taken_by_all([steps])


def taken_by_all(runs: Sequence[Sequence[ShownStep]]) -> dict[str, JSON]:
    """Return what the calls of all *runs* took."""
    timed = [each for each in map(_duration, runs) if each is not None]
    steps = [each for run in runs for each in run]
    return {"usage": _usage(steps), "cost": _cost(steps), "duration_ms": round(sum(timed), 3) if timed else None}


def kinds(runs: Iterable[Sequence[ShownStep]]) -> list[str]:
    """Return the kinds of calls in all of *runs*."""
    return sorted({each["kind"] for steps in runs for each in steps})


def by_model(runs: Iterable[Sequence[ShownStep]]) -> list[dict[str, JSON]]:
    """Return what each model was asked in all of *runs*; the one with most tokens first."""
    asked: dict[str, list[ShownStep]] = {}
    for step in (each for steps in runs for each in steps if each["kind"] == "llm"):
        asked.setdefault(step["model"] or "unknown", []).append(step)
    found = [
        {"model": model, "calls": len(steps), "usage": _usage(steps), "cost": _cost(steps), "latency_ms": _time(steps)}
        for model, steps in asked.items()
    ]
    return sorted(found, key=lambda each: (-each["usage"]["total_tokens"], each["model"]))


def _duration(steps: Iterable[ShownStep]) -> float | None:
    return duration((each["index"], each["parent"], each["latency_ms"]) for each in steps)


def _time(steps: Iterable[ShownStep]) -> float:
    return round(sum(each["latency_ms"] or 0 for each in steps), 3)


def _usage(steps: Iterable[ShownStep]) -> Usage:
    total: Usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "estimated": False}
    for usage in (each["usage"] for each in steps):
        if usage is not None:
            total["input_tokens"] += usage["input_tokens"]
            total["output_tokens"] += usage["output_tokens"]
            total["total_tokens"] += usage["total_tokens"]
            total["estimated"] = total["estimated"] or usage["estimated"]
    return total


def _cost(steps: Iterable[ShownStep]) -> str | None:
    """Return the sum of the costs of LLM calls; None if one is unknown."""
    costs = (each["cost"] for each in steps if each["kind"] == "llm")
    total = sum_of_costs(None if each is None else Decimal(each) for each in costs)
    return None if total is None else f"{total:f}"

"""What one test did to its cassette, in plain types: it may cross a process border before it is reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from pytest_agenttape import serializer
from pytest_agenttape.model import Interaction
from pytest_agenttape.providers import pricing
from pytest_agenttape.reading.calls import LLMCall
from pytest_agenttape.reading.diff import diff_interactions
from pytest_agenttape.reading.summary import summary_line
from pytest_agenttape.reading.timeline import timeline
from pytest_agenttape.reading.usage import count_tokens, total_tokens
from pytest_agenttape.session.session import Session

_SHOWN = 20_000  # characters of one call in a report


def spending(session: Session) -> dict[str, Any]:
    """Return the tokens and the US dollars of this run's LLM calls: spent live, saved by replaying."""
    live = [each for each, is_live in session.recording.timeline if is_live and each.kind == "llm"]
    replayed = [each for each, is_live in session.recording.timeline if not is_live and each.kind == "llm"]
    return {"spent": _sum(live), "saved": _sum(replayed)}


def steps(session: Session) -> list[dict[str, Any]]:
    """Return every call of the run as a report shows it."""
    return [_step(each, is_live) for each, is_live in session.recording.timeline]


def refreshed(session: Session) -> str | None:
    """Return what a run changed in its cassette, in words; None when there was none or nothing changed."""
    if session.recorded.cassette is None:
        return None
    diff = diff_interactions(session.recorded.cassette.interactions, session.interactions)
    return None if diff.identical else diff.render()


def _sum(calls: Sequence[Interaction]) -> dict[str, Any]:
    tokens = total_tokens(calls)
    return {"calls": len(calls), "input_tokens": tokens.input, "output_tokens": tokens.output, "cost": _cost(calls)}


def _cost(calls: Iterable[Interaction]) -> str | None:
    """Return the sum as text; None when one call's price is unknown."""
    if not pricing.are_known():
        return None
    total = Decimal()
    for each in calls:
        cost = _cost_of(each)
        if cost is None:
            return None
        total += cost
    return f"{total:f}"


def _cost_of(interaction: Interaction) -> Decimal | None:
    call = LLMCall.of(interaction)
    return pricing.price(call.provider, (call.answered_by, call.model), call.usage)


def _step(interaction: Interaction, is_live: bool) -> dict[str, Any]:
    return {
        "index": interaction.index,
        "kind": interaction.kind,
        "name": interaction.boundary or interaction.request.get("method") or interaction.kind,
        "summary": summary_line(interaction),
        "parent": interaction.parent,
        "live": is_live,
        "start_ms": interaction.start_ms,
        "latency_ms": interaction.latency_ms,
        "tokens": count_tokens(interaction).total or None,
        "failed": interaction.error is not None or _status(interaction) >= 400,
        "story": _cut(repr(timeline([interaction]))),
        "source": _cut(serializer.dump_yaml(interaction.to_dict())),
    }


def _status(interaction: Interaction) -> int:
    response = interaction.response
    status = response.get("status") if isinstance(response, dict) and interaction.kind in ("llm", "http") else None
    return status if isinstance(status, int) else 0


def _cut(text: str) -> str:
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}\n… {len(text) - _SHOWN:,} more characters are in the cassette"

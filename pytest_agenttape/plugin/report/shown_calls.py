"""The calls of a test and the changes to its cassette, as shown in the report file."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_agenttape import serializer
from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.report.test_record import Step
from pytest_agenttape.reading.diff import diff_interactions
from pytest_agenttape.reading.summary import summary_line
from pytest_agenttape.reading.timeline import timeline as timeline_of
from pytest_agenttape.reading.usage import count_tokens
from pytest_agenttape.session.session import Session

_SHOWN = 20_000  # characters shown of one call


def steps(timeline: Iterable[tuple[Interaction, bool]]) -> tuple[Step, ...]:
    """Return every call of the run."""
    return tuple(_step(each, is_live) for each, is_live in timeline)


def refreshed(session: Session) -> str | None:
    """Describe what a run changed in its cassette; None if there was no cassette or nothing changed."""
    old = session.loaded.cassette
    if old is None:
        return None
    diff = diff_interactions(old.interactions, session.interactions)
    return None if diff.identical else diff.render()


def _step(interaction: Interaction, is_live: bool) -> Step:
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
        "failed": interaction.has_failed,
        "fault": interaction.fault,
        "story": _cut(repr(timeline_of([interaction]))),
        "source": _cut(serializer.dump_yaml(interaction.to_dict())),
    }


def _cut(text: str) -> str:
    if len(text) <= _SHOWN:
        return text
    return f"{text[:_SHOWN]}\n… {len(text) - _SHOWN:,} more characters are in the cassette"

"""What a reader is told of a changed call: one change of a stream is one, however many events it takes.

Tokens stand beside a call and in the sum; as changes they are told only where nothing else changed.
"""

from __future__ import annotations

from pytest_agenttape.errors import FieldDiff
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers.wording import is_count
from pytest_agenttape.reading.calls import LLMCall
from pytest_agenttape.reading.divergences import Divergence
from pytest_agenttape.reading.json_diff import field_diffs

_EVENTS = "response.events"


def changes_to_tell(divergence: Divergence) -> tuple[FieldDiff, ...]:
    """Return what changed in a call; where several events of its stream did, what they say instead."""
    changes = _folded(divergence)
    return tuple(each for each in changes if not is_count(each.path)) or changes


def _folded(divergence: Divergence) -> tuple[FieldDiff, ...]:
    changed, before = divergence.changed, divergence.before
    if changed is None or before is None:
        return ()
    in_events = [each for each in changed.response if each.path.startswith(_EVENTS)]
    if len(in_events) < 2:
        return changed.field_diffs
    others = tuple(each for each in changed.response if each.path.startswith("response.") and each not in in_events)
    said = _said_changes(before, divergence.call) if divergence.call.kind == "llm" else ()
    return (*changed.request, *others, *(said or _first_of(in_events)), *changed.error)


def _said_changes(before: Interaction, after: Interaction) -> tuple[FieldDiff, ...]:
    """Return how two answers of a model differ, as they are read: texts, requested tools, else tokens."""
    old, new = LLMCall.of(before), LLMCall.of(after)
    return field_diffs(_said(old), _said(new), root="response") or field_diffs(
        {"usage": old.usage}, {"usage": new.usage}, root="response"
    )


def _said(call: LLMCall) -> JSON:
    answers = [
        {"text": each.text, "asks": [{tool.name: tool.arguments} for tool in each.tool_calls]} for each in call.answers
    ]
    said: JSON = answers[0] if len(answers) == 1 else {"answers": answers}
    return {**said, "model": call.answered_by, "error": call.error}


def _first_of(events: list[FieldDiff]) -> tuple[FieldDiff, ...]:
    return (events[0], FieldDiff("… and more in other events", "", ""))

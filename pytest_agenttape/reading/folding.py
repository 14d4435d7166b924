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

_WIRE = ("response.events", "response.messages", "response.conversation")
_YIELDED = ("response.$stream.items",)


def changes_to_tell(divergence: Divergence) -> tuple[FieldDiff, ...]:
    """Return what changed in a call; where several events of its stream did, what they say instead."""
    changes = _folded(divergence)
    return tuple(each for each in changes if not is_count(each.path)) or changes


def _folded(divergence: Divergence) -> tuple[FieldDiff, ...]:
    changed, before = divergence.changed, divergence.before
    if changed is None or before is None:
        return ()
    call = divergence.call
    stream = _WIRE if "url" in call.request else _YIELDED
    in_stream = [each for each in changed.response if each.path.startswith(stream)]
    if len(in_stream) < 2:
        return changed.field_diffs
    others = tuple(each for each in changed.response if each.path.startswith("response.") and each not in in_stream)
    said = _said_changes(before, call) if call.kind == "llm" else _yielded_changes(before, call)
    return (*changed.request, *others, *(said or _first_of(in_stream)), *changed.error)


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


def _yielded_changes(before: Interaction, after: Interaction) -> tuple[FieldDiff, ...]:
    """Return how the texts differ that a generator yielded in pieces; nothing if it yielded anything else."""
    old, new = (_yielded_text(each.response) for each in (before, after))
    return () if old is None or new is None else field_diffs({"yields": old}, {"yields": new}, root="response")


def _yielded_text(response: JSON) -> str | None:
    stream = response.get("$stream") if isinstance(response, dict) else None
    items = stream.get("items") if isinstance(stream, dict) else None
    return "".join(items) if isinstance(items, list) and all(isinstance(each, str) for each in items) else None


def _first_of(pieces: list[FieldDiff]) -> tuple[FieldDiff, ...]:
    what = "events" if pieces[0].path.startswith(_WIRE) else "items"
    return (pieces[0], FieldDiff(f"… and more in other {what}", "", ""))

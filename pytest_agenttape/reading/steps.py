"""The steps of a timeline: what is shown of each call; no ids, times or headers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_agenttape.matching.call_tree import CallTree
from pytest_agenttape.matching.canonical import KeyRules, canonical_request
from pytest_agenttape.model import JSON, REDACTION_PLACEHOLDER, SECRET_PLACEHOLDER, Interaction
from pytest_agenttape.providers import operation_of
from pytest_agenttape.providers.common_form import common_form
from pytest_agenttape.providers.tolerant import payloads
from pytest_agenttape.reading.calls import LLMCall, error_text
from pytest_agenttape.reading.one_line import digest

# The parts of a step that `only` and `exclude` name, alone or as the beginning of a path.
PARTS = (
    *("args", "instance", "result", "yields", "returns", "complete", "changed", "error"),
    *("model", "messages", "text", "asks"),
    *("method", "url", "body", "status"),
)

MAX_NESTING = 150  # of values that are looked into at all: the input decides the depth, and the stack is limited

_BODIES = ("json", "form", "events", "text", "body_b64")
_NUMBERED = re.compile(rf"({SECRET_PLACEHOLDER}|{re.escape(REDACTION_PLACEHOLDER)})[0-9]{{4}}")


class _Hidden:
    """Marks a part that was left out."""

    def __repr__(self) -> str:
        return "…"


HIDDEN: Final = _Hidden()


@dataclass(frozen=True, slots=True)
class Step:
    """One call: its index, kind and name, what is shown of it, and the calls that its body made."""

    index: int
    kind: str
    name: str
    parts: Mapping[str, JSON]
    calls: tuple[Step, ...] = ()


def steps_of(interactions: Sequence[Interaction], rules: KeyRules) -> list[Step]:
    """Return *interactions* as steps, in the order of the run, nested calls within the one that made them."""
    tree = CallTree.of(interactions)
    ordered = [*tree.in_order()]
    conversations: list[list[dict[str, JSON]]] = []
    parts = {each.index: _parts(common_form(each), rules, conversations) for each in ordered}
    steps: dict[int, Step] = {}
    for each in reversed(ordered):  # nested calls come before the one that made them
        nested = tuple(steps[child.index] for child in tree.children(each.index))
        shown = parts[each.index]
        steps[each.index] = Step(each.index, each.kind, _name(each, shown), shown, nested)
    return [steps[each.index] for each in tree.roots]


def _name(interaction: Interaction, parts: Mapping[str, JSON]) -> str:
    if interaction.boundary or "url" not in parts:
        return interaction.boundary or interaction.kind
    return f"{parts['method']} {str(parts['url']).partition('?')[0]}"


def _parts(interaction: Interaction, rules: KeyRules, conversations: list[list[dict[str, JSON]]]) -> dict[str, JSON]:
    if operation_of(interaction) is not None and "args" not in interaction.request:
        parts = _llm_parts(interaction, conversations)
    elif "url" in interaction.request:
        parts = _http_parts(interaction, rules)
    else:
        parts = _call_parts(interaction)
    if interaction.is_made_up:
        parts = _broken_off(parts, interaction.response)
    return {name: unnumbered(part) for name, part in parts.items()}


def _broken_off(parts: dict[str, JSON], response: JSON) -> dict[str, JSON]:
    """Return *parts* with the error that a fault ended a stream with."""
    error = response.get("stream_error") if isinstance(response, dict) else None
    if not isinstance(error, dict):
        return parts
    return {**{name: part for name, part in parts.items() if name != "complete"}, "error": error.get("message")}


def _llm_parts(interaction: Interaction, conversations: list[list[dict[str, JSON]]]) -> dict[str, JSON]:
    call = LLMCall.of(interaction)
    said = [_message(each) for each in call.messages]
    parts: dict[str, JSON] = {"model": call.requested_model, "messages": _news(said, conversations)}
    conversations.append(said)
    last = call.answers[-1]
    asks = [{each.name: each.arguments} for each in last.tool_calls]
    answer = {"role": "assistant", "content": last.text, **({"asks": asks} if asks else {})}
    conversations[-1] = [*said, answer]
    if call.error:
        return {**parts, "error": call.error}
    if last.text or not asks:
        parts["text"] = last.text
    return {**parts, "asks": asks} if asks else parts


def _message(message: Mapping[str, JSON]) -> dict[str, JSON]:
    shown = {"role": message.get("role", "unknown"), "content": message.get("content", "")}
    asks = [{each["name"]: each["arguments"]} for each in message.get("tool_calls", ()) if "name" in each]
    return {**shown, "asks": asks} if asks else shown


def _news(said: list[dict[str, JSON]], conversations: list[list[dict[str, JSON]]]) -> list[dict[str, JSON]]:
    """Return the messages that *said* adds to the latest earlier conversation that it continues."""
    for earlier in reversed(conversations):
        for known in (earlier, earlier[:-1]):  # with the answer it got, or without
            if known and said[: len(known)] == known:
                return said[len(known) :]
    return said


def _http_parts(interaction: Interaction, rules: KeyRules) -> dict[str, JSON]:
    request = canonical_request(interaction.request, rules)
    parts: dict[str, JSON] = {"method": request.get("method", "GET"), "url": request["url"], **_body(request, "body")}
    if interaction.error is not None:
        return {**parts, "error": error_text(interaction.error)}
    response = interaction.response if isinstance(interaction.response, dict) else {}
    parts["status"] = response.get("status")
    return {**parts, **_body(response, "result"), **_incomplete(response)}


def _body(stored: Mapping[str, JSON], name: str) -> dict[str, JSON]:
    form = next((form for form in _BODIES if form in stored), None)
    if form is None:
        return {}
    if form == "events":
        return {name: payloads(stored) or stored["events"]}
    if form == "body_b64":
        encoded = str(stored[form])
        return {name: f"({len(encoded.rstrip('=')) * 3 // 4} bytes, sha256 {digest(encoded)})"}
    return {name: stored[form]}


def _call_parts(interaction: Interaction) -> dict[str, JSON]:
    request = interaction.request
    parts: dict[str, JSON] = {"args": request.get("args", {} if "instance" in request else request)}
    if "instance" in request:
        parts["instance"] = request["instance"]
    return {**parts, **_outcome_parts(interaction), **_changed(interaction)}


def _outcome_parts(interaction: Interaction) -> dict[str, JSON]:
    if interaction.error is not None:
        after = interaction.error.get("after")
        return {**({"yields": after} if after else {}), "error": error_text(interaction.error)}
    response = interaction.response
    stream = response.get("$stream") if isinstance(response, dict) else None
    if not isinstance(stream, dict):
        return {"result": response}
    parts = {"yields": stream.get("items") or []}
    if stream.get("return") is not None:
        parts["returns"] = stream["return"]
    return {**parts, **_incomplete(stream)}


def _changed(interaction: Interaction) -> dict[str, JSON]:
    return {"changed": list(interaction.changes)} if interaction.changes else {}


def _incomplete(stored: Mapping[str, JSON]) -> dict[str, JSON]:
    return {"complete": False} if stored.get("complete") is False else {}


def unnumbered(node: JSON, depth: int = 0) -> JSON:
    """Return *node* without the numbers of placeholders, which differ between recordings."""
    if isinstance(node, str):
        return _NUMBERED.sub(r"\1", node)
    if depth > MAX_NESTING:
        return node
    if isinstance(node, dict):
        return {key: unnumbered(value, depth + 1) for key, value in node.items()}
    if isinstance(node, list):
        return [unnumbered(value, depth + 1) for value in node]
    return node

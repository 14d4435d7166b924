"""Recordings in the form that other calls of their kind have: tools over HTTP, and realtime sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers.mcp import as_tool_call
from pytest_agenttape.providers.registry import BY_BOUNDARY
from pytest_agenttape.providers.tolerant import at, mappings, text_or_none

_OF_THE_CONNECTION = ("messages", "waiting")


def common_form(recorded: Interaction) -> Interaction:
    """Return *recorded* as it would be if it had been one request and one response; most are."""
    session = _session(recorded.boundary, recorded.response) if recorded.kind == "llm" else None
    if session is None:
        return as_tool_call(recorded)
    body, answers = session
    response = {name: each for name, each in recorded.response.items() if name not in _OF_THE_CONNECTION}
    model = body.get("model")
    return replace(
        recorded,
        request={**recorded.request, "json": body},
        response={**response, "json": answers},
        metadata={**recorded.metadata, **({"model": model} if isinstance(model, str) else {})},
    )


def session_facts(boundary: str | None, response: JSON) -> tuple[str | None, dict[str, int] | None]:
    """Return the model that a stored realtime session asks for in its messages, and its tokens."""
    session = _session(boundary, response)
    if session is None or boundary is None:
        return None, None
    body, answers = session
    return text_or_none(body.get("model")), BY_BOUNDARY[boundary].read_answer(mappings(answers)).usage


def _session(boundary: str | None, response: JSON) -> tuple[dict[str, JSON], list[JSON]] | None:
    view = BY_BOUNDARY.get(boundary or "")
    messages = response.get("messages") if isinstance(response, Mapping) else None
    if view is None or view.read_session is None or not isinstance(messages, list):
        return None
    return view.read_session(mappings(messages), at(response, "closed"))

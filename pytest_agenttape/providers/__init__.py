"""LLM views: what an HTTP exchange with a known provider means. A new one is a module and its line in `registry`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote

from pytest_agenttape.bodies import stored_json
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers.failures import Failure, error_of, failure_of, failure_said, refusal_of
from pytest_agenttape.providers.registry import BY_BOUNDARY, VIEWS
from pytest_agenttape.providers.streams import is_whole
from pytest_agenttape.providers.tolerant import message, payloads
from pytest_agenttape.providers.view import Answer, Operation, RequestedTool, View

__all__ = [
    "BOUNDARIES",
    "VIEWS",
    "Answer",
    "Failure",
    "Operation",
    "RequestedTool",
    "View",
    "conversation",
    "failure_of",
    "failure_said",
    "identify",
    "identify_socket",
    "is_finished",
    "is_llm_path",
    "operation_of",
    "read_answer",
    "read_messages",
    "refusal_of",
    "with_model",
]

_SUFFIXES = tuple(suffix for view in VIEWS for suffix in view.suffixes)
_BELOW = re.compile("|".join(f"(?:{view.below})$" for view in VIEWS if view.below))
_AT_ROOT = tuple(view for view in VIEWS if view.is_at_root)
_ROOT = re.compile(r"[a-zA-Z]+://[^/]*")
_MODEL_IN_PATH = re.compile(r"(?<=/models/)[^/:?]+(?=:[a-zA-Z])|(?<=/openai/deployments/)[^/?]+(?=/)")  # Gemini, Azure
_SOCKETS = tuple(view for view in VIEWS if view.read_session is not None)
BOUNDARIES = frozenset(BY_BOUNDARY)


def is_llm_path(method: str, url: str) -> bool:
    """Return whether a request can be an LLM call, judging by its URL alone."""
    if url.startswith(("ws://", "wss://")):
        return identify_socket(url) is not None
    return method.upper() == "POST" and _is_known(_without_query(url))


def identify(method: str, url: str, json: JSON) -> Operation | None:
    """Return what an LLM request does; None if it is plain HTTP. *json* is its decoded body."""
    if not isinstance(json, dict) or method.upper() != "POST":
        return None
    bare = _without_query(url)
    for view in _speaking(bare):
        if (operation := view.identify(bare, json)) is not None:
            return operation
    return None


def identify_socket(url: str) -> Operation | None:
    """Return what a WebSocket to *url* is for; None if it is not that of a known realtime API."""
    found = (view.identify(url, {}) for view in _SOCKETS)
    return next((operation for operation in found if operation is not None), None)


@lru_cache(maxsize=256)  # asked for every request
def _speaking(bare: str) -> tuple[View, ...]:
    """Return the views whose protocol a URL can belong to."""
    if _ROOT.fullmatch(bare):
        return _AT_ROOT
    return tuple(view for view in VIEWS if _has_path(view, bare)) if _is_known(bare) else ()


def _is_known(bare: str) -> bool:
    return bare.endswith(_SUFFIXES) or _BELOW.search(bare) is not None


def _has_path(view: View, bare: str) -> bool:
    if bare.endswith(view.suffixes):
        return True
    return view.below is not None and re.search(f"(?:{view.below})$", bare) is not None


def with_model(url: str, body: Mapping[str, JSON], model: str) -> tuple[str, Mapping[str, JSON]] | None:
    """Return the URL and body of an LLM request for another *model*; None if neither names one."""
    renamed, is_in_path = _MODEL_IN_PATH.subn(lambda _: quote(model, safe=""), url, count=1)
    if "model" in body:
        return renamed, {**body, "model": model}
    return (renamed, body) if is_in_path else None


def read_messages(operation: Operation, request: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the messages of a stored request as ``{"role", "content", "tool_calls"?, "tool_call_id"?}``."""
    view, body = BY_BOUNDARY.get(operation.boundary), stored_json(request)
    return view.read_messages(body) if view and isinstance(body, Mapping) else []


def conversation(messages: list[dict[str, JSON]], earlier: Iterable[Answer]) -> list[dict[str, JSON]]:
    """Return *messages* with the *earlier* answers of the same session among them."""
    out, start = [], 0
    for each in earlier:
        out += messages[start : each.after]
        start = len(messages) if each.after is None else each.after
        if each.text or each.tool_calls or each.error:
            content = each.text or (f"(failed: {each.error})" if each.error else "")
            out.append(message("assistant", content, each.tool_calls))
    return [*out, *messages[start:]]


def read_answer(operation: Operation, response: Mapping[str, JSON]) -> Answer:
    """Return what a stored response says; for an odd or truncated one, what is there."""
    view = BY_BOUNDARY.get(operation.boundary)
    objects = payloads(response)
    answer = view.read_answer(objects) if view else Answer()
    return replace(answer, error=error_of(response, objects) or answer.error)


def is_finished(operation: Operation | None, response: Mapping[str, JSON]) -> bool:
    """Return whether the last events of a stored stream, or its last object, show that nothing follows."""
    return is_whole(BY_BOUNDARY.get(operation.boundary) if operation else None, response)


def operation_of(interaction: Interaction) -> Operation | None:
    """Return the operation that a recording was made of; None if it is not an LLM call that this release knows."""
    view = BY_BOUNDARY.get(interaction.boundary or "")
    if interaction.kind != "llm" or view is None or interaction.boundary is None:
        return None
    told = interaction.metadata
    return Operation(
        provider=str(told.get("provider") or view.provider),
        operation=str(told.get("operation") or view.operations[interaction.boundary]),
        boundary=interaction.boundary,
        model=told["model"] if isinstance(told.get("model"), str) else None,
    )


def _without_query(url: str) -> str:
    return url.partition("?")[0].rstrip("/")

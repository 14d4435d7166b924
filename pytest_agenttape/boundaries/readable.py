"""Turns what frameworks pass to a listener into plain, readable data, which is never replayed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_agenttape import values
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}
_DEPTH = 40  # levels of nested data; nobody reads deeper ones


def readable(value: object, depth: int = _DEPTH) -> JSON:
    if value is None or (isinstance(value, str | int | float | bool) and type(value).__module__ == "builtins"):
        return value
    if depth == 0:
        return _unrecorded(value)
    for applies, show in _SHAPES:
        if applies(value):
            return show(value, depth - 1)
    try:
        return values.encode(value)
    except AgentTapeError:
        return _unrecorded(value)


def _unrecorded(value: object) -> JSON:
    return {"unrecorded": f"{type(value).__module__}.{type(value).__qualname__}"}


def is_message(value: Any) -> bool:
    return hasattr(value, "content") and (hasattr(value, "role") or isinstance(getattr(value, "type", None), str))


def _message(value: Any, depth: int) -> JSON:
    role = word_of(getattr(value, "role", None)) or word_of(value.type)
    out: dict[str, JSON] = {"role": _ROLES.get(role, role), "content": readable(value.content, depth)}
    calls = getattr(value, "tool_calls", None)
    if isinstance(calls, list) and calls:
        out["tool_calls"] = [_tool_call(each, depth) for each in calls]
    if getattr(value, "tool_call_id", None):
        out["tool_call_id"] = str(value.tool_call_id)
    return out


def _tool_call(call: Any, depth: int) -> JSON:
    if not isinstance(call, Mapping) or "name" not in call:
        return readable(call, depth)
    return {"id": call.get("id"), "name": call["name"], "arguments": readable(call.get("args"), depth)}


def _document(value: Any, depth: int) -> JSON:
    out = {"content": readable(value.page_content, depth)}
    return out | {"metadata": readable(value.metadata, depth)} if getattr(value, "metadata", None) else out


def _scored_node(value: Any, depth: int) -> JSON:
    return {"content": readable(getattr(value.node, "text", None), depth), "score": value.score}


def _mapping(value: Any, depth: int) -> JSON:
    return {str(name): readable(each, depth) for name, each in value.items()}


def _list(value: Any, depth: int) -> JSON:
    return [readable(each, depth) for each in value]


_SHAPES: tuple[tuple[Callable[[Any], bool], Callable[[Any, int], JSON]], ...] = (
    (lambda value: isinstance(value, Mapping), _mapping),
    (lambda value: isinstance(value, list | tuple | set | frozenset), _list),
    (is_message, _message),
    (lambda value: hasattr(value, "page_content"), _document),
    (lambda value: hasattr(value, "node") and hasattr(value, "score"), _scored_node),
)


def word_of(value: Any) -> str:
    """Return a string, or the string value of an enum member; an empty string for anything else."""
    value = getattr(value, "value", value)
    return value if isinstance(value, str) else ""

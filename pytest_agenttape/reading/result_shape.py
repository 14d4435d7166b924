"""How the shape of what two runs of a function gave differs: types, keys, the class of an exception; never values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.reading.one_line import visible
from pytest_agenttape.reading.shape import Types, differences, joined, type_of

_MAX_DEPTH = 30
_ROOT = "the result"
_PLAIN = {
    "int": 0,
    "float": 0,
    "str": "",
    "dict": {},
}  # a value of each type that has a form of its own for some values


def moved_result(recorded: Interaction, live: Interaction) -> list[str]:
    """Return what of the shape of *recorded*, a call of a function, the call *live* does not have."""
    was, now = _raised(recorded), _raised(live)
    if was != now:
        if live.error is None:
            return [f"returns a result in place of {was}"]
        said = visible(str(live.error.get("message") or ""), 200)
        return [f"raises {now} in place of {was or 'a result'}{f': {said}' if said else ''}"]
    old, new = _shape(recorded), _shape(live)
    if old[_ROOT] != new[_ROOT] and "null" in old[_ROOT] | new[_ROOT]:
        return [f"{_ROOT} is {joined(new[_ROOT])}, was {joined(old[_ROOT])}"]
    return differences(old, new)


def stream_of(call: Interaction) -> Mapping[str, JSON] | None:
    """Return the stored stream that a *call* of a generator gave; None if it gave a value."""
    if call.error is not None:
        return {**call.error, "items": call.error["after"]} if "after" in call.error else None
    found = call.response.get("$stream") if isinstance(call.response, dict) else None
    return found if isinstance(found, dict) else None


def _raised(call: Interaction) -> str | None:
    if call.error is None:
        return None
    name, module = str(call.error.get("type")), str(call.error.get("module"))
    return name if module == "builtins" else f"{module}.{name}"


def _shape(call: Interaction) -> Types:
    """Return the types of each part of what a *call* gave, by path; the items of a list, or of a stream, are one."""
    types: Types = {}
    stream = stream_of(call)
    if stream is None:
        _note(call.response, _ROOT, types)
        return types
    types[_ROOT] = {"a stream"}
    for each in stream.get("items") or ():
        _note(each, f"{_ROOT}[]", types)
    if call.error is None and stream.get("complete") is not False:
        _note(stream.get("return"), f"{_ROOT}.return", types)
    return types


def _note(node: JSON, path: str, types: Types, depth: int = 0) -> None:
    types.setdefault(path, set()).add(_type(node))
    if depth <= _MAX_DEPTH:
        for step, part in _parts(node):
            _note(part, f"{path}{step}", types, depth + 1)


def _type(node: JSON) -> str:
    if not isinstance(node, dict) or "$type" not in node:
        return type_of(node)
    name = str(node["$type"]).rpartition(":")[2]
    return type_of(_PLAIN[name]) if name in _PLAIN else name


def _parts(node: JSON) -> Iterator[tuple[str, JSON]]:
    """Yield the parts of a value in stored form, each with its step of the path."""
    if isinstance(node, dict) and "$type" in node:
        node = node.get("fields", node.get("items"))
    if isinstance(node, dict):
        yield from ((f".{key}", each) for key, each in node.items())
    elif isinstance(node, list):
        yield from (("[]", each) for each in node)

"""How the shape of two answers to one request differs: status, fields, types, events, tools; never what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from pytest_agenttape.bodies import stored_json
from pytest_agenttape.bodies.events import read_event
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers.made_up import is_the_users
from pytest_agenttape.reading.calls import LLMCall
from pytest_agenttape.reading.one_line import visible

Types: TypeAlias = dict[str, set[str]]  # by path
_MAX_DEPTH = 30
_SHOWN = 12


def moved(recorded: Interaction, live: Interaction) -> list[str]:
    """Return what of the shape of *recorded* the answer *live* does not have; a field that is new breaks nobody."""
    if recorded.status != live.status:
        said = LLMCall.of(live).error if live.kind == "llm" else None
        return [f"status {live.status} in place of {recorded.status}{f': {visible(said, 200)}' if said else ''}"]
    tools = _other_tools(recorded, live)
    if tools is not None:  # then the answer has other parts
        return [tools]
    return differences(_shape(recorded.response), _shape(live.response))


def differences(old: Types, new: Types) -> list[str]:
    """Return what of the *old* types the *new* ones do not have."""
    found = [*_differences(old, new)]
    return found if len(found) <= _SHOWN else [*found[:_SHOWN], f"… and {len(found) - _SHOWN} more"]


def joined(types: set[str]) -> str:
    """Return *types* in words."""
    return " or ".join(sorted(types))


def _other_tools(recorded: Interaction, live: Interaction) -> str | None:
    if recorded.kind != "llm":
        return None
    before, after = ([call.name for call in LLMCall.of(each).tool_calls] for each in (recorded, live))
    if sorted({*before}) == sorted({*after}):
        return None
    return f"asks for {_listed(after)} in place of {_listed(before)}"


def _listed(names: Sequence[str]) -> str:
    return visible(", ".join(dict.fromkeys(names)), 100) or "no tool"


def _shape(response: JSON) -> Types:
    """Return the types of each field of a stored answer, by path; the items of a list are one."""
    if not isinstance(response, dict):
        return {}
    types: Types = {}
    if isinstance(response.get("events"), list):
        for entry in response["events"]:
            name, data = read_event(entry)
            kind = name or (data.get("type") if isinstance(data, dict) else None)
            root = f"the event {kind}" if isinstance(kind, str) else "the events"
            _note(data, root, types)
        return types
    _note(stored_json(response), "the body", types)
    return types


def _note(node: JSON, path: str, types: Types, depth: int = 0) -> None:
    types.setdefault(path, set()).add(type_of(node))
    if depth > _MAX_DEPTH:
        return
    if isinstance(node, dict):
        for key, value in node.items():
            if is_the_users(key, value):
                types.setdefault(f"{path}.{key}", set()).add(type_of(value))
            else:
                _note(value, f"{path}.{key}", types, depth + 1)
    elif isinstance(node, list):
        for each in node:
            kind = each.get("type") if isinstance(each, dict) else None
            _note(each, f"{path}[{kind if isinstance(kind, str) else ''}]", types, depth + 1)


def type_of(node: JSON) -> str:
    """Return what *node* is, in words."""
    if node is None:
        return "null"
    for name, kind in (("true or false", bool), ("a number", int | float), ("a text", str), ("a list", list)):
        if isinstance(node, kind):
            return name
    return "an object"


def _differences(old: Mapping[str, set[str]], new: Mapping[str, set[str]]) -> Iterator[str]:
    gone: list[str] = []
    for path, types in old.items():
        if any(path.startswith((f"{each}.", f"{each}[")) for each in gone):
            continue
        if path not in new:
            if types != {"null"} and not _may_be_missing(path, new):
                gone.append(path)
                yield f"{visible(path)} is gone{_renamed(path, types, old, new)}"
        elif not (types & new[path]) and "null" not in types | new[path]:
            gone.append(path)
            yield f"{visible(path)} is {joined(new[path])}, was {joined(types)}"


def _may_be_missing(path: str, new: Mapping[str, set[str]]) -> bool:
    """Return whether *path* leads into a list that is empty or has only items of other kinds now, or into a null."""
    parents = [path[:position] for position, sign in enumerate(path) if sign in ".[" and path[:position] in new]
    if not parents:
        return False
    parent = max(parents, key=len)
    return path[len(parent) :].startswith("[") or "null" in new[parent]


def _renamed(path: str, types: set[str], old: Mapping[str, set[str]], new: Mapping[str, set[str]]) -> str:
    parent, dot, _ = path.rpartition(".")
    fresh = [
        each for each, found in new.items() if each not in old and each.rpartition(".")[0] == parent and found == types
    ]
    return f" ({visible(fresh[0].rpartition('.')[2])} is new)" if dot and len(fresh) == 1 else ""

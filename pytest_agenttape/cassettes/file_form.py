"""How a call stands in a file, where that is shorter to read than what the other packages work with.

Headers that describe one delivery stand last, under ``delivery``. Events that differ in few values stand as what
``each`` of them is, and their values under ``deltas``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import NamedTuple, TypeAlias

from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON
from pytest_agenttape.reading.delivery import is_about_delivery

_DELIVERY, _EACH, _DELTAS = "delivery", "each", "deltas"
_LAYOUT = "data_layout"
_STREAMS = ("events", "messages")
_KINDS_OF_EVENT = ("event", "type")  # events that differ in these are no deltas of one kind
_UNREAD = frozenset(("raw", "raw_b64"))
_MOST_VALUES = 8  # on one line
_LEAST_SAVED = 2  # lines
_MARK = re.compile(r"<[^<>]+>")

_Path: TypeAlias = tuple[str | int, ...]


def filed(interaction: dict[str, JSON]) -> dict[str, JSON]:
    """Return *interaction* as it stands in a file."""
    return _changed(interaction, lambda response: _with_delivery_last(_each_stream(response, _folded)))


def unfiled(interaction: JSON) -> JSON:
    """Return an interaction as it was before it was `filed`; the same if it was not.

    Raises:
        CassetteCorruptError: Someone edited the deltas of a stream, and they do not fit.
    """
    if not isinstance(interaction, dict):
        return interaction
    return _changed(interaction, lambda response: _with_delivery_back(_each_stream(response, _unfolded)))


def with_delivery_last(interaction: dict[str, JSON]) -> dict[str, JSON]:
    """Return *interaction* with its headers in the order in which they come back from a file."""
    return _changed(interaction, lambda response: _with_delivery_back(_with_delivery_last(response)))


def _changed(interaction: dict[str, JSON], change: Callable[[dict[str, JSON]], dict[str, JSON]]) -> dict[str, JSON]:
    """Return *interaction* with its response changed, if that is a message and not the result of a function."""
    request, response = interaction.get("request"), interaction.get("response")
    if not isinstance(response, dict) or not isinstance(request, dict):
        return interaction
    if "url" not in request and "json" not in request:
        return interaction
    changed = change(response)
    return interaction if changed is response else {**interaction, "response": changed}


# Headers


def _with_delivery_last(response: dict[str, JSON]) -> dict[str, JSON]:
    headers = response.get("headers")
    if not isinstance(headers, dict) or _DELIVERY in response:
        return response
    delivery = {name: value for name, value in headers.items() if _is_of_delivery(name, value, response)}
    if not delivery:
        return response
    steady = {name: value for name, value in headers.items() if name not in delivery}
    return {**response, "headers": steady, _DELIVERY: delivery}


def _is_of_delivery(name: str, value: JSON, response: dict[str, JSON]) -> bool:
    is_length = name.lower() == "content-length" and "encoded" in response  # which differs with what is made up
    return is_length or is_about_delivery(name, value)


def _with_delivery_back(response: dict[str, JSON]) -> dict[str, JSON]:
    headers, delivery = response.get("headers"), response.get(_DELIVERY)
    if not isinstance(headers, dict) or not isinstance(delivery, dict):
        return response
    whole = {name: value for name, value in response.items() if name != _DELIVERY}
    return {**whole, "headers": {**headers, **delivery}}


# Streams


def _each_stream(response: dict[str, JSON], change: Callable[[list[JSON], str], list[JSON]]) -> dict[str, JSON]:
    changed = {
        name: change(response[name], f"response.{name}") for name in _STREAMS if isinstance(response.get(name), list)
    }
    if all(changed[name] is response[name] for name in changed):
        return response
    return {**response, **changed}


class _Leaf(NamedTuple):
    """A value at the end of a path into an event."""

    path: _Path
    value: JSON


def _folded(entries: list[JSON], _where: str) -> list[JSON]:
    has_layouts = any(isinstance(entry, dict) and _LAYOUT in entry for entry in entries)
    even = [_with_layout(entry) for entry in entries] if has_layouts else entries
    folded: list[JSON] = []
    for _, group in groupby(zip(even, entries, strict=True), lambda pair: _shape(pair[0])):
        run, run_as_it_is = map(list, zip(*group, strict=True))
        together = _fold(run) if len(run) > 1 else None
        folded += run_as_it_is if together is None else [together]
    return folded if len(folded) < len(entries) else entries


def _with_layout(entry: JSON) -> JSON:
    """Return an event with a layout, of null if it has none: an event with and one without are of one kind."""
    is_without = isinstance(entry, dict) and "data" in entry and _LAYOUT not in entry
    return {**entry, _LAYOUT: None} if is_without else entry


def _shape(entry: JSON) -> object:
    """Return what events must share to be deltas of one kind: all but the values at the ends."""
    if not isinstance(entry, dict) or _UNREAD & entry.keys() or entry.keys() == {_EACH, _DELTAS}:
        return object()  # equals nothing
    return tuple((leaf.path, leaf.value if leaf.path[-1] in _KINDS_OF_EVENT else None) for leaf in _leaves(entry))


def _leaves(node: JSON, path: _Path = ()) -> Iterator[_Leaf]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(node, list) and node:
        for at, value in enumerate(node):
            yield from _leaves(value, (*path, at))
    elif isinstance(node, dict | list):
        yield _Leaf((*path, type(node).__name__, "type"), None)  # an empty one has no value to differ in
    else:
        yield _Leaf(path, node)


def _fold(run: list[JSON]) -> JSON | None:
    """Return events of one shape as one entry; None if that would not be shorter or not be told apart."""
    columns = [[leaf.value for leaf in column] for column in zip(*(_leaves(entry) for entry in run), strict=True)]
    paths = [leaf.path for leaf in _leaves(run[0])]
    differing = [at for at, column in enumerate(columns) if len({_exactly(value) for value in column}) > 1]
    if not 0 < len(differing) <= _MOST_VALUES or (len(run) - 1) * len(paths) - len(run) < _LEAST_SAVED:
        return None
    common = (column[0] for at, column in enumerate(columns) if at not in differing)
    if any(isinstance(value, str) and _MARK.fullmatch(value) for value in common):
        return None
    names = _names([paths[at] for at in differing])
    marked = _replaced(run[0], {paths[at]: f"<{name}>" for at, name in zip(differing, names, strict=True)})
    rows = zip(*(columns[at] for at in differing), strict=True)
    deltas = [row[0] if len(row) == 1 else dict(zip(names, row, strict=True)) for row in rows]
    return {_EACH: _without_null_layout(marked), _DELTAS: deltas}


def _exactly(value: JSON) -> tuple[type, str]:
    return type(value), repr(value)


def _names(paths: list[_Path]) -> list[str]:
    """Return a name for each path: its last key, with a number if another path has that, too."""
    names: list[str] = []
    for path in paths:
        name = next((key for key in reversed(path) if isinstance(key, str) and _MARK.fullmatch(f"<{key}>")), "value")
        same = sum(each.rpartition("#")[0] == name or each == name for each in names)
        names.append(f"{name}#{same + 1}" if same else name)
    return names


def _replaced(node: JSON, values: dict[_Path, JSON], path: _Path = ()) -> JSON:
    if path in values:
        return values[path]
    if isinstance(node, dict):
        return {key: _replaced(value, values, (*path, key)) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, values, (*path, at)) for at, value in enumerate(node)]
    return node


def _unfolded(entries: list[JSON], where: str) -> list[JSON]:
    if not any(isinstance(entry, dict) and _DELTAS in entry for entry in entries):
        return entries
    unfolded: list[JSON] = []
    for at, entry in enumerate(entries):
        if isinstance(entry, dict) and entry.keys() == {_EACH, _DELTAS}:
            unfolded += _unfold(entry, f"{where}[{at}]")
        else:
            unfolded.append(entry)
    return unfolded


def _unfold(entry: dict[str, JSON], where: str) -> Iterator[JSON]:
    deltas = entry[_DELTAS]
    if not isinstance(deltas, list):
        raise CassetteCorruptError(f"{where}.{_DELTAS} must be a list, found {type(deltas).__name__}")
    marks = {
        leaf.value: leaf.path
        for leaf in _leaves(entry[_EACH])
        if isinstance(leaf.value, str) and _MARK.fullmatch(leaf.value)
    }
    for at, delta in enumerate(deltas):
        values = {f"<{name}>": value for name, value in delta.items()} if isinstance(delta, dict) else {}
        if not isinstance(delta, dict) and len(marks) == 1:
            values = {next(iter(marks)): delta}
        if values.keys() != marks.keys():
            raise CassetteCorruptError(f"{where}.{_DELTAS}[{at}] must have a value for {', '.join(marks) or 'nothing'}")
        yield _without_null_layout(_replaced(entry[_EACH], {marks[mark]: value for mark, value in values.items()}))


def _without_null_layout(entry: JSON) -> JSON:
    if isinstance(entry, dict) and entry.get(_LAYOUT, "") is None:
        return {key: value for key, value in entry.items() if key != _LAYOUT}
    return entry

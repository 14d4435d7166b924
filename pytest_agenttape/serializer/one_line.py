"""What of a cassette is written on one line: what a reader wants to skip or to scan, and what is a few words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from pytest_agenttape.model import JSON

_WORD = re.compile(r"[A-Za-z0-9_$][A-Za-z0-9_$./:@+-]{0,39}")
_LINE = re.compile(r"[^\r\n]{0,80}")
_WIDEST = 100  # characters, about
_TOO_WIDE = _WIDEST + 1
_LEVELS_OF_CALL = 4  # the file, interactions, number, name
_OF_CALL = frozenset(("usage", "metadata"))
_ASKED = frozenset(("args", "arguments", "function", "input", "items"))  # what a function is asked with; of a schema
_PROPERTIES = "properties"
_DELTAS = "deltas"  # of a stream: a line each
_CONTAINERS = (dict, list)


def is_scanned(trail: Sequence[object]) -> bool:
    """Return whether the value at *trail* in a cassette is one that a reader wants to skip or to scan."""
    if len(trail) == 3:
        return trail[1:] == ["meta", "redacted"]
    if len(trail) == 4:
        return trail[1:3] == ["meta", "shapes"]
    if len(trail) == 5:  # interactions, number, response, name
        return trail[4] in ("delivery", "chunk_bytes")
    return len(trail) == 8 and trail[6] == _DELTAS  # interactions, number, response, events, number, deltas, number


def is_short(node: list[JSON] | dict[str, JSON], trail: Sequence[object], *, is_merged: bool) -> bool:
    """Return whether what is written of *node*, at *trail* in a cassette, is a few words in a list or a mapping."""
    if isinstance(node, list):
        return trail[-1] != _DELTAS and bool(node) and _width(node, _WORD) <= _WIDEST
    if _may_have_prose(trail):
        return _width(_parts(node), _LINE) <= _WIDEST
    return is_merged and len(trail) > _LEVELS_OF_CALL and _is_row(node)


def are_rows(items: list[JSON], trail: Sequence[object]) -> bool:
    """Return whether *items*, the list at *trail*, are rows of a table: mappings of a few words and numbers each."""
    if len(trail) < _LEVELS_OF_CALL or len(items) < 2:
        return False
    return all(isinstance(each, dict) and len(each) > 1 and _is_row(each) for each in items)


def _is_row(node: dict[str, JSON]) -> bool:
    return _width((*node, *node.values()), _WORD) <= _WIDEST


def _may_have_prose(trail: Sequence[object]) -> bool:
    if len(trail) > _LEVELS_OF_CALL:
        return trail[-1] in _ASKED or trail[-2] == _PROPERTIES
    return len(trail) == _LEVELS_OF_CALL and trail[-1] in _OF_CALL


def _parts(node: dict[str, JSON]) -> Iterator[object]:
    """Yield the keys and the values of *node*, and in place of a list of words, these."""
    for key, value in node.items():
        yield key
        if isinstance(value, list) and _width(value, _WORD) <= _WIDEST:
            yield from value
        else:
            yield value


def _width(parts: Iterable[object], text: re.Pattern[str]) -> int:
    """Return how long *parts* are on one line, about; too long, if they are not all leaves."""
    width = 0
    for each in parts:
        is_fit = text.fullmatch(each) if isinstance(each, str) else not (each and isinstance(each, _CONTAINERS))
        width += 2 + len(str(each)) if is_fit else _TOO_WIDE
        if width > _WIDEST:
            break
    return width

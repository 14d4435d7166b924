"""Mappings that say little that one before does not: what differs, below a merge key that names the other.

A mapping is only merged with one that has the same keys in the same order. So every parser that knows merge keys gives
each key back in its place. What the anchor's name says, both say alike.
"""

from __future__ import annotations

from collections.abc import Collection

from pytest_agenttape.model import JSON

_LEAST = 44  # characters that need not be written; the merge key takes about half of them
_PER_KEY = 3  # of these
_WIDEST = 16  # of a value that is counted; of a longer one, an alias would be written
_DEEPEST_OPEN = 4  # the file, its list of calls and a call say all themselves, a request and an answer say what counts
_ANSWER, _FACTS = "response", "metadata"  # of a call
_FORM = frozenset(("headers", "encoded", "json_layout"))  # of an answer: how it came, not what it says
_STREAMS = ("events", "messages")  # of a response: they have a short form of their own
TELLING = {_FACTS: "operation", "choices": "finish_reason"}  # what a reader wants to see in each: the anchor says it


class Merges:
    """Which mappings of a cassette are written as what differs from one before.

    Args:
        root: The cassette, with one object for all equal trees.

    Attributes:
        named: What the mappings that others are merged with are, and their keys, by their ids.
    """

    def __init__(self, root: JSON) -> None:
        self.named: dict[int, tuple[object, ...]] = {}
        self._merged: dict[int, tuple[dict[str, JSON], dict[str, JSON]]] = {}  # with what, and what is written
        self._first: dict[tuple[object, ...], dict[str, JSON]] = {}  # by what they are and their keys
        self._seen: set[int] = set()
        self._look(root, "", 0)

    def base(self, node: JSON) -> dict[str, JSON] | None:
        """Return the mapping that *node* is merged with, if any."""
        found = self._merged.get(id(node))
        return None if found is None else found[0]

    def written(self, node: dict[str, JSON]) -> dict[str, JSON]:
        """Return what of *node* is written."""
        found = self._merged.get(id(node))
        return node if found is None else found[1]

    def _look(self, node: JSON, what: str, depth: int) -> None:
        if _is_leaf(node) or id(node) in self._seen:
            return
        self._seen.add(id(node))
        if type(node) is dict:
            self._look_at_mapping(node, what, depth)
        elif depth > _DEEPEST_OPEN or what not in _STREAMS:
            for each in node:
                self._look(each, what, depth + 1)

    def _look_at_mapping(self, node: dict[str, JSON], what: str, depth: int) -> None:
        kind = _kind(node, what, depth)
        base = None if kind is None else self._first.get(kind)
        if kind is not None and base is not None:
            alike = {key for key, each in node.items() if _are_same(each, base[key])}
            if depth < _DEEPEST_OPEN and what == _ANSWER:
                alike &= _FORM
            if _saved(node, alike) >= _LEAST:
                self._merged[id(node)] = base, {key: each for key, each in node.items() if key not in alike}
                self.named[id(base)] = kind
        for key, each in self.written(node).items():
            self._look(each, key, depth + 1)
        if kind is not None:
            self._first.setdefault(kind, node)  # now that all of it stands in the file


def _kind(node: dict[str, JSON], what: str, depth: int) -> tuple[object, ...] | None:
    """Return what *node* has alike with all that it may be merged with; None if it says all itself."""
    if len(node) < 2 or depth < _DEEPEST_OPEN - 1:
        return None
    if depth < _DEEPEST_OPEN and what != _FACTS:
        is_message = what == _ANSWER and "status" in node and "headers" in node
        return (what, *node, (repr(node["headers"]),)) if is_message else None
    told = TELLING.get(what)
    return (what, *node, (node[told],)) if told in node and _is_leaf(node[told]) else (what, *node)


def _saved(node: dict[str, JSON], alike: Collection[str]) -> int:
    """Return how many characters of *node* need not be written if it is merged."""
    return sum(len(key) + min(_width(node[key]), _WIDEST) + _PER_KEY for key in alike)


def _width(value: JSON) -> int:
    return _WIDEST if value and not _is_leaf(value) else len(str(value))


def _are_same(one: JSON, other: JSON) -> bool:
    return one is other or (type(one) is type(other) and _is_leaf(one) and repr(one) == repr(other))


def _is_leaf(value: JSON) -> bool:
    return type(value) is not dict and type(value) is not list

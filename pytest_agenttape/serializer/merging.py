"""Mappings that say little that one before does not: what differs, below a merge key that names the other.

A mapping is only merged with one that has the same keys in the same order. So every parser that knows merge keys gives
each key back in its place.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON

_LEAST = 48  # characters that need not be written; the merge key takes about half of them
_WIDEST = 16  # of a value that is counted; of a longer one, an alias would be written
_DEEPEST_OPEN = 4  # the file, its list of calls, a call, its request and response say all themselves
_STREAMS = ("events", "messages")  # of a response: they have a short form of their own


class Merges:
    """Which mappings of a cassette are written as what differs from one before.

    Args:
        root: The cassette, with one object for all equal trees.

    Attributes:
        named: The ids of the mappings that others are merged with.
    """

    def __init__(self, root: JSON) -> None:
        self.named: set[int] = set()
        self._bases: dict[int, dict[str, JSON]] = {}  # by the id of what is merged with them
        self._first: dict[tuple[object, ...], dict[str, JSON]] = {}  # by what they are and their keys
        self._seen: set[int] = set()
        self._look(root, "", 0)

    def base(self, node: JSON) -> dict[str, JSON] | None:
        """Return the mapping that *node* is merged with, if any."""
        return self._bases.get(id(node))

    def written(self, node: dict[str, JSON]) -> Mapping[str, JSON]:
        """Return what of *node* is written."""
        base = self._bases.get(id(node))
        return node if base is None else {key: each for key, each in node.items() if not _are_same(each, base[key])}

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
        kind = (what, *node)
        may_be_merged = depth >= _DEEPEST_OPEN and len(node) > 1
        base = self._first.get(kind) if may_be_merged else None
        if base is not None and _saved(node, base) >= _LEAST:
            self._bases[id(node)] = base
            self.named.add(id(base))
        for key, each in self.written(node).items():
            self._look(each, key, depth + 1)
        if may_be_merged:
            self._first.setdefault(kind, node)  # now that all of it stands in the file


def _saved(node: dict[str, JSON], base: dict[str, JSON]) -> int:
    """Return how many characters of *node* need not be written."""
    same = [key for key, each in node.items() if _are_same(each, base[key])]
    return sum(len(key) + min(len(str(node[key])) if _is_leaf(node[key]) else _WIDEST, _WIDEST) for key in same)


def _are_same(one: JSON, other: JSON) -> bool:
    return one is other or (type(one) is type(other) and _is_leaf(one) and repr(one) == repr(other))


def _is_leaf(value: JSON) -> bool:
    return type(value) is not dict and type(value) is not list

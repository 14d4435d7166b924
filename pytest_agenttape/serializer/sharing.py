"""What stands more than once in a cassette: written where it first stands, with an anchor; an alias everywhere else.

An anchor is named by what it is and by its content, never by its position, so a call that is inserted renames nothing.
A file that is rewritten keeps the names that it has. What is new takes the name of what it replaces: the lines that
refer to a changed prompt do not change with it.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from pytest_agenttape.model import JSON
from pytest_agenttape.serializer.document import MAX_DEPTH
from pytest_agenttape.serializer.merging import TELLING, Merges

# What an alias is shorter and easier to read than: characters of a tree's texts, a few more for each entry.
_LEAST_TREE, _LEAST_TEXT = 40, 120
_PER_ENTRY = 4
_OPEN_LEVELS = 4  # the file, its list of calls, a call, its request and response are always written out
_DIGITS = (4, 8, 16, 64)
_LONGEST_NAME = 40
_NO_NAMES = frozenset(("", "object", "array", "string"))  # types of JSON schemas
_SHORTER = {"assistant": "ai"}  # a long conversation refers to hundreds of these
_NUMBERED = re.compile("id[0-9]+")  # what YAML libraries call their anchors; says nothing
_UNFIT = re.compile("[^A-Za-z0-9_]+")

_BEGUN: JSON = object()  # in place of a tree that is being looked at

_Part: TypeAlias = object  # of the key of a tree: a text, the id of a tree below, the type and value of another leaf


class TooDeepError(Exception):
    """A tree is nested too deeply, or in itself; whoever writes it says so."""


class Trees:
    """Plain values in which equal trees are one object. What it is given is not changed."""

    def __init__(self) -> None:
        self._known: dict[tuple[_Part, ...], JSON] = {}
        self._seen: dict[int, JSON] = {}  # by the id of what was given
        self._given: list[JSON] = []  # alive, or an id could be reused
        self.weights: dict[int, int] = {}

    def one(self, value: JSON) -> JSON:
        """Return *value* with one object for all equal trees in it, and in what was given before.

        Raises:
            TooDeepError: It cannot be told.
        """
        return self._walked(self._one, value)

    def opened(self, root: JSON) -> JSON:
        """Return a cassette with one object for all equal trees below the levels that are always written out.

        Raises:
            TooDeepError: It cannot be told.
        """
        return self._walked(self._opened, root)

    def _walked(self, walk: Callable[[JSON, int], JSON], given: JSON) -> JSON:
        self._given.append(given)
        try:
            return walk(given, 0)
        except RecursionError:
            raise TooDeepError from None

    def _opened(self, node: JSON, depth: int) -> JSON:
        if depth == _OPEN_LEVELS:
            return self._one(node, depth)
        if type(node) is dict:
            return {key: self._opened(each, depth + 1) for key, each in node.items()}
        if type(node) is list:
            return [self._opened(each, depth + 1) for each in node]
        return node

    def _one(self, node: JSON, depth: int) -> JSON:
        kind = type(node)
        if kind is not dict and kind is not list:
            return node
        found = self._seen.get(id(node))
        if found is None:
            self._seen[id(node)] = _BEGUN
            found = self._seen[id(node)] = self._new(node, depth)
        if found is _BEGUN or depth > MAX_DEPTH:
            raise TooDeepError
        return found

    def _new(self, node: JSON, depth: int) -> JSON:
        is_mapping = type(node) is dict
        items = [self._one(each, depth + 1) for each in (node.values() if is_mapping else node)]
        key: list[_Part] = [*node, None] if is_mapping else []
        weight = _PER_ENTRY * len(items)
        for each in items:
            kind = type(each)
            if kind is str:
                key.append(each)
                weight += len(each)
            elif kind is dict or kind is list:
                key.append(id(each))
                weight += self.weights.get(id(each), 0)
            elif kind is float:
                key.append((kind, repr(each)))  # distinguishes -0.0 from 0.0
            elif kind is int or kind is bool or each is None:
                key.append((kind, each))
            else:
                key.append((kind, id(each)))
        whole = tuple(key)
        known = self._known.get(whole)
        if known is None:
            is_same = all(new is old for new, old in zip(items, node.values() if is_mapping else node, strict=True))
            known = node if is_same else (dict(zip(node, items, strict=True)) if is_mapping else items)
            self._known[whole] = self._seen[id(known)] = known
            self.weights[id(known)] = weight + (sum(map(len, node)) if is_mapping and _has_text_keys(node) else 0)
        return known


def _has_text_keys(node: dict[JSON, JSON]) -> bool:
    return all(type(key) is str for key in node)


def said_once(cassette: JSON) -> JSON:
    """Return a cassette in which equal trees are one object; as it is, if it is nested too deeply to tell."""
    try:
        return Trees().opened(cassette)
    except TooDeepError:
        return cassette


class Sharing:
    """What of a cassette gets an anchor.

    Args:
        root: The cassette.
        before: The anchors of the file that is rewritten, with what they stand for.

    Attributes:
        root: The cassette with one object for all equal trees.
        merges: What of it is written as what differs from something before; nothing of what is nested too deeply.
        names: The anchors of trees, by the id of the tree.
        texts: The anchors of texts.
    """

    def __init__(self, root: JSON, before: Mapping[str, JSON]) -> None:
        trees = Trees()
        self.names: dict[int, str] = {}
        self.texts: dict[str, str] = {}
        try:
            self.root = trees.opened(root)
            named = _Naming({name: trees.one(value) for name, value in before.items()})
            self.merges = Merges(self.root)
        except (TooDeepError, RecursionError):
            self.root = root
            self.merges = Merges(None)
            return
        for what, value, content in _repeated(self.root, trees.weights, self.merges):
            named.add(what, value, content)
        for name, value in named.all():
            if isinstance(value, str):
                self.texts[value] = name
            else:
                self.names[id(value)] = name


def _repeated(root: JSON, weights: Mapping[int, int], merges: Merges) -> Iterator[tuple[str, JSON, JSON]]:
    """Yield what is referred to, in the order of the file, with what it is and what its name is a digest of."""
    uses: dict[object, int] = {}
    found: list[tuple[str, JSON, object]] = []
    waiting: list[tuple[str, JSON, int]] = [("", root, 0)]
    while waiting:
        key, node, depth = waiting.pop()
        if type(node) is not str and type(node) is not dict and type(node) is not list:
            continue
        mark = _mark(node)
        uses[mark] = uses.get(mark, 0) + 1
        if mark in merges.named or _is_worth_an_anchor(node, depth, weights):
            if uses[mark] > 1:
                continue
            found.append((key, node, mark))
        if type(node) is dict:
            waiting += [(str(name), each, depth + 1) for name, each in reversed([*merges.written(node).items()])]
        elif type(node) is list:
            waiting += [(key, each, depth + 1) for each in reversed(node)]
    for key, node, mark in found:
        if uses[mark] > 1:
            yield _what(key, node), node, node
        elif mark in merges.named:  # for its keys, whichever call is the first to have them
            yield _what(key, node), node, merges.named[id(node)]


def _is_worth_an_anchor(node: JSON, depth: int, weights: Mapping[int, int]) -> bool:
    if type(node) is str:
        return depth >= _OPEN_LEVELS - 1 and len(node) >= _LEAST_TEXT
    return depth >= _OPEN_LEVELS and weights.get(id(node), 0) >= _LEAST_TREE


def _what(key: str, node: JSON) -> str:
    """Return what *node* is, as a name: a role, a tool, a type, what the key tells of it, else the *key*."""
    if isinstance(node, dict):
        function = node.get("function")
        named = function.get("name") if isinstance(function, dict) else node.get("name")
        names = (node.get("role"), named, node.get("event"), node.get("type"), node.get(TELLING.get(key, "")))
        key = next((each for each in names if isinstance(each, str) and each not in _NO_NAMES), key)
    return _SHORTER.get(key) or _UNFIT.sub("_", key[:_LONGEST_NAME]).strip("_") or "part"


class _Naming:
    """Gives names: those of before, and to what is new a name of its own."""

    def __init__(self, before: Mapping[str, JSON]) -> None:
        before = {name: value for name, value in before.items() if not _NUMBERED.fullmatch(name)}
        self._before = {_mark(value): name for name, value in before.items()}
        self._kept: dict[str, JSON] = {}
        self._new: list[tuple[str, JSON, JSON]] = []
        self._free: defaultdict[str, deque[str]] = defaultdict(deque)  # by what they were names of
        self._names_before = tuple(before)
        self._digests: dict[int, bytes] = {}

    def add(self, what: str, value: JSON, content: JSON) -> None:
        """Take in what is to have a name, which says *what* it is and is a digest of *content*."""
        name = self._before.get(_mark(value))
        if name is None:
            self._new.append((what, value, content))
        else:
            self._kept[name] = value

    def all(self) -> list[tuple[str, JSON]]:
        """Return everything with its name."""
        for name in self._names_before:
            if name not in self._kept:
                what = name.rpartition("-")[0]
                self._free[_SHORTER.get(what, what)].append(name)
        taken = dict(self._kept)
        really_new = []
        for what, value, content in self._new:
            if self._free[what]:
                taken[self._free[what].popleft()] = value
            else:
                really_new.append((what, value, content))
        self._add_new(really_new, taken)
        return list(taken.items())

    def _add_new(self, new: list[tuple[str, JSON, JSON]], taken: dict[str, JSON]) -> None:
        """Add names of their own; those that would be equal get more digits, all of them alike."""
        for digits in _DIGITS:
            same: defaultdict[str, list[tuple[str, JSON, JSON]]] = defaultdict(list)
            for what, value, content in new:
                same[f"{what}-{self._digest(content).hex()[:digits]}"].append((what, value, content))
            new = []
            for name, named in same.items():
                if len(named) == 1 and name not in taken:
                    taken[name] = named[0][1]
                else:
                    new += named

    def _digest(self, node: JSON) -> bytes:
        if type(node) is not dict and type(node) is not list:
            return hashlib.sha256(repr(node).encode()).digest()
        found = self._digests.get(id(node))
        if found is None:
            content = hashlib.sha256(type(node).__name__.encode())
            for key, value in node.items() if type(node) is dict else enumerate(node):
                content.update(repr(key).encode() + self._digest(value))
            found = self._digests[id(node)] = content.digest()
        return found


def _mark(value: JSON) -> object:
    return value if type(value) is str else id(value)

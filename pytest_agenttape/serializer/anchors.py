"""What the anchors of a document stand for, and how far their aliases may go."""

from __future__ import annotations

from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON
from pytest_agenttape.serializer.document import MAX_DEPTH, short

# Written out, a document may have this many times its characters; a small one may have more. A recording of long
# conversations stays far below; a few lines that stand for more than a memory holds do not.
_MOST_TIMES = 1_000
_ALWAYS_ALLOWED = 16_000_000
# Merge keys do fill memory: as many entries as the document has characters; again, a small one may have more.
_ENTRIES_ALWAYS_ALLOWED = 1_000_000
_TOO_MANY = "the merge keys stand for more than can be held; write fewer"
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


class Anchors:
    """The values that have an anchor; an alias is the same object, so a document is never written out in memory.

    Args:
        length: The number of characters of the document.
    """

    def __init__(self, length: int) -> None:
        self._given: dict[str, tuple[JSON, int, int]] = {}  # with its characters and its levels
        self._sizes: dict[int, tuple[int, int]] = {}  # the same by the id of a container
        self._open: set[str] = set()
        self._left = max(_ALWAYS_ALLOWED, _MOST_TIMES * length)
        self._entries_left = max(_ENTRIES_ALWAYS_ALLOWED, length)

    @property
    def values(self) -> dict[str, JSON]:
        """What each anchor stands for, in the order of the file."""
        return {anchor: value for anchor, (value, _, _) in self._given.items()}

    def open(self, anchor: str) -> None:
        """Begin the container of *anchor*."""
        self._given.pop(anchor, None)  # one that is given again stands for something else from here on
        self._open.add(anchor)

    def add(self, anchor: str, value: JSON) -> None:
        """Keep what *anchor* stands for."""
        self._open.discard(anchor)
        self._given.pop(anchor, None)
        measured = self._measured(value)
        self._given[anchor] = value, *measured
        if isinstance(value, dict | list):
            self._sizes[id(value)] = measured

    def value(self, anchor: str, depth: int) -> JSON:
        """Return what *anchor* stands for, for an alias in *depth* containers.

        Raises:
            CassetteCorruptError: It stands for nothing or holds itself, or the document becomes too large or too deep.
        """
        found = self._given.get(anchor)
        if found is None:
            raise self._unknown(anchor)
        value, size, levels = found
        self._left -= size
        if self._left < 0:
            raise CassetteCorruptError(f"*{short(anchor)}: the aliases stand for more than can be held; write fewer")
        if depth + levels > MAX_DEPTH:
            raise CassetteCorruptError(_TOO_DEEP)
        return value

    def named(self, anchor: str) -> JSON:
        """Return what *anchor* stands for, of which a merge key takes a part.

        Raises:
            CassetteCorruptError: It stands for nothing or holds itself.
        """
        if anchor not in self._given:
            raise self._unknown(anchor)
        return self._given[anchor][0]

    def _unknown(self, anchor: str) -> CassetteCorruptError:
        if anchor in self._open:
            return CassetteCorruptError(f"*{short(anchor)} stands in what it stands for; write the value out")
        return CassetteCorruptError(f"*{short(anchor)} stands for nothing: no &{anchor[:60]} comes before it")

    def merge(self, own: dict[str, JSON], named: list[dict[str, JSON]], depth: int) -> None:
        """Give a mapping what its merge key names: first, and what it says itself, or an earlier one does, goes before.

        Raises:
            CassetteCorruptError: The document becomes too large or too deep.
        """
        self._entries_left -= sum(map(len, named))
        if self._entries_left < 0:
            raise CassetteCorruptError(_TOO_MANY)
        merged = dict(named[0]) if named else {}
        for each in named[1:]:
            merged |= {key: value for key, value in each.items() if key not in merged}
        size, levels = 0, 0
        for key, value in merged.items():
            if key in own:
                continue
            added, below = self._measured(value)
            if below:
                self._sizes[id(value)] = added, below  # measured once, however often it is merged
                levels = max(levels, below)
            size += added
        self._left -= size
        if self._left < 0:
            raise CassetteCorruptError(_TOO_MANY)
        if depth + levels > MAX_DEPTH:
            raise CassetteCorruptError(_TOO_DEEP)
        merged |= own
        own.clear()
        own.update(merged)

    def _measured(self, value: JSON) -> tuple[int, int]:
        """Return how many characters *value* has when it is written out, about, and how many levels."""
        if type(value) is str:
            return len(value), 0
        if not isinstance(value, dict | list):
            return 8, 0
        if (known := self._sizes.get(id(value))) is not None:
            return known
        size, levels = 0, 0
        waiting = [(value, 1)]
        while waiting:
            node, depth = waiting.pop()
            if node is not value and (known := self._sizes.get(id(node))) is not None:
                size, levels = size + known[0], max(levels, depth - 1 + known[1])
                continue
            levels = max(levels, depth)
            if isinstance(node, dict):
                size += sum(map(len, node))
            for each in node.values() if isinstance(node, dict) else node:
                if isinstance(each, dict | list):
                    waiting.append((each, depth + 1))
                else:
                    size += (len(each) if isinstance(each, str) else 8) + 1
        return size, levels

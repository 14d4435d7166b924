"""Values of any size, cut to what a page can show and a worker can send."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pytest_agenttape.model import JSON
from pytest_agenttape.reading.one_line import shorten

ROOM = 20_000  # characters of one call
_PER_VALUE = 8  # what a value that is no text takes of it
_LONGEST_KEY = 200
_MAX_DEPTH = 40
_MOST_OF_A_BROWSER = 2**53  # beyond it, a whole number is rounded in JavaScript


def shortened(value: JSON, room: int = ROOM) -> JSON:
    """Return *value* as plain JSON of about *room* characters, with how much is left out said where it is.

    Numbers that a browser would change are texts, and so are halves of characters.
    """
    return _Cut(room).value(value)


def shortened_text(text: str, room: int = ROOM) -> str:
    """Return *text*, cut to *room* characters."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= room else f"{text[:room]}\n… {len(text) - room:,} more characters"


class _Cut:
    def __init__(self, room: int) -> None:
        self._left = room

    def value(self, node: JSON, depth: int = 0) -> JSON:
        if isinstance(node, str):
            return self._text(node)
        self._left -= _PER_VALUE
        if isinstance(node, Mapping | list | tuple):
            if depth > _MAX_DEPTH:
                return shorten(node)
            return self._mapping(node, depth) if isinstance(node, Mapping) else self._listed(node, depth)
        if node is None or isinstance(node, bool):
            return node
        is_number = isinstance(node, int | float) and math.isfinite(node) and abs(node) <= _MOST_OF_A_BROWSER
        return node if is_number else shorten(node)

    def _text(self, text: str) -> str:
        room = max(self._left, 0)
        self._left -= len(text)
        return shortened_text(text, room)

    def _mapping(self, node: Mapping[JSON, JSON], depth: int) -> JSON:
        kept: dict[str, JSON] = {}
        for key, each in node.items():
            if self._left <= 0:
                kept["…"] = f"{len(node) - len(kept):,} more"
                break
            name = shortened_text(str(key), _LONGEST_KEY)
            self._left -= len(name)
            kept[name] = self.value(each, depth + 1)
        return kept

    def _listed(self, node: Sequence[JSON], depth: int) -> JSON:
        kept: list[JSON] = []
        for each in node:
            if self._left <= 0:
                kept.append(f"… {len(node) - len(kept):,} more")
                break
            kept.append(self.value(each, depth + 1))
        return kept

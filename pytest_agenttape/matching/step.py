"""Calls that are made word for word as they were recorded: the next recording answers each, and no key is needed."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping

from pytest_agenttape.model import JSON

# What an HTTP request is stored in, all of it text but for the value of a JSON body.
_TEXTS = frozenset("method url headers encoded json json_layout text charset body_b64".split())
_PLAIN = 0  # the version of marshal's format in which equal trees are spelled alike, whoever else holds their parts


class Step:
    """The recordings that calls of the agent's own are answered by, as long as each call is the very next of them.

    As soon as one call is not, the tape has to look which recording answers it, and each one after it.

    Attributes:
        next: The position of the next recording; None if calls are in step no longer.
    """

    __slots__ = ("_left", "next")

    def __init__(self, positions: Iterable[int]) -> None:
        self._left = iter(positions)
        self.next = next(self._left, None)

    def go_on(self) -> None:
        """Note that the next recording has answered."""
        self.next = next(self._left, None)

    def end(self) -> None:
        """Note that a call was not the next one."""
        self.next = None


def is_same(asked: Mapping[str, JSON], recorded: dict[str, JSON]) -> bool:
    """Return whether two requests are the same to the last type and key, which takes less than a key of either."""
    if asked.get("json") is recorded.get("json") and asked.keys() <= _TEXTS:
        return asked == recorded  # of text, what is equal is the same
    try:
        return marshal.dumps(dict(asked), _PLAIN) == marshal.dumps(recorded, _PLAIN)
    except ValueError:  # too deep, or no plain data
        return False

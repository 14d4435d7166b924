"""Stand-ins for keys that are not set, so that SDKs can be constructed where nothing is sent."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable

VALUE = "stand-in-of-agenttape"

_lock = threading.Lock()
_users: Counter[str] = (
    Counter()
)  # of each stand-in: the environment is the process's, and sessions run beside each other
_empty: set[str] = set()  # variables that were set to nothing, as a CI service does with secrets that it withholds


class StandInKeys:
    """The stand-ins of one session.

    Args:
        keys: For each key the variables in which it is looked for; one that is set makes the others needless.
    """

    def __init__(self, keys: Iterable[tuple[str, ...]]) -> None:
        self._keys = frozenset(keys)
        self._set: list[str] = []

    def enter(self) -> None:
        """Set what is not set."""
        with _lock:
            self._set = [name for names in self._keys if all(map(_is_missing, names)) for name in names]
            for name in self._set:
                if os.environ.get(name) == "":
                    _empty.add(name)
                os.environ[name] = VALUE
                _users[name] += 1

    def leave(self) -> None:
        """Remove what no other session needs, unless other code has set it meanwhile."""
        with _lock:
            for name in self._set:
                _users[name] -= 1
                if not _users[name] and os.environ.get(name) == VALUE:
                    _restore(name)
            self._set = []


def _is_missing(name: str) -> bool:
    return os.environ.get(name) in (None, "", VALUE)


def _restore(name: str) -> None:
    if name in _empty:
        _empty.discard(name)
        os.environ[name] = ""
    else:
        del os.environ[name]

"""Wraps a function that belongs to other code, and restores what was there."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

_NOTHING = object()


class Patch:
    """A function of a class or module that is wrapped from `install` to `uninstall`.

    Other code may wrap it too, before or in the meantime. Whatever is found is wrapped, and our wrapper is removed only
    if it is still on top. Left below another one, it stays in use, so it must do nothing when it is not wanted.
    """

    def __init__(self, owner: Any, name: str, wrap: Callable[[Any], Callable[..., Any]]) -> None:
        self._owner, self._name, self._wrap = owner, name, wrap
        self._found: object = _NOTHING
        self._ours: object = _NOTHING
        self._is_inherited = False

    def install(self) -> None:
        """Put the wrapper on top, unless it is already there."""
        found = getattr(self._owner, self._name)
        if found is self._ours:
            return
        if found is not self._found:  # otherwise reuse the wrapper: there may be thousands of tests
            self._found, self._ours = found, functools.update_wrapper(self._wrap(found), found)
        self._is_inherited = self._name not in vars(self._owner)
        setattr(self._owner, self._name, self._ours)

    def uninstall(self) -> None:
        """Restore what `install` found, unless other code has put its own wrapper on top."""
        if vars(self._owner).get(self._name) is not self._ours:
            return
        if self._is_inherited:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._found)


class Guard:
    """What is installed in the process for as long as anybody wants it."""

    def __init__(self, install: Callable[[], None], uninstall: Callable[[], None]) -> None:
        self._install, self._uninstall = install, uninstall
        self._wanted = 0
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return self._wanted > 0

    def arm(self) -> None:
        """Want it; each call needs its `disarm`."""
        with self._lock:
            if not self._wanted:
                self._install()
            self._wanted += 1

    def disarm(self) -> None:
        """Undo one `arm`."""
        with self._lock:
            if self._wanted == 1:
                self._uninstall()
            self._wanted = max(0, self._wanted - 1)

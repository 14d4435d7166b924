"""Wrapping a function that belongs to somebody else, and giving back what was there."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

_NOTHING = object()


class Patch:
    """A function of a class or module that is wrapped from `install` to `uninstall`.

    Somebody else may wrap it in turn, before or meanwhile: what is found is wrapped, and taken off only while it is
    still on top. Left below another's it stays in use, so what *wrap* returns has to do nothing while it is not wanted.
    """

    def __init__(self, owner: Any, name: str, wrap: Callable[[Any], Callable[..., Any]]) -> None:
        self._owner, self._name, self._wrap = owner, name, wrap
        self._found: object = _NOTHING
        self._ours: object = _NOTHING
        self._is_inherited = False

    def install(self) -> None:
        """Put the wrapper on top; one that is there already stays."""
        found = getattr(self._owner, self._name)
        if found is self._ours:
            return
        if found is not self._found:  # else as last time: tests come by the thousand
            self._found, self._ours = found, functools.update_wrapper(self._wrap(found), found)
        self._is_inherited = self._name not in vars(self._owner)
        setattr(self._owner, self._name, self._ours)

    def uninstall(self) -> None:
        """Give back what `install` found, unless somebody has put their own on top."""
        if vars(self._owner).get(self._name) is not self._ours:
            return
        if self._is_inherited:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._found)

"""Where functions are held that a session replaces: in any module, also after `from library import function`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from pytest_agenttape.process.freeze import layers

Function = Callable[..., Any]
Learn = Callable[[Any], Mapping[Function, Function]]  # from a module: its functions, and ours for them

_identity = object.__hash__  # as `id`, of which each call is an audit event, which takes longer than all the rest


class Sites:
    """The places that hold certain functions of some libraries, swapped while a session needs it.

    A module that is imported in the meantime keeps our function, which does as the library's when no session is open.
    """

    def __init__(self, own: dict[str, Any], learn: Mapping[str, Learn]) -> None:
        self.modules = 0
        self._own = own  # the names of the module that replaces; it holds the real functions
        self._learn_from = learn
        self._seen: set[str] = set()
        self._learned: set[str] = set()
        self._ours: dict[int, Function] = {}
        self._real: list[Function] = []  # kept, so that their identities stay theirs
        self._sites: list[tuple[dict[str, Any], str, Function, Function]] = []
        self._installed = False

    def sync(self, wanted: bool) -> None:
        """Swap our functions in if they are *wanted*, and out if they are not."""
        if wanted and len(sys.modules) != self.modules:
            self._look()
        if wanted == self._installed:
            return
        self._installed = wanted
        for names, name, original, ours in self._sites:
            if names.get(name) is (original if wanted else ours):
                names[name] = ours if wanted else original

    def adopt_new_modules(self) -> None:
        """Swap the functions in modules that were imported while ours are wanted."""
        if not layers.LOCK.acquire(blocking=False):
            return  # its holder is doing the same, or will get here at the next read
        try:
            if self._installed:
                self._installed = False
                self.sync(True)
        finally:
            layers.LOCK.release()

    def _look(self) -> None:
        self.modules = len(sys.modules)
        learned = [name for name in self._learn_from.keys() - self._learned if self._learn(name)]
        if not self._ours:
            return
        new = set(sys.modules) if learned else sys.modules.keys() - self._seen
        self._seen |= new
        known = self._ours.keys()
        for module in [sys.modules.get(name) for name in new]:
            names = getattr(module, "__dict__", None)
            if type(names) is not dict or names is self._own:
                continue
            if known.isdisjoint(map(_identity, tuple(names.values()))):
                continue
            for name, value in tuple(names.items()):
                ours = self._ours.get(_identity(value))
                if ours is not None:
                    self._sites.append((names, name, value, ours))

    def _learn(self, library: str) -> bool:
        """Learn the functions of *library* once it is imported; return whether they are new."""
        found = self._learn_from[library](sys.modules[library]) if library in sys.modules else {}
        if not found:  # it is not imported, or is being imported right now
            return False
        self._learned.add(library)
        self._real += found
        self._ours.update({_identity(real): ours for real, ours in found.items()})
        return True

"""Notices libraries that are imported later, in any thread."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence, Set
from importlib.machinery import ModuleSpec
from types import ModuleType


class ImportHook(importlib.abc.MetaPathFinder):
    """Calls *then* whenever one of the modules in *watched* has been imported."""

    def __init__(self, watched: frozenset[str], then: Callable[[], None]) -> None:
        self._watched = watched
        self._then = then
        self._here = _Here()

    def install(self) -> None:
        """Listen from now on."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    @property
    def executing(self) -> Set[str]:
        """The watched modules that the current thread is importing."""
        return self._here.executing

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  # the protocol's
        target: ModuleType | None = None,  # noqa: ARG002  # the protocol's
    ) -> ModuleSpec | None:
        """Find a watched module through the other finders, and wrap its loader."""
        if fullname not in self._watched or fullname in self._here.searching:
            return None
        self._here.searching.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._here.searching.discard(fullname)
        if spec is not None and isinstance(spec.loader, importlib.abc.Loader):
            spec.loader = _Loader(spec.loader, self._here, self._then)
        return spec


class _Here(threading.local):
    """The imports of the current thread; other threads wait on the import system's own locks."""

    def __init__(self) -> None:
        self.executing: set[str] = set()
        self.searching: set[str] = set()


class _Loader(importlib.abc.Loader):
    """Loads a module as its own loader does, then calls *then*."""

    def __init__(self, loader: importlib.abc.Loader, here: _Here, then: Callable[[], None]) -> None:
        self._loader = loader
        self._here = here
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._here.executing.add(module.__name__)
        try:
            self._loader.exec_module(module)
        finally:
            self._here.executing.discard(module.__name__)
        self._then()

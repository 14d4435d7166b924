"""HTTP seen on the wire. Each library is patched once, when a session first needs it and it is imported."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

# A module of a library that has to be patched once it is imported, and the room of ours that does it.
_TRANSPORTS = {
    "httpcore": "pytest_agenttape.transports.httpcore",
    "httpcore2": "pytest_agenttape.transports.httpcore",
    "httpx._transports.default": "pytest_agenttape.transports.tls",
    "httpx2._transports.default": "pytest_agenttape.transports.tls",
    "requests.adapters": "pytest_agenttape.transports.requests",
}


def install() -> None:
    """Patch the HTTP libraries that are imported, and arrange for the others to be patched on import."""
    if _finder in sys.meta_path:
        return
    sys.meta_path.insert(0, _finder)
    for library in _TRANSPORTS:
        if library in sys.modules:
            _patch(library)


def _patch(library: str) -> None:
    """Patch *library*, and what the import of our own transport brought along meanwhile."""
    transport = _TRANSPORTS[library]
    if transport in _importing:
        return
    _importing.add(transport)
    try:
        module = importlib.import_module(transport)
    finally:
        _importing.discard(transport)
    for name in [name for name, room in _TRANSPORTS.items() if room == transport and name in sys.modules]:
        if name not in _patched:
            _patched.add(name)
            module.install(name)


_importing: set[str] = set()
_patched: set[str] = set()


class _Loader(importlib.abc.Loader):
    """Loads a library as its own loader does, then patches it."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _patch(module.__name__)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the libraries we patch through the other finders, and wraps their loaders."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  # the protocol's
        target: ModuleType | None = None,  # noqa: ARG002  # the protocol's
    ) -> ModuleSpec | None:
        if fullname not in _TRANSPORTS or fullname in self._searching:
            return None
        self._searching.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._searching.discard(fullname)
        if spec is not None and isinstance(spec.loader, importlib.abc.Loader):
            spec.loader = _Loader(spec.loader)
        return spec

    def __init__(self) -> None:
        self._searching: set[str] = set()


_finder = _Finder()

"""HTTP seen on the wire. Each library is patched when a session first needs it and it is imported."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_HTTPCORE = "pytest_agenttape.transports.httpcore"
_REQUESTS = "pytest_agenttape.transports.requests"
_TLS = "pytest_agenttape.transports.tls"

# A module of a library that has to be patched once it is imported, and the room of ours that does it.
_ROOMS = {
    "httpcore": _HTTPCORE,
    "httpcore2": _HTTPCORE,
    "httpx._transports.default": _TLS,
    "httpx2._transports.default": _TLS,
    "requests.adapters": _REQUESTS,
}
# What a room stands on: it cannot be loaded in the middle of the import of one of these.
_NEEDS = {
    _HTTPCORE: frozenset({"httpcore", "httpx", "respx"}),
    _REQUESTS: frozenset({"requests", "responses"}),
    _TLS: frozenset[str](),
}
_WATCHED = frozenset({*_ROOMS, *_NEEDS[_HTTPCORE], *_NEEDS[_REQUESTS]})


def install() -> None:
    """Patch the HTTP libraries that are imported, and arrange for the others to be patched on import.

    Each session asks again: the user may have reloaded a library, or had a mock of their own in its place.
    """
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _patch_imported()


def _patch_imported() -> None:
    for library, room in _ROOMS.items():
        if _is_due(library):
            _load(room)
    # Only now: the room of one library may have imported another of its own, as respx does with httpcore.
    for library, room in _ROOMS.items():
        if _is_due(library):
            _load(room).install(library)


def _is_due(library: str) -> bool:
    room = _ROOMS[library]
    return library in sys.modules and room not in _here.importing and not _NEEDS[room] & _here.executing


def _load(room: str) -> ModuleType:
    _here.importing.add(room)
    try:
        return importlib.import_module(room)
    finally:
        _here.importing.discard(room)


class _Here(threading.local):
    """What the running thread is in the middle of importing; other threads wait at the import system's own locks."""

    def __init__(self) -> None:
        self.importing: set[str] = set()  # rooms of ours
        self.executing: set[str] = set()  # libraries
        self.searching: set[str] = set()


_here = _Here()


class _Loader(importlib.abc.Loader):
    """Loads a library as its own loader does, then patches it."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        _here.executing.add(module.__name__)
        try:
            self._loader.exec_module(module)
        finally:
            _here.executing.discard(module.__name__)
        _patch_imported()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the libraries we patch through the other finders, and wraps their loaders."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  # the protocol's
        target: ModuleType | None = None,  # noqa: ARG002  # the protocol's
    ) -> ModuleSpec | None:
        if fullname not in _WATCHED or fullname in _here.searching:
            return None
        _here.searching.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            _here.searching.discard(fullname)
        if spec is not None and isinstance(spec.loader, importlib.abc.Loader):
            spec.loader = _Loader(spec.loader)
        return spec


_finder = _Finder()

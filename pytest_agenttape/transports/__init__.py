"""HTTP seen on the wire: one module a library, and the table that says which patches which, and when.

A transport has one function, `install(library)`. It patches the innermost method that sends a request, once, below any
mock of the user's own, and raises an AgentTapeError where that method is not what it knows. The method in its place
    1  asks `ownership.current` whom the call belongs to; passes it on where nobody does, or the owner admits it
    2  makes an `HttpRequest` of the library's request, its body read once and whole, for `exchange.begin`
    3  replaying: turns `exchange.served` into the library's response, whose body is a `RecordedBody`, or raises a
       `TransportFailure` as the library's own class, else as the stand-in for its failures of the network
    4  live: sends `Exchange.request` within `Exchange.inside`; hands what is raised to `exchange.record_failure`, and
       what the agent reads of the body, as it reads it, to a `LiveResponse`
Where a library is sync and async, the two differ by an `await`. Nothing else imports the library.
"""

from __future__ import annotations

import importlib
import sys
import threading
from dataclasses import dataclass
from types import ModuleType

from pytest_agenttape.transports.import_hook import ImportHook


@dataclass(frozen=True, slots=True)
class _Transport:
    """A module of ours, and the libraries it imports: in the middle of the import of one it cannot be loaded."""

    module: str
    imports: frozenset[str] = frozenset()


_HTTPCORE = _Transport("pytest_agenttape.transports.httpcore", frozenset({"httpcore", "httpx", "respx"}))
_REQUESTS = _Transport("pytest_agenttape.transports.requests", frozenset({"requests", "responses"}))
_TLS = _Transport("pytest_agenttape.transports.tls")

# A module that has to be patched once it is imported, and by what.
_TABLE = {
    "httpcore": _HTTPCORE,
    "httpcore2": _HTTPCORE,
    "httpx._transports.default": _TLS,
    "httpx2._transports.default": _TLS,
    "requests.adapters": _REQUESTS,
}


def install() -> None:
    """Patch the HTTP libraries that are imported, and arrange for the others to be patched on import.

    Each session asks again: the user may have reloaded a library, or had a mock of their own in its place.

    Raises:
        AgentTapeError: What is to be patched is not there in the installed version of a library.
    """
    _hook.install()
    _patch_imported()


def _patch_imported() -> None:
    for transport in dict.fromkeys(_TABLE[library] for library in _TABLE if _is_due(library)):
        _load(transport)
    # Only now: one transport may have imported the library of another, as respx does with httpcore.
    for library in _TABLE:
        if _is_due(library):
            _load(_TABLE[library]).install(library)


def _is_due(library: str) -> bool:
    transport, executing = _TABLE[library], _hook.executing
    return (
        sys.modules.get(library) is not None
        and library not in executing
        and executing.isdisjoint(transport.imports)
        and transport.module not in _loading.modules
    )


def _load(transport: _Transport) -> ModuleType:
    _loading.modules.add(transport.module)
    try:
        return importlib.import_module(transport.module)
    finally:
        _loading.modules.discard(transport.module)


class _Loading(threading.local):
    """The transports that the running thread is in the middle of importing."""

    def __init__(self) -> None:
        self.modules: set[str] = set()


_loading = _Loading()
_hook = ImportHook(frozenset(_TABLE).union(*(each.imports for each in _TABLE.values())), _patch_imported)

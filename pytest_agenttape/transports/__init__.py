"""HTTP as seen on the wire: one module per library, and the table that says which module patches which, and when.

A transport has one function, `install(library)`. It patches the innermost method that sends a request, once, below any
mock of the user's, and raises an AgentTapeError if that method is not the one it knows. The new method
    1  asks `ownership.current` which session owns the call; passes it on if none does, or if the owner admits it
    2  builds an `HttpRequest` from the library's request, reading the whole body once, for `exchange.begin`
    3  in replay: turns `exchange.served` into the library's response, whose body is a `ReplayedBody`, or raises a
       `TransportFailure` as the library's own class, or else as the library's general network error
    4  live: sends `Exchange.request` within `Exchange.inside`; passes an exception to `exchange.record_failure`, and
       the body, as the agent reads it, to a `LiveResponse`
If a library is both sync and async, the two differ by an `await`. Nothing else imports the library.
"""

from __future__ import annotations

import importlib
import sys
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from types import ModuleType

from pytest_agenttape.process.garbage import lasting
from pytest_agenttape.process.import_hook import ImportHook


@dataclass(frozen=True, slots=True)
class _Transport:
    """One of our modules, and the libraries it imports; it cannot be loaded while one of them is being imported."""

    module: str
    imports: frozenset[str] = frozenset()


_AIOHTTP = _Transport("pytest_agenttape.transports.aiohttp.connector", frozenset({"aiohttp"}))
_GRPC = _Transport("pytest_agenttape.transports.grpc.channel", frozenset({"grpc"}))
_HTTPCORE = _Transport("pytest_agenttape.transports.httpcore", frozenset({"httpcore", "httpx", "respx"}))
_REQUESTS = _Transport("pytest_agenttape.transports.requests", frozenset({"requests", "responses"}))
_BOTOCORE = _Transport("pytest_agenttape.transports.botocore.http_session", frozenset({"urllib3"}))
_CLAUDE = _Transport("pytest_agenttape.transports.claude.program")
_CREDENTIALS = _Transport("pytest_agenttape.transports.botocore.credentials")
_SIGNING = _Transport("pytest_agenttape.transports.botocore.signing")
_URLLIB3 = _Transport("pytest_agenttape.transports.urllib3.pool", frozenset({"urllib3"}))
_HTTP_CLIENT = _Transport("pytest_agenttape.transports.http_client.connection")
_MCP = _Transport("pytest_agenttape.transports.mcp.stdio", frozenset({"anyio", "mcp"}))
_WEBSOCKETS = _Transport("pytest_agenttape.transports.websockets.clients", frozenset({"websockets"}))
_NATIVE = _Transport("pytest_agenttape.transports.native")
_TLS = _Transport("pytest_agenttape.transports.tls")

# The modules to patch once they are imported, and the transport that does it.
_TABLE = {
    "aiohttp.connector": _AIOHTTP,
    "claude_agent_sdk._internal.transport.subprocess_cli": _CLAUDE,
    "curl_cffi.requests.session": _NATIVE,
    "grpc": _GRPC,
    "httpcore": _HTTPCORE,
    "httpcore2": _HTTPCORE,
    "httpx._transports.default": _TLS,
    "httpx2._transports.default": _TLS,
    "impit": _NATIVE,
    "mcp.client.stdio": _MCP,
    "primp": _NATIVE,
    "requests.adapters": _REQUESTS,
    "botocore.httpsession": _BOTOCORE,
    "botocore.credentials": _CREDENTIALS,
    "botocore.signers": _SIGNING,
    "urllib3.connectionpool": _URLLIB3,
    "http.client": _HTTP_CLIENT,
    "httplib2": _HTTP_CLIENT,
    "urllib3.connection": _HTTP_CLIENT,
    "websockets.asyncio.client": _WEBSOCKETS,
    "websockets.sync.client": _WEBSOCKETS,
}


def install() -> None:
    """Patch the HTTP libraries that are imported, and arrange for the others to be patched on import.

    Each session does this again, because the user may have reloaded a library, or replaced it with a mock.

    Raises:
        AgentTapeError: The installed version of a library lacks what is to be patched.
    """
    _hook.install()
    _patch_imported()


def _patch_imported() -> None:
    due, count = list(filter(_is_due, _TABLE)), len(sys.modules)
    for transport in dict.fromkeys(_TABLE[library] for library in due):
        _load(transport)
    if len(sys.modules) != count:  # a transport may have imported the library of another, as respx does with httpcore
        due = list(filter(_is_due, _TABLE))
    for library in due:
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
        with nullcontext() if transport.module in sys.modules else lasting():  # loaded once, asked for by each session
            return importlib.import_module(transport.module)
    finally:
        _loading.modules.discard(transport.module)


class _Loading(threading.local):
    """The transports that the current thread is importing."""

    def __init__(self) -> None:
        self.modules: set[str] = set()


_loading = _Loading()
_hook = ImportHook(frozenset(_TABLE).union(*(each.imports for each in _TABLE.values())), _patch_imported)

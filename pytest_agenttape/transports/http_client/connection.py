"""http.client, below urllib.request, xmlrpc and httplib2: its connections, which collect a request and send it whole.

What a connection is given is kept until the request is complete. In replay nothing connects: http.client itself reads
the recorded answer, from a make-believe socket, which is there from the start. Below urllib3's pools, which are
recorded themselves, everything is passed on; its connections that are used without a pool are recorded here.

Private of the standard library used here: Python 3.11-3.14 `HTTPConnection._tunnel_host` and `._tunnel_port`.
"""

from __future__ import annotations

import functools
import http.client
import io
import sys
from collections.abc import Callable
from typing import Any

from pytest_agenttape.bodies.messages import HttpRequest, HttpResponse, whole
from pytest_agenttape.libraries import Library
from pytest_agenttape.process.patching import Patch
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, TransportFailure
from pytest_agenttape.transports.http_client import answer as http_answer
from pytest_agenttape.transports.http_client import socket as http_socket
from pytest_agenttape.transports.live_response import SentOnly

_PYTHON = Library("http.client", seen="of Python 3.11-3.14")
_METHODS = ("connect", "putrequest", "send", "getresponse", "close")
_CONNECTIONS = {
    "httplib2": ("HTTPConnectionWithTimeout", "HTTPSConnectionWithTimeout"),
    "urllib3.connection": ("HTTPConnection", "HTTPSConnection"),
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_KEPT = "_agenttape"  # the attribute of a connection with the request that it is given
# Raised when the answer is waited for; every other failure is one of connecting and sending.
_LATE = frozenset(
    "RemoteDisconnected BadStatusLine LineTooLong HTTPException ConnectionResetError ConnectionAbortedError "
    "TimeoutError timeout".split()
)


def install(library: str) -> None:
    """Patch the connections of http.client, or those of another library that connect in a way of their own."""
    module = sys.modules[library]
    if library in _CONNECTIONS:
        for owner in filter(None, (vars(module).get(name) for name in _CONNECTIONS[library])):
            if getattr(vars(owner).get("connect"), "__module__", "") == library:
                _patch(owner, "connect").install()
        return
    _PYTHON.require(module.HTTPConnection, *_METHODS)
    for owner, name in (*((module.HTTPConnection, each) for each in _METHODS), (module.HTTPSConnection, "connect")):
        is_users_own = getattr(getattr(owner, name), "__module__", "") != library  # it answers while it is there
        if not is_users_own:
            _patch(owner, name).install()


@functools.cache
def _patch(owner: type, name: str) -> Patch:
    return Patch(owner, name, _WRAPPERS[name])


class _Request:
    """A request that a connection is given, part by part, until it is complete; then what the session decided."""

    def __init__(self, method: str, url: str, found: Any) -> None:
        self._method, self._url, self.found = method, url, found
        self._head: bytes | None = None  # its first line and its headers, which http.client sends as one part
        self._fields = http.client.HTTPMessage()
        self._body = bytearray()
        self._next_chunk = 0  # where the size of the first chunk that is not complete is in the body
        self.exchange: Exchange | None = None

    def add(self, part: bytes) -> bool:
        """Take another part; return whether the request is complete with it."""
        if self._head is None:
            self._head, _, part = part.partition(b"\r\n\r\n")
            self._fields = http.client.parse_headers(io.BytesIO(self._head.partition(b"\r\n")[2] + b"\r\n\r\n"))
        self._body += part
        if self._is_chunked:
            return self._has_last_chunk()
        return len(self._body) >= int(self._fields.get("Content-Length") or 0)

    def _has_last_chunk(self) -> bool:
        """Return whether the chunks are complete: the last one is empty, and a chunk's data may look like it."""
        while (end := self._body.find(b"\r\n", self._next_chunk)) >= 0:
            size = int(self._body[self._next_chunk : end].partition(b";")[0], 16)
            if size == 0:
                return self._body.find(b"\r\n\r\n", end) >= 0
            if len(self._body) < end + 2 + size + 2:
                break
            self._next_chunk = end + 2 + size + 2
        return False

    @property
    def _is_chunked(self) -> bool:
        return "chunked" in self._fields.get("Transfer-Encoding", "").lower()

    def begin(self) -> Exchange:
        """Let the session decide."""
        __tracebackhide__ = True
        body = bytes(self._body)
        headers = tuple((name, str(value)) for name, value in self._fields.items())
        asked = HttpRequest(self._method, self._url, headers, _dechunked(body) if self._is_chunked else body)
        self.exchange = exchanges.begin(self.found, asked)
        return self.exchange

    @property
    def on_the_wire(self) -> bytes:
        """The request as it is sent, for another model where one is asked for in its place."""
        assert self.exchange is not None
        assert self._head is not None
        sent, head, body = self.exchange.request, self._head, bytes(self._body)
        if self.exchange.is_changed or sent.url != self._url or (not self._is_chunked and sent.body != body):
            first = self._head.partition(b"\r\n")[0].replace(_target(self._url), _target(sent.url), 1)
            head = b"\r\n".join((first, *(f"{name}: {value}".encode("latin-1") for name, value in sent.headers)))
            body = sent.body
        return head + b"\r\n\r\n" + body


def _target(url: str) -> bytes:
    return f"/{url.split('/', 3)[3]}".encode("ascii")


def _dechunked(body: bytes) -> bytes:
    wire: Any = http_socket.reading(io.BytesIO(b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n" + body))
    framed = http.client.HTTPResponse(wire)
    framed.begin()
    return framed.read()


# A connection's methods -------------------------------------------------------------------------------------------


def _connecting(real: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = _owner_of(self, "CONNECT", "/")
        if found is not None:
            self.sock = _stand_in(self, found.owner)
            return None  # for real when it sends
        return real(self, *args, **kwargs)

    return connect


def _putting(real: Callable[..., Any]) -> Callable[..., Any]:
    def putrequest(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        found = _owner_of(self, method, url)
        vars(self).pop(_KEPT, None)
        result = real(self, method, url, *args, **kwargs)
        if found is not None:
            vars(self)[_KEPT] = _Request(method, _absolute(self, url), found)
        return result

    return putrequest


def _sending(real: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, data: Any) -> Any:
        __tracebackhide__ = True
        request: _Request | None = vars(self).get(_KEPT)
        if request is None or request.exchange is not None:
            _connect_for_real(self)
            return real(self, data)
        if self.sock is None:
            if not self.auto_open:
                return real(self, data)  # which says so
            self.sock = _stand_in(self, request.found.owner)
        if not request.add(whole(data)):
            return None
        exchange = request.begin()
        if exchange.is_live:
            with exchanges.sending(exchange):
                _connect_for_real(self)
                real(self, request.on_the_wire)
            SentOnly(exchange)
        elif not exchange.is_unanswered:
            _raise_failure(exchange, is_late=False)
        return None

    return send


def _stand_in(connection: Any, owner: Any) -> http_socket.StandIn:
    return http_socket.make(connection.host, connection.port, owner.refuse, is_tls=_is_tls(connection))


def _connect_for_real(connection: Any) -> None:
    """Put a real socket in the place of a make-believe one, with the options that this was given."""
    stand_in = connection.sock
    if isinstance(stand_in, http_socket.StandIn):
        connection.sock = None
        connection.connect()
        stand_in.pass_on(connection.sock)


def _answered(connection: Any, answer: HttpResponse, exchange: Exchange) -> http_socket.StandIn:
    """Return the make-believe socket of *connection* with an *answer* to be read; a real one is closed."""
    stand_in = connection.sock
    if not isinstance(stand_in, http_socket.StandIn):
        if stand_in is not None:
            stand_in.close()
        stand_in = _stand_in(connection, exchange.owner)
    stand_in.file = http_answer.replayed(answer, exchange)
    return stand_in


def _getting(real: Callable[..., Any]) -> Callable[..., Any]:
    def getresponse(self: Any) -> Any:
        __tracebackhide__ = True
        request: _Request | None = vars(self).pop(_KEPT, None)
        if request is None:
            return real(self)
        exchange = request.exchange or request.begin()
        if exchange.is_live:
            exchange.live.drop()  # until there is an answer
            with exchanges.sending(exchange):
                response = real(self)
            http_answer.record(response, exchange)
            return response
        _raise_failure(exchange, is_late=True)
        answer = exchanges.served(exchange)
        assert isinstance(answer, HttpResponse)
        self.sock = _answered(self, answer, exchange)
        return real(self)

    return getresponse


def _closing(real: Callable[..., Any]) -> Callable[..., Any]:
    def close(self: Any) -> Any:
        request: _Request | None = vars(self).get(_KEPT)
        if request is not None and request.exchange is None:
            del vars(self)[_KEPT]
        return real(self)

    return close


_WRAPPERS = {
    "connect": _connecting,
    "putrequest": _putting,
    "send": _sending,
    "getresponse": _getting,
    "close": _closing,
}


def _owner_of(connection: Any, method: str, url: str) -> Any:
    return exchanges.owner_of(method, functools.partial(_absolute, connection, url))


def _absolute(connection: Any, url: str) -> str:
    if not url.startswith("/"):  # as a proxy is asked
        return url
    scheme = "https" if _is_tls(connection) else "http"
    host = getattr(connection, "_tunnel_host", None) or connection.host
    number = (getattr(connection, "_tunnel_port", None) or connection.port) if host else None
    port = "" if number in (None, _DEFAULT_PORTS[scheme]) else f":{number}"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{port}{url}"


def _is_tls(connection: Any) -> bool:
    return bool(connection.default_port == _DEFAULT_PORTS["https"])


# Replay -----------------------------------------------------------------------------------------------------------


def _raise_failure(exchange: Exchange, *, is_late: bool) -> None:
    __tracebackhide__ = True
    failure = exchanges.served(exchange)
    if not isinstance(failure, TransportFailure):
        return
    if is_late or failure.named(http_answer.FAULTS).type not in _LATE:
        raise http_answer.failure_of(failure)

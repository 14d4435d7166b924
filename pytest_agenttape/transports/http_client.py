"""http.client, below urllib.request, xmlrpc and httplib2: its connections, which collect a request and send it whole.

What a connection is given is kept until the request is complete. In replay nothing connects: http.client itself reads
the recorded answer, from a make-believe socket. Below urllib3, which is recorded itself, everything is passed on.
"""

from __future__ import annotations

import builtins
import functools
import http.client
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pytest_agenttape.bodies.messages import CONNECTION_HEADERS, HttpRequest, HttpResponse, header, whole
from pytest_agenttape.libraries import Library
from pytest_agenttape.process.patching import Patch
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, TransportFailure
from pytest_agenttape.transports.live_response import LiveResponse
from pytest_agenttape.transports.recorded_body import RecordedBody

_PYTHON = Library("http.client", seen="of Python 3.11-3.14")
_METHODS = ("connect", "putrequest", "send", "getresponse", "close")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_KEPT = "_agenttape"  # the attribute of a connection with the request that it is given
# Raised when the answer is waited for; every other failure is one of connecting and sending.
_LATE = frozenset({"RemoteDisconnected", "BadStatusLine", "LineTooLong", "HTTPException", "TimeoutError", "timeout"})


def install(library: str) -> None:
    """Patch the connections of http.client, or those of httplib2, which connect in a way of their own."""
    module = sys.modules[library]
    if library == "httplib2":
        for name in ("HTTPConnectionWithTimeout", "HTTPSConnectionWithTimeout"):
            if hasattr(module, name):
                _patch(getattr(module, name), "connect").install()
        return
    _PYTHON.require(module.HTTPConnection, *_METHODS)
    for name in _METHODS:
        _patch(module.HTTPConnection, name).install()
    _patch(module.HTTPSConnection, "connect").install()


@functools.cache
def _patch(owner: type, name: str) -> Patch:
    return Patch(owner, name, _WRAPPERS[name])


class _Request:
    """A request that a connection is given, part by part, until it is complete; then what the session decided."""

    def __init__(self, method: str, url: str, found: Any) -> None:
        self._method, self._url, self._found = method, url, found
        self._sent = b""
        self.exchange: Exchange | None = None

    def add(self, part: bytes) -> bool:
        """Take another part; return whether the request is complete with it."""
        self._sent += part
        head, blank, body = self._sent.partition(b"\r\n\r\n")
        if not blank:
            return False
        fields = http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2] + b"\r\n\r\n"))
        if "chunked" in fields.get("Transfer-Encoding", "").lower():
            return body.endswith(b"0\r\n\r\n")
        return len(body) >= int(fields.get("Content-Length") or 0)

    def begin(self) -> Exchange:
        """Let the session decide."""
        __tracebackhide__ = True
        head, _, body = self._sent.partition(b"\r\n\r\n")
        fields = http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2] + b"\r\n\r\n"))
        if "chunked" in fields.get("Transfer-Encoding", "").lower():
            body = _dechunked(body)
        request = HttpRequest(
            self._method, self._url, tuple((name, str(value)) for name, value in fields.items()), body
        )
        self.exchange = exchanges.begin(self._found, request)
        return self.exchange

    @property
    def on_the_wire(self) -> bytes:
        """The request as it is sent, for another model where one is asked for in its place."""
        assert self.exchange is not None
        sent = self.exchange.request
        length = header(sent.headers, "content-length")
        if length is None or int(length) == len(self._sent.partition(b"\r\n\r\n")[2]):
            return self._sent
        first = self._sent.partition(b"\r\n")[0]
        lines = [first, *(f"{name}: {value}".encode("latin-1") for name, value in sent.headers), b"", b""]
        return b"\r\n".join(lines) + sent.body


def _dechunked(body: bytes) -> bytes:
    framed = http.client.HTTPResponse(_Wire(io.BytesIO(b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n" + body)))  # type: ignore[arg-type]  # what it needs of a socket
    framed.begin()
    return framed.read()


# A connection's methods -------------------------------------------------------------------------------------------


def _connecting(real: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _owner_of(self, "CONNECT", "/") is not None:
            return None  # when it sends
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
            return real(self, data)
        if not request.add(whole(data)):
            return None
        exchange = request.begin()
        if exchange.is_live:
            with exchanges.sending(exchange):
                real(self, request.on_the_wire)
        else:
            _raise_failure(exchange, is_late=False)
        return None

    return send


def _getting(real: Callable[..., Any]) -> Callable[..., Any]:
    def getresponse(self: Any) -> Any:
        __tracebackhide__ = True
        request: _Request | None = vars(self).pop(_KEPT, None)
        if request is None:
            return real(self)
        exchange = request.exchange or request.begin()
        if exchange.is_live:
            with exchanges.sending(exchange):
                response = real(self)
            _record(response, exchange)
            return response
        _raise_failure(exchange, is_late=True)
        answer = exchanges.served(exchange)
        assert isinstance(answer, HttpResponse)
        self.sock = _Wire(io.BufferedReader(_Answer(answer, exchange)))
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
    scheme = "https" if isinstance(connection, http.client.HTTPSConnection) else "http"
    host = getattr(connection, "_tunnel_host", None) or connection.host
    number = (getattr(connection, "_tunnel_port", None) or connection.port) if host else None
    port = "" if number in (None, _DEFAULT_PORTS[scheme]) else f":{number}"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{port}{url}"


# Replay -----------------------------------------------------------------------------------------------------------


class _Wire:
    """A make-believe socket with an answer to be read."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def makefile(self, *_: object, **__: object) -> Any:
        return self._file

    def close(self) -> None:
        """Whoever reads closes the file."""

    def settimeout(self, _seconds: object) -> None:
        """Nothing is waited for."""

    shutdown = setsockopt = settimeout


class _Answer(io.RawIOBase):
    """A recorded answer as it came over the wire, but for the framing of its body."""

    def __init__(self, answer: HttpResponse, exchange: Exchange) -> None:
        self._body = RecordedBody(answer, exchange, _failure)
        self._pieces = iter(self._body)
        self._rest = _head(answer)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = next(filter(None, self._pieces), b"")
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)], self._rest = taken, self._rest[len(taken) :]
        return len(taken)

    def close(self) -> None:
        self._body.close()
        super().close()


def _head(answer: HttpResponse) -> bytes:
    lines = [f"{answer.http_version} {answer.status} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in answer.headers if name.lower() not in CONNECTION_HEADERS]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def _raise_failure(exchange: Exchange, *, is_late: bool) -> None:
    __tracebackhide__ = True
    failure = exchanges.served(exchange)
    if not isinstance(failure, TransportFailure):
        return
    if failure.is_cancellation:
        raise exchanges.waited_in_vain(exchange)
    if is_late or failure.type not in _LATE:
        raise _failure(failure)


def _failure(failure: TransportFailure) -> Exception:
    """Return the recorded *failure* as http.client's own, or Python's."""
    for module in (http.client, builtins, sys.modules.get("socket"), sys.modules.get("ssl")):
        found = getattr(module, failure.type, None)
        if isinstance(found, type) and issubclass(found, Exception):
            error: Exception = found.__new__(found)
            error.args = (failure.message,)
            if isinstance(error, http.client.IncompleteRead):
                error.partial, error.expected = b"", None
            return error
    return ConnectionResetError(f"{failure.type}: {failure.message}")


# Recording --------------------------------------------------------------------------------------------------------


def _record(response: Any, exchange: Exchange) -> None:
    """Let *response* be recorded while its body is read."""
    recording = LiveResponse(
        exchange,
        status=response.status,
        headers=tuple(response.getheaders()),
        reason=response.reason,
        http_version="HTTP/1.0" if response.version == 10 else "HTTP/1.1",
    )
    if response.isclosed():
        recording.end()
        return
    vars(response)[_KEPT] = _Listener(recording)
    kind: Any = type(response)
    response.__class__ = _heard(kind)


class _Listener:
    """Hears of each piece once, as some of the methods that read are made of others."""

    def __init__(self, recording: LiveResponse) -> None:
        self.recording = recording
        self._is_inside = False

    @contextmanager
    def reading(self, response: Any) -> Iterator[Callable[[bytes], None]]:
        if self._is_inside:
            yield lambda _: None
            return
        self._is_inside = True
        try:
            with self.recording.waiting():
                try:
                    yield self.recording.add
                except http.client.IncompleteRead as error:
                    self.recording.add(error.partial)
                    raise
        finally:
            self._is_inside = False
        if response.isclosed():
            self.recording.end()

    def stop(self) -> None:
        if not self._is_inside:
            self.recording.close()


@functools.cache
def _heard(base: Any) -> Any:  # a class
    """Return *base* with a listener to what is read of its body, and to its end."""

    def hearing(name: str) -> Callable[..., Any]:
        real = getattr(base, name)

        @functools.wraps(real)
        def read(self: Any, *args: Any, **kwargs: Any) -> Any:
            with vars(self)[_KEPT].reading(self) as note:
                found = real(self, *args, **kwargs)
                note(bytes(memoryview(args[0])[:found]) if name == "readinto" else found)
            return found

        return read

    def close(self: Any) -> None:
        vars(self)[_KEPT].stop()
        base.close(self)

    methods = {name: hearing(name) for name in ("read", "read1", "readinto", "readline")}
    return type(base.__name__, (base,), {**methods, "close": close, "__module__": base.__module__})

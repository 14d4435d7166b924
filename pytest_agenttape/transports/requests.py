"""requests: its adapter's `send`, through responses.

Third-party privates used here: responses 0.25-0.26 `RequestsMock._on_request`, `._real_send`, `._patcher` (recording
needs the real adapter and the unread body, which no public hook gives) and `.unbound_on_send`; urllib3 1.26-2.x
`HTTPResponse`, which reads a chunked body through `fp.fp` and `fp._safe_read`; Python 3.11-3.14 `temp_original` of what
`unittest.mock.patch` returns.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import requests
import requests.adapters
import responses
import urllib3.exceptions
from urllib3 import HTTPHeaderDict, HTTPResponse

from pytest_agenttape import ownership
from pytest_agenttape.bodies.messages import HttpRequest
from pytest_agenttape.bodies.messages import HttpResponse as Answer
from pytest_agenttape.libraries import Library
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, Recording, TransportFailure
from pytest_agenttape.transports.recorded_body import RecordedBody

_RESPONSES = Library("responses", seen="0.25-0.26")
_URLLIB3 = Library("urllib3", seen="1.26-2.x")


class _Wire(responses.RequestsMock):
    """responses' patching of the adapter with our own answer."""

    _real_send: Any = None  # set for each, and never what `_PassThrough` makes of it

    def _on_request(self, adapter: Any, request: Any, **kwargs: Any) -> Any:  # Any: requests' own, as in responses
        __tracebackhide__ = True
        found = ownership.current(lambda: request.url or "")
        if found is None or found.owner.admits(request.method or "GET", request.url or ""):
            return self._real_send(adapter, request, **kwargs)
        exchange = exchanges.begin(found, _neutral(request))
        if not exchange.is_live:
            return _respond(adapter, request, exchange)
        try:
            with ownership.within(exchange.inside), _as_sent(request, exchange):
                response = self._real_send(adapter, request, **kwargs)
        except Exception as error:
            exchanges.record_failure(exchange, error)
            raise
        _record(response, exchange)
        return response


# Replay -----------------------------------------------------------------------------------------------------------


def _respond(adapter: Any, request: Any, exchange: Exchange) -> Any:
    __tracebackhide__ = True
    answer = exchanges.served(exchange)
    if isinstance(answer, TransportFailure):
        raise _failure(answer, request, exchange)
    return adapter.build_response(request, _Recorded(request, answer, exchange).get_response(request))


class _Recorded(responses.BaseResponse):
    """One recorded answer as responses understands it."""

    def __init__(self, request: Any, answer: Answer, exchange: Exchange) -> None:
        super().__init__(request.method, request.url)
        self._answer = answer
        self._exchange = exchange

    def get_response(self, request: Any) -> HTTPResponse:
        answer, headers = self._answer, HTTPHeaderDict()
        body = RecordedBody(answer, self._exchange, _failure_while_reading)
        for name, value in answer.headers:
            headers.add(name, value)
        is_streamed = len(answer.chunks) > 1 or not answer.complete
        response = HTTPResponse(
            body=_Wired(body, body.close),  # type: ignore[arg-type]  # what it needs of a file
            headers=headers,
            status=answer.status,
            version=10 if answer.http_version == "HTTP/1.0" else 11,
            reason=answer.reason,
            preload_content=False,
            decode_content=False,
            enforce_content_length=False,
            original_response=_Original(headers, request.method),  # type: ignore[arg-type]  # requests reads the cookies from it
            request_method=request.method,
            request_url=request.path_url,
        )
        response.chunked = is_streamed
        return response


class _Original:
    """What requests takes for the response of http.client: it asks it for headers and whether it is over."""

    def __init__(self, headers: HTTPHeaderDict, method: str) -> None:
        self.msg = self
        self._method = method
        self._headers = headers

    def get_all(self, name: str, default: object = None) -> object:
        return self._headers.getlist(name) or default

    def isclosed(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is held."""


class _Wired:
    """A body on a make-believe wire; read as a chunked one, it gives each recorded event as it came."""

    def __init__(self, chunks: Iterable[bytes], close: Callable[[], None]) -> None:
        self._chunks = iter(chunks)
        self._close = close
        self._is_closed = False
        self._framed = self._frame()
        self._pending = b""
        self._is_exhausted = False

    @property
    def closed(self) -> bool:
        return self._is_closed or (self._is_exhausted and not self._pending)

    @property
    def fp(self) -> _Wired | None:
        return None if self.closed else self

    def read(self, size: int | None = None) -> bytes:
        """Read without the framing, as http.client's response does."""
        return self._take(size, self._chunks)

    read1 = read

    def readline(self, limit: int = -1) -> bytes:  # noqa: ARG002  # the file protocol's
        if not self._pending:
            self._pending = self._next(self._framed)
        return self._take(self._pending.find(b"\n") + 1, self._framed)

    def _safe_read(self, size: int) -> bytes:
        return self._take(size, self._framed)

    def _take(self, size: int | None, source: Iterator[bytes]) -> bytes:
        while (size is None or size < 0 or len(self._pending) < size) and (piece := self._next(source)):
            self._pending += piece
        size = len(self._pending) if size is None or size < 0 else size
        taken, self._pending = self._pending[:size], self._pending[size:]
        return taken

    def _next(self, source: Iterator[bytes]) -> bytes:
        piece = next(source, b"")
        self._is_exhausted = not piece
        return piece

    def _frame(self) -> Iterator[bytes]:
        for chunk in filter(None, self._chunks):
            yield b"%x\r\n%s\r\n" % (len(chunk), chunk)
        yield b"0\r\n\r\n"
        self._is_exhausted = True

    def close(self) -> None:
        self._is_closed = True
        self._close()

    def flush(self) -> None:
        """Nothing is held."""


def _failure(failure: TransportFailure, request: Any, exchange: Exchange) -> Exception:
    if failure.is_cancellation:
        return exchanges.waited_in_vain(exchange)
    found = getattr(requests.exceptions, failure.type, None)
    if isinstance(found, type) and issubclass(found, requests.RequestException):
        return found(failure.message, request=request)
    return requests.ConnectionError(f"{failure.type}: {failure.message}", request=request)


def _failure_while_reading(failure: TransportFailure) -> Exception:
    """Return what urllib3 raises; requests makes its own of it."""
    found = getattr(urllib3.exceptions, failure.type, None)
    if found is urllib3.exceptions.ReadTimeoutError:
        return found(None, None, failure.message)  # type: ignore[arg-type]  # as urllib3 itself raises it
    if isinstance(found, type) and issubclass(found, urllib3.exceptions.HTTPError):
        try:
            return found(failure.message)
        except TypeError:  # some take more than a message
            pass
    return urllib3.exceptions.ProtocolError(failure.message)


# Recording --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _as_sent(request: Any, exchange: Exchange) -> Iterator[None]:
    """Put what is to be sent into the request; a file or generator cannot be read twice, a model may be another."""
    url, body, length = request.url, request.body, request.headers.get("Content-Length")
    request.url, request.body = exchange.request.url, exchange.request.body or None
    if length is not None:
        request.headers["Content-Length"] = str(len(exchange.request.body))
    try:
        yield
    finally:
        request.url, request.body = url, body
        if length is not None:
            request.headers["Content-Length"] = length


def _record(response: Any, exchange: Exchange) -> None:
    """Let *response* be recorded while its body is read: its `raw` becomes one that tells of each chunk."""
    raw = response.raw
    if isinstance(raw, HTTPResponse):
        vars(raw)["_agenttape"] = _Listener(raw, exchange)
        raw.__class__ = _told(type(raw))
        return
    # An adapter of the user's own has put something else there.
    recording = _recording(raw, exchange, response.headers.items(), is_decoded=True)
    recording.add(response.content)
    recording.end()


class _Listener:
    """Hears of the body of one response while it is read."""

    def __init__(self, raw: HTTPResponse, exchange: Exchange) -> None:
        self._raw = raw
        self._exchange = exchange
        self._recording: Recording | None = None
        self._reader: int | None = None  # the thread that waits for more
        exchange.live.source = self

    @contextlib.contextmanager
    def reading(self, decode_content: bool | None) -> Iterator[Recording]:
        recording = self.start(decode_content)
        self._reader = threading.get_ident()
        try:
            with recording.waiting():
                yield recording
        finally:
            self._reader = None

    def start(self, decode_content: bool | None) -> Recording:
        if self._recording is None:
            raw = self._raw
            decodes = raw.decode_content if decode_content is None else decode_content
            is_decoded = bool(decodes) and _can_decode(raw)
            self._recording = _recording(raw, self._exchange, raw.headers.iteritems(), is_decoded=is_decoded)
        return self._recording

    def stop(self) -> None:
        """The reader stopped, unless it is urllib3 that closes what broke while it was read."""
        if self._reader != threading.get_ident():
            self.start(decode_content=True).close()

    settle = stop

    def preview(self) -> None:
        """Show nothing of an answer that is not read yet."""


@functools.cache
def _told(base: type[Any]) -> type[Any]:
    """Return *base* with the ways to read a body, and to stop, made to tell their listener.

    Everything else that reads (`data`, `readinto`, iteration) goes through these.
    """

    class Told(base):  # type: ignore[misc]  # urllib3's response, or a subclass of it
        def read(self, amt: int | None = None, decode_content: bool | None = None, *args: Any, **kwargs: Any) -> Any:
            with self._agenttape.reading(decode_content) as recording:
                chunk = super().read(amt, decode_content, *args, **kwargs)
                _note(recording, chunk, is_last=amt is None or amt < 0 or (amt > 0 and not chunk))
            return chunk

        def read1(self, amt: int | None = None, decode_content: bool | None = None) -> Any:
            with self._agenttape.reading(decode_content) as recording:
                chunk = super().read1(amt, decode_content)
                _note(recording, chunk, is_last=amt != 0 and not chunk)
            return chunk

        def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
            chunks = super().read_chunked(amt, decode_content)
            while True:
                with self._agenttape.reading(decode_content) as recording:
                    chunk = next(chunks, None)
                    _note(recording, chunk, is_last=chunk is None)
                if chunk is None:
                    return
                yield chunk

        def stream(self, amt: int | None = 2**16, decode_content: bool | None = None) -> Iterator[bytes]:
            yield from super().stream(amt, decode_content)
            self._agenttape.start(decode_content).end()

        def close(self) -> None:
            self._agenttape.stop()
            super().close()

    Told.__name__, Told.__qualname__, Told.__module__ = base.__name__, base.__qualname__, base.__module__
    return Told


def _can_decode(raw: HTTPResponse) -> bool:
    """Say whether urllib3 has a decoder for the content encoding; it hands out what it cannot decode as it came."""
    encodings = raw.headers.get("content-encoding", "").lower().split(",")
    return any(each.strip() in raw.CONTENT_DECODERS for each in encodings)


def _note(recording: Recording, chunk: bytes | None, *, is_last: bool) -> None:
    if chunk:
        recording.add(chunk)
    if is_last:
        recording.end()


def _recording(raw: Any, exchange: Exchange, headers: Any, *, is_decoded: bool) -> Recording:
    return Recording(
        exchange,
        status=raw.status,
        headers=tuple(headers),
        reason=raw.reason,
        http_version="HTTP/1.0" if raw.version == 10 else "HTTP/1.1",
        is_decoded=is_decoded,
    )


def _neutral(request: Any) -> HttpRequest:
    return HttpRequest(
        method=request.method or "GET",
        url=request.url or "",
        headers=tuple((_text(name), _text(value)) for name, value in request.headers.items()),
        body=_whole(request.body),
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _whole(body: Any) -> bytes:
    if not body:
        return b""
    if isinstance(body, bytes | str):
        return _encoded(body)
    if hasattr(body, "read"):
        return _encoded(body.read())
    return b"".join(map(_encoded, body))


def _encoded(part: Any) -> bytes:
    return part.encode() if isinstance(part, str) else bytes(part)


# Patching ---------------------------------------------------------------------------------------------------------

_lock = threading.Lock()
_ours: dict[Any, Any] = {}  # requests' own `send`, and what stands in its place


def install(library: str) -> None:
    """Patch `HTTPAdapter.send`, below any mock of the user's own that is active already."""
    with _lock:
        _check_privates()
        adapter = sys.modules[library].HTTPAdapter
        innermost = _innermost_patch(adapter.send)
        send = adapter.send if innermost is None else innermost.temp_original
        if send in _ours.values():
            return
        top = send.__module__.partition(".")[0]
        if top == "responses":  # a mock that looks unlike those we know: what it passes through would go past us
            raise _RESPONSES.lacks("RequestsMock.unbound_on_send.<locals>.send")
        if top != "requests":
            return  # somebody's that answers everything while it is there
        ours = _ours[send] = _Wire(real_adapter_send=send, assert_all_requests_are_fired=False).unbound_on_send()
        if innermost is None:
            adapter.send = ours
        else:
            innermost.temp_original = ours
        responses.RequestsMock._real_send = _PassThrough()  # type: ignore[assignment]  # read by each of them


@functools.cache
def _check_privates() -> None:
    """Make sure, once, that responses and urllib3 have what is used of them."""
    _RESPONSES.require(responses.RequestsMock, "_on_request", "unbound_on_send")
    made = vars(responses.RequestsMock())
    for name in ("_real_send", "_patcher"):
        if name not in made:
            raise _RESPONSES.lacks(f"RequestsMock.{name}")
    chunks = [b"one", b"two"]
    response = HTTPResponse(body=_Wired(chunks, lambda: None), preload_content=False)  # type: ignore[arg-type]  # as above
    response.chunked = True
    with contextlib.suppress(AttributeError):
        if list(response.read_chunked()) == chunks:
            return
    raise _URLLIB3.lacks("HTTPResponse that reads chunks by fp.fp and fp._safe_read")


class _PassThrough:
    """What a mock of the user's own passes through to: ours, where it would be requests' own."""

    def __get__(self, mock: Any, owner: type) -> Any:
        send = mock.__dict__["_real_send"]
        return _ours.get(send, send)

    def __set__(self, mock: Any, send: Any) -> None:
        mock.__dict__["_real_send"] = send


def _innermost_patch(send: Any) -> Any:
    """Return the patch that holds requests' own `send` while mocks by responses stand on it; None without one."""
    patch = None
    while (
        getattr(send, "__qualname__", "") == "RequestsMock.unbound_on_send.<locals>.send" and send not in _ours.values()
    ):
        mock = inspect.getclosurevars(send).nonlocals["self"]
        patch, send = mock._patcher, mock._patcher.temp_original
    return patch

"""requests: its adapter's `send`, through responses.

Third-party parts used here: responses 0.25-0.26 `RequestsMock._on_request` (recording needs the real adapter and
the unread body, which no public hook gives), `BaseResponse`; urllib3 2.x `HTTPResponse`, which reads a chunked body
through `fp.fp` and `fp._safe_read`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import requests
import requests.adapters
import responses
from urllib3 import HTTPHeaderDict, HTTPResponse

from pytest_agenttape import scope
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, Recording, TransportFailure
from pytest_agenttape.wire import HttpRequest
from pytest_agenttape.wire import HttpResponse as Answer


class _Wire(responses.RequestsMock):
    """responses' patching of the adapter with our own answer."""

    def _on_request(self, adapter: Any, request: Any, **kwargs: Any) -> Any:  # type: ignore[override]  # narrower than the private it replaces
        __tracebackhide__ = True
        found = scope.current()
        if found is None:
            return self._real_send(adapter, request, **kwargs)
        request.body = _whole(request.body)
        exchange = exchanges.begin(found, _neutral(request))
        if not exchange.is_live:
            return self._replay(adapter, request, exchange)
        request.body = exchange.request.body or None
        if "Content-Length" in request.headers:
            request.headers["Content-Length"] = str(len(exchange.request.body))
        try:
            with scope.within(exchange.inside):
                response = self._real_send(adapter, request, **kwargs)
        except requests.RequestException as error:
            exchanges.record_failure(exchange, error, is_timeout=isinstance(error, requests.Timeout))
            raise
        response.raw = _Tee(response.raw, exchange)
        return response

    def _replay(self, adapter: Any, request: Any, exchange: Exchange) -> Any:
        __tracebackhide__ = True
        answer = exchanges.served(exchange)
        if isinstance(answer, TransportFailure):
            raise _failure(answer, request)
        return adapter.build_response(request, _Recorded(request, answer, exchange).get_response(request))


class _Recorded(responses.BaseResponse):
    """One recorded answer as responses understands it."""

    def __init__(self, request: Any, answer: Answer, exchange: Exchange) -> None:
        super().__init__(request.method, request.url)
        self._answer = answer
        self._exchange = exchange

    def get_response(self, request: Any) -> HTTPResponse:
        answer, headers = self._answer, HTTPHeaderDict()
        for name, value in self._answer.headers:
            headers.add(name, value)
        is_streamed = len(answer.chunks) > 1 or not answer.complete or exchanges.failure_after(self._exchange)
        body: Any = io.BytesIO(b"".join(answer.chunks))
        if is_streamed:
            body = _Chunked(answer, self._exchange, request)
            headers.discard("content-length")
            headers["Transfer-Encoding"] = "chunked"
        return HTTPResponse(
            body=body,
            headers=headers,
            status=answer.status,
            reason=answer.reason,
            preload_content=False,
            original_response=_Original(headers),  # type: ignore[arg-type]  # requests reads the cookies from it
            request_method=request.method,
        )


class _Original:
    """What requests takes for the response of http.client: it asks it for headers and whether it is over."""

    def __init__(self, headers: HTTPHeaderDict) -> None:
        self.msg = self
        self._headers = headers

    def get_all(self, name: str, default: object = None) -> object:
        return self._headers.getlist(name) or default

    def isclosed(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is held."""


class _Chunked:
    """A body on a make-believe chunked wire, so that each recorded event is read as it came."""

    def __init__(self, answer: Answer, exchange: Exchange, request: Any) -> None:
        self.fp = self
        self._pieces = self._encode(answer, exchange, request)
        self._pending = b""
        self.closed = False

    def _encode(self, answer: Answer, exchange: Exchange, request: Any) -> Iterator[bytes]:
        for chunk in filter(None, answer.chunks):
            yield b"%x\r\n%s\r\n" % (len(chunk), chunk)
        failure = exchanges.failure_after(exchange)
        if failure is not None:
            raise _failure(failure, request)
        if not answer.complete:
            raise exchanges.past_the_end(exchange)
        yield b"0\r\n\r\n"

    def _take(self, size: int) -> bytes:
        while len(self._pending) < size:
            self._pending += next(self._pieces, b"")
        taken, self._pending = self._pending[:size], self._pending[size:]
        return taken

    def readline(self, limit: int = -1) -> bytes:  # noqa: ARG002  # the file protocol's
        if not self._pending:
            self._pending = next(self._pieces, b"")
        return self._take(self._pending.find(b"\n") + 1)

    def _safe_read(self, size: int) -> bytes:
        return self._take(size)

    def read(self, size: int = -1) -> bytes:
        """urllib3 reads a chunked body by lines and sizes; the plain way is there for its checks."""
        return self._take(size) if size >= 0 else self._pending + b"".join(self._pieces)

    def close(self) -> None:
        self.closed = True

    def flush(self) -> None:
        """Nothing is held."""


class _Tee:
    """urllib3's response, recorded while it is read."""

    def __init__(self, raw: HTTPResponse, exchange: Exchange) -> None:
        self._raw = raw
        self._exchange = exchange
        self._recording: Recording | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, amt: int | None = 2**16, decode_content: bool | None = None) -> Iterator[bytes]:
        recording = self._start(decode_content)
        try:
            for chunk in self._raw.stream(amt, decode_content=decode_content):
                recording.add(chunk)
                yield chunk
        except Exception as error:
            self._fail(recording, error)
            raise
        recording.end()

    def read(self, amt: int | None = None, decode_content: bool | None = None, **options: Any) -> bytes:
        recording = self._start(decode_content)
        try:
            chunk = self._raw.read(amt, decode_content=decode_content, **options)
        except Exception as error:
            self._fail(recording, error)
            raise
        recording.add(chunk)
        if amt is None or (amt > 0 and not chunk):
            recording.end()
        return chunk

    def __iter__(self) -> Iterator[bytes]:
        return self.stream()

    def close(self) -> None:
        self._raw.close()
        self._start(decode_content=True).close()

    def release_conn(self) -> None:
        self._raw.release_conn()
        self._start(decode_content=True).close()

    def _start(self, decode_content: bool | None) -> Recording:
        if self._recording is None:
            raw = self._raw
            decodes = raw.decode_content if decode_content is None else decode_content
            skipped = {"content-encoding", "content-length"} if decodes and "content-encoding" in raw.headers else set()
            headers = tuple((name, value) for name, value in raw.headers.iteritems() if name.lower() not in skipped)
            self._recording = Recording(
                self._exchange, status=raw.status, headers=headers, reason=raw.reason or "", http_version=_version(raw)
            )
        return self._recording

    def _fail(self, recording: Recording, error: Exception) -> None:
        # requests turns what urllib3 raises while reading into its own classes, by these names.
        name = {"ReadTimeoutError": "ConnectionError", "DecodeError": "ContentDecodingError"}.get(
            type(error).__name__, "ChunkedEncodingError"
        )
        recording.fail(name, "requests.exceptions", str(error))


_wire = _Wire(assert_all_requests_are_fired=False)


def install(library: str) -> None:  # noqa: ARG001  # the same door for every transport
    """Patch `HTTPAdapter.send`, unless a mock of the user's own stands there now: it answers everything."""
    send = requests.adapters.HTTPAdapter.send
    if send.__module__ == "requests.adapters":
        _wire._real_send = send
        _wire._patcher = None
        _wire.start()


def _whole(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    if hasattr(body, "read"):
        read = body.read()
        return read.encode() if isinstance(read, str) else bytes(read)
    return b"".join(part.encode() if isinstance(part, str) else part for part in body)


def _neutral(request: Any) -> HttpRequest:
    return HttpRequest(
        method=request.method or "GET",
        url=request.url or "",
        headers=tuple((_text(name), _text(value)) for name, value in request.headers.items()),
        body=request.body or b"",
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _version(raw: HTTPResponse) -> str:
    return "HTTP/1.0" if raw.version == 10 else "HTTP/1.1"


def _failure(failure: TransportFailure, request: Any) -> requests.RequestException:
    found = getattr(requests.exceptions, failure.type, None)
    if isinstance(found, type) and issubclass(found, requests.RequestException):
        return found(failure.message, request=request)
    return requests.ConnectionError(f"{failure.type}: {failure.message}", request=request)

"""urllib3's response, below requests: built from a recording, or recorded while it is read.

Third-party privates used here: urllib3 1.26-2.x `_collections.HTTPHeaderDict`, which 1.26 does not export, and `fp.fp`
and `fp._safe_read` of http.client's response, through which it reads a chunked body.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from http.client import HTTPException
from typing import Any

import urllib3
from urllib3 import HTTPResponse, exceptions
from urllib3._collections import HTTPHeaderDict
from urllib3.util import Retry

from pytest_agenttape.bodies.messages import HttpResponse as Answer
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.libraries import Library
from pytest_agenttape.model import JSON
from pytest_agenttape.transports.exchange import Exchange, TransportFailure
from pytest_agenttape.transports.live_response import LiveResponse
from pytest_agenttape.transports.replayed_body import ReplayedBody
from pytest_agenttape.transports.urllib3.retries import KEY as RETRIES
from pytest_agenttape.transports.urllib3.retries import replayed as retried

_URLLIB3 = Library("urllib3", seen="1.26-2.x")
# urllib3-future copies itself over urllib3 whenever Python starts, unless it was built with this variable.
_FORK = (
    "urllib3-future, which niquests installs, took the place of urllib3, and what goes through it cannot be "
    "recorded; to have both: pip uninstall urllib3-future urllib3, "
    "then URLLIB3_NO_OVERRIDE=1 pip install --no-binary urllib3-future niquests urllib3"
)
FAULTS = {"timeout": "ReadTimeoutError", "connection": "NewConnectionError", "reset": "ProtocolError"}


@functools.cache
def check() -> None:
    """Make sure, once, that it is urllib3, and reads a chunked body through the names it is known to use.

    Raises:
        AgentTapeError: It is not, or does not.
    """
    if hasattr(urllib3, "AsyncHTTPConnectionPool"):
        raise AgentTapeError(_FORK)
    chunks = [b"one", b"two"]
    response = HTTPResponse(body=_Body(chunks, len(chunks), lambda: None), preload_content=False)  # type: ignore[arg-type]  # what it needs of a file
    response.chunked = True
    with contextlib.suppress(AttributeError, exceptions.HTTPError):
        if list(response.read_chunked()) == chunks:
            return
    raise _URLLIB3.lacks("HTTPResponse that reads chunks by fp.fp and fp._safe_read")


# Replay -----------------------------------------------------------------------------------------------------------


def replayed(
    answer: Answer,
    exchange: Exchange,
    method: str,
    target: str,
    *,
    preload_content: bool = False,
    decode_content: bool = False,
    retries: Retry | None = None,
) -> HTTPResponse:
    """Return the recorded *answer* to a *method* request for *target*, with its body unread unless it is preloaded."""
    headers = HTTPHeaderDict()
    for name, value in answer.headers:
        headers.add(name, value)
    body = ReplayedBody(answer, exchange, _failure_while_reading)
    recorded_response = exchange.recorded.response if exchange.recorded is not None else None
    response = HTTPResponse(
        body=_Body(body, len(answer.chunks), body.close),  # type: ignore[arg-type]  # what it needs of a file
        headers=headers,
        status=answer.status,
        version=10 if answer.http_version == "HTTP/1.0" else 11,
        reason=answer.reason,
        preload_content=preload_content,
        decode_content=decode_content,
        retries=None if retries is None else retried(retries, recorded_response, method, target),
        enforce_content_length=False,
        original_response=_Original(headers, method),  # type: ignore[arg-type]  # requests reads the cookies from it
        request_method=method,
        request_url=target,
    )
    response.chunked = "content-length" not in headers and (len(answer.chunks) > 1 or not answer.complete)
    if hasattr(response, "version_string"):  # urllib3 2
        response.version_string = answer.http_version
    return response


class _Original:
    """Takes the place of http.client's response, which requests asks for headers and whether it is closed."""

    def __init__(self, headers: HTTPHeaderDict, method: str) -> None:
        self._method = method
        self._headers = headers

    @property
    def msg(self) -> _Original:
        return self  # kept by no attribute: a response that refers to itself waits for the garbage collector

    def get_all(self, name: str, default: object = None) -> object:
        return self._headers.getlist(name) or default

    def isclosed(self) -> bool:
        return True

    def close(self) -> None:
        """Nothing is held."""


class _Body:
    """A body on a simulated wire; read as a chunked one, it returns each recorded event as it arrived."""

    def __init__(self, chunks: Iterable[bytes], count: int, close: Callable[[], None]) -> None:
        self._left = count
        self._chunks = self._counted(chunks)
        self._close = close
        self._is_closed = False
        self._framed = self._frame()
        self._pending = bytearray()  # of which the start is taken without copying the rest
        self._is_exhausted = False

    @property
    def closed(self) -> bool:
        return self._is_closed or (self._is_exhausted and not self._pending)

    @property
    def fp(self) -> _Body | None:
        return None if self.closed else self

    def read(self, size: int | None = None) -> bytes:
        """Read without the framing, like http.client's response."""
        return self._take(size, self._chunks)

    def read1(self, size: int | None = None) -> bytes:
        """Read of one piece only."""
        if not self._pending:
            self._pending += self._next(self._chunks)
        return self._take(len(self._pending) if size is None or size < 0 else min(size, len(self._pending)), iter(()))

    def readline(self, limit: int = -1) -> bytes:  # noqa: ARG002  # the file protocol's
        if not self._pending:
            self._pending += self._next(self._framed)
        return self._take(self._pending.find(b"\n") + 1, self._framed)

    def _safe_read(self, size: int) -> bytes:
        return self._take(size, self._framed)

    def _take(self, size: int | None, source: Iterator[bytes]) -> bytes:
        while self._wants_more(size) and (piece := self._next(source)):
            self._pending += piece
        size = len(self._pending) if size is None or size < 0 else size
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        return taken

    def _wants_more(self, size: int | None) -> bool:
        """Return whether to go on: who asks for a number of bytes has what is left before what ended the body."""
        if size is None or size < 0:
            return True
        return len(self._pending) < size and (self._left > 0 or not self._pending)

    def _counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._left -= 1
            yield chunk

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


def _failure_while_reading(failure: TransportFailure) -> Exception:
    """Return what urllib3 would raise; requests converts it to its own class."""
    failure = failure.named(FAULTS)
    found = getattr(exceptions, failure.type, None)
    if found is exceptions.ReadTimeoutError:
        return found(None, None, failure.message)  # type: ignore[arg-type]  # as urllib3 itself raises it
    if isinstance(found, type) and issubclass(found, exceptions.HTTPError):
        try:
            return found(failure.message)
        except TypeError:  # some require more than a message
            pass
    return exceptions.ProtocolError(failure.message)


# Recording --------------------------------------------------------------------------------------------------------


def record(raw: HTTPResponse, exchange: Exchange, tried: Sequence[JSON] = ()) -> None:
    """Record *raw*, which came of what was *tried*, while its body is read."""
    vars(raw)["_agenttape"] = _Listener(raw, exchange, tried)
    raw.__class__ = _heard(type(raw))


class _Listener:
    """Observes the body of one response while it is read."""

    def __init__(self, raw: HTTPResponse, exchange: Exchange, tried: Sequence[JSON]) -> None:
        self._tried = tried
        self._raw = raw
        self._exchange = exchange
        self._recording: LiveResponse | None = None
        self._reader: int | None = None  # the thread that waits for more
        self.is_decoding: bool | None = None  # as its reader asked last
        exchange.live.source = self

    @contextlib.contextmanager
    def reading(self, decode_content: bool | None) -> Iterator[LiveResponse]:
        self.is_decoding = decode_content
        recording = self.start(decode_content)
        self._reader = threading.get_ident()
        try:
            with recording.waiting():
                yield recording
        finally:
            self._reader = None

    def start(self, decode_content: bool | None) -> LiveResponse:
        if self._recording is None:
            raw = self._raw
            decodes = raw.decode_content if decode_content is None else decode_content
            is_decoded = bool(decodes) and can_decode(raw)
            headers = raw.headers.iteritems()
            self._recording = recording(raw, self._exchange, headers, is_decoded=is_decoded, tried=self._tried)
        return self._recording

    def stop(self) -> None:
        """The reader stopped, unless urllib3 itself is closing a response that broke while being read."""
        if self._reader != threading.get_ident():
            self.start(decode_content=True).close()

    settle = stop

    def preview(self) -> None:
        """Return None: the answer has not been read yet."""


@functools.cache
def _heard(base: type[Any]) -> type[Any]:
    """Return *base* with a listener that sees what is read of its body, and its end.

    All other ways to read (`data`, `readinto`, iteration) go through these methods.
    """

    class Heard(base):  # type: ignore[misc]  # urllib3's response, or a subclass of it
        def read(self, amt: int | None = None, decode_content: bool | None = None, *args: Any, **kwargs: Any) -> Any:
            with self._agenttape.reading(decode_content) as recording:
                chunk = super().read(amt, decode_content, *args, **kwargs)
                _note(recording, chunk, is_last=amt is None or amt < 0 or (amt > 0 and not chunk), is_rest=True)
            return chunk

        def read1(self, amt: int | None = None, decode_content: bool | None = None) -> Any:
            with self._agenttape.reading(decode_content) as recording:
                chunk = super().read1(amt, decode_content)
                _note(recording, chunk, is_last=amt != 0 and not chunk)
            return chunk

        def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
            chunks = super().read_chunked(amt, decode_content)
            is_encoded = "content-encoding" in self.headers
            while True:
                with self._agenttape.reading(bool(decode_content)) as recording:  # it has no default of its own
                    is_rest = self.chunk_left is not None and not is_encoded  # the agent asked for a part of a chunk
                    chunk = next(chunks, None)
                    _note(recording, chunk, is_last=chunk is None, is_rest=is_rest)
                if chunk is None:
                    return
                yield chunk

        def stream(self, amt: int | None = 2**16, decode_content: bool | None = None) -> Iterator[bytes]:
            yield from super().stream(amt, decode_content)
            self._agenttape.start(decode_content).end()

        def drain_conn(self) -> None:
            with contextlib.suppress(exceptions.HTTPError, OSError, HTTPException):
                while self.read(2**16, self._agenttape.is_decoding):  # urllib3 itself may read past `read`
                    pass
            super().drain_conn()

        def close(self) -> None:
            self._agenttape.stop()
            super().close()

    Heard.__name__, Heard.__qualname__, Heard.__module__ = base.__name__, base.__qualname__, base.__module__
    return Heard


def can_decode(raw: HTTPResponse) -> bool:
    """Return whether urllib3 has a decoder for the content encoding; other bodies are returned as they arrive."""
    encodings = raw.headers.get("content-encoding", "").lower().split(",")
    return any(each.strip() in raw.CONTENT_DECODERS for each in encodings)


def _note(recording: LiveResponse, chunk: bytes | None, *, is_last: bool, is_rest: bool = False) -> None:
    if chunk:
        recording.add(chunk, is_rest=is_rest)
    if is_last:
        recording.end()


def recording(
    raw: Any,
    exchange: Exchange,
    headers: Iterable[tuple[str, str]],
    *,
    is_decoded: bool,
    tried: Sequence[JSON] = (),
) -> LiveResponse:
    """Return the recording of *raw*, which may be a lookalike of urllib3's response, and came of what was *tried*."""
    return LiveResponse(
        exchange,
        status=raw.status,
        headers=tuple(headers),
        reason=raw.reason,
        http_version="HTTP/1.0" if raw.version == 10 else "HTTP/1.1",
        is_decoded=is_decoded,
        is_raw=not is_decoded,
        besides={RETRIES: list(tried)} if tried else {},
    )

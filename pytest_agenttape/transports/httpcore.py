"""httpcore and httpcore2, on which httpx and httpx2 stand: their connection pools, through respx's mocker.

Third-party parts used here: respx 0.22-0.23 `Mocker.start`, `.stop`, `.registry`, `._patches`; httpcore 1.x and
httpcore2 2.x `_synchronization.AsyncEvent`, which waits under asyncio and trio alike.
"""

from __future__ import annotations

import asyncio
import builtins
import functools
import importlib
import inspect
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

from respx.mocks import HTTPCoreMocker, Mocker

from pytest_agenttape import clocks, ownership
from pytest_agenttape.bodies.messages import HttpRequest, HttpResponse
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, Recording, TransportFailure
from pytest_agenttape.transports.pacing import POLL, Schedule

_DEFAULT_PORTS = {b"http": 80, b"https": 443}


class _PoolMocker(HTTPCoreMocker):
    """respx's patching with our own answer: the pools alone, or a pass-through would be consulted twice."""

    name = ""  # respx registers a subclass only under a name
    library: ClassVar[str]

    @classmethod
    def mock(cls, spec: Callable[..., Any]) -> Callable[..., Any]:
        if _is_ours(spec):  # httpcore can be another name of httpcore2
            return spec
        wrap = _wrap_async if inspect.iscoroutinefunction(spec) else _wrap_sync
        return wrap(spec, cls.library)


class _HttpcoreMocker(_PoolMocker):
    name = "agenttape.httpcore"
    library = "httpcore"
    targets: ClassVar[list[str]] = [
        "httpcore._sync.connection_pool.ConnectionPool",
        "httpcore._async.connection_pool.AsyncConnectionPool",
    ]


class _Httpcore2Mocker(_PoolMocker):
    name = "agenttape.httpcore2"
    library = "httpcore2"
    targets: ClassVar[list[str]] = [
        "httpcore2._sync.connection_pool.ConnectionPool",
        "httpcore2._async.connection_pool.AsyncConnectionPool",
    ]


_lock = threading.Lock()
_placed: dict[str, object] = {}  # the pool class that was patched last; another one after a re-import


def install(library: str) -> None:
    """Patch the pools of *library*, below any mock of the user's own that is active already."""
    pool = getattr(sys.modules[library], "ConnectionPool", None)
    with _lock:
        if pool is None or _placed.get(library) is pool:
            return
        _placed[library] = pool
        chosen = _HttpcoreMocker if library == "httpcore" else _Httpcore2Mocker
        others = [each for each in Mocker.registry.values() if each._patches and not issubclass(each, _PoolMocker)]
        for other in others:
            other.stop(force=True)
        chosen._patches.clear()  # older pools stay as they are: clients made of them may be around
        chosen.start()
        for other in others:
            other.start()


def _is_ours(function: Callable[..., Any]) -> bool:
    return bool(getattr(function, "__agenttape__", False))


def _wrap_sync(real: Callable[..., Any], library: str) -> Callable[..., Any]:
    @functools.wraps(real)  # respx refuses to wrap a function of another name
    def handle_request(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        found = ownership.current(functools.partial(_url, request))
        if found is None:
            return real(self, request)
        url = _url(request)
        if found.owner.admits(_method(request), url):
            return real(self, request)
        body = b"".join(request.stream)
        exchange = exchanges.begin(found, _neutral(request, url, body))
        if not exchange.is_live:
            return _respond(exchange, library)
        _restore(request, exchange)
        try:
            with ownership.within(exchange.inside):
                response = real(self, request)
        except Exception as error:
            exchanges.record_failure(exchange, error)
            raise
        response.stream = _Tee(response.stream, _recording(exchange, response))
        return response

    handle_request.__agenttape__ = True  # type: ignore[attr-defined]  # a mark of our own
    return handle_request


def _wrap_async(real: Callable[..., Any], library: str) -> Callable[..., Any]:
    @functools.wraps(real)
    async def handle_async_request(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        found = ownership.current(functools.partial(_url, request))
        if found is None:
            return await real(self, request)
        url = _url(request)
        if found.owner.admits(_method(request), url):
            return await real(self, request)
        body = b"".join([part async for part in request.stream])
        exchange = exchanges.begin(found, _neutral(request, url, body))
        if not exchange.is_live:
            await _let_others_run()
            unanswered = exchanges.schedule_without_answer(exchange)
            if unanswered is not None:
                await _wait(unanswered, 0, _new_event(library), library)  # the task is going to be cancelled again
            return _respond(exchange, library)
        _restore(request, exchange)
        try:
            with ownership.within(exchange.inside):
                response = await real(self, request)
        except BaseException as error:  # also of a task that is cancelled
            exchanges.record_failure(exchange, error)
            raise
        response.stream = _Tee(response.stream, _recording(exchange, response))
        return response

    handle_async_request.__agenttape__ = True  # type: ignore[attr-defined]  # a mark of our own
    return handle_async_request


def _neutral(request: Any, url: str, body: bytes) -> HttpRequest:
    return HttpRequest(
        method=_method(request),
        url=url,
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers),
        body=body,
    )


def _method(request: Any) -> str:
    method: str = request.method.decode("ascii")
    return method


def _url(request: Any) -> str:
    url = request.url
    host = url.host.decode("ascii")
    port = "" if url.port is None or url.port == _DEFAULT_PORTS.get(url.scheme) else f":{url.port}"
    authority = f"[{host}]{port}" if ":" in host else f"{host}{port}"
    return f"{url.scheme.decode('ascii')}://{authority}{url.target.decode('ascii')}"


def _restore(request: Any, exchange: Exchange) -> None:
    """Put what is to be sent into the request, which may hold a generator that is used up, or name another model."""
    sent = exchange.request
    if sent.url != _url(request):
        request.url.target = f"/{sent.url.split('/', 3)[3]}".encode("ascii")
    request.stream = _Body(sent.body)
    request.headers = [
        (name, _length(sent.body) if name.lower() == b"content-length" else value) for name, value in request.headers
    ]


class _Body:
    """A request body that can be sent again, by either kind of pool."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


def _length(body: bytes) -> bytes:
    return str(len(body)).encode("ascii")


def _recording(exchange: Exchange, response: Any) -> Recording:
    extensions = response.extensions
    reason = extensions.get("reason_phrase")  # HTTP/2 has none
    return Recording(
        exchange,
        status=response.status,
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers),
        reason=None if reason is None else reason.decode("latin-1"),
        http_version=extensions.get("http_version", b"HTTP/1.1").decode("ascii"),
    )


async def _let_others_run() -> None:
    """Give concurrent requests the turn they had while this one was on the wire."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        await sys.modules["trio"].lowlevel.checkpoint()
    else:
        await asyncio.sleep(0)


def _new_event(library: str) -> Any:
    return importlib.import_module(f"{library}._synchronization").AsyncEvent()


async def _wait(schedule: Schedule, piece: int, closed: Any, library: str) -> None:
    """Hold the task that reads until the piece is due or the stream is closed."""
    timed_out = importlib.import_module(library).PoolTimeout  # what such an event raises
    started = clocks.monotonic()
    while not schedule.is_due(piece):
        try:
            await closed.wait(timeout=POLL)
        except timed_out:
            if not schedule.is_overdue(piece, started):
                continue
        return


def _respond(exchange: Exchange, library: str) -> Any:
    __tracebackhide__ = True
    answer = exchanges.served(exchange)
    core = importlib.import_module(library)
    if isinstance(answer, TransportFailure):
        raise _failure(core, answer, exchange)
    return core.Response(
        status=answer.status,
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers],
        content=_Served(answer, exchange, library),
        extensions={
            "http_version": answer.http_version.encode("ascii"),
            "reason_phrase": answer.reason.encode("latin-1"),
        },
    )


def _failure(core: Any, failure: TransportFailure, exchange: Exchange) -> Exception:
    if failure.is_cancellation:
        return exchanges.waited_in_vain(exchange)
    found = getattr(builtins if failure.module == "builtins" else core, failure.type, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return found(failure.message)
    stand_in: Exception = core.NetworkError(f"{failure.type}: {failure.message}")
    return stand_in


class _Served:
    """A recorded body, chunk by chunk as it came."""

    def __init__(self, answer: HttpResponse, exchange: Exchange, library: str) -> None:
        self._answer = answer
        self._exchange = exchange
        self._library = library
        self._next = 0
        self._schedule = exchanges.schedule(exchange, len(answer.chunks))
        self._closed: Any = None  # an event for the kind of reader that waits

    def __iter__(self) -> Iterator[bytes]:
        self._closed = threading.Event() if self._schedule else None
        for piece, chunk in enumerate(self._answer.chunks):
            if self._schedule is not None:
                self._schedule.wait(piece, self._closed)
            yield chunk
        if self._schedule is not None:
            self._schedule.wait(len(self._answer.chunks), self._closed)
        self._raise_at_end()

    # No async generator: one that is left early waits for the garbage collector.
    def __aiter__(self) -> AsyncIterator[bytes]:
        self._next = 0
        return self

    async def __anext__(self) -> bytes:
        piece, self._next = self._next, self._next + 1
        if self._schedule is not None:
            self._closed = self._closed or _new_event(self._library)
            await _wait(self._schedule, piece, self._closed, self._library)
        if piece < len(self._answer.chunks):
            return self._answer.chunks[piece]
        self._raise_at_end()
        raise StopAsyncIteration

    def _raise_at_end(self) -> None:
        failure = exchanges.failure_after(self._exchange)
        if failure is not None and not failure.is_cancellation:
            raise _failure(importlib.import_module(self._library), failure, self._exchange)
        if failure is None and not self._answer.complete:
            raise exchanges.past_the_end(self._exchange)

    def close(self) -> None:
        if self._closed is not None:
            self._closed.set()

    async def aclose(self) -> None:
        self.close()


class _Tee:
    """A live body that is recorded while the agent reads it."""

    def __init__(self, stream: Any, recording: Recording) -> None:
        self._stream = stream
        self._recording = recording
        self._chunks: Any = None  # an iterator of the stream, sync or async

    def __iter__(self) -> Iterator[bytes]:
        self._chunks = iter(self._stream)
        return self

    def __next__(self) -> bytes:
        with self._recording.waiting():
            chunk: bytes = next(self._chunks)
        self._recording.add(chunk)
        return chunk

    # No async generators: one that is left early waits for the garbage collector, and is warned about.
    def __aiter__(self) -> AsyncIterator[bytes]:
        self._chunks = aiter(self._stream)
        return self

    async def __anext__(self) -> bytes:
        with self._recording.waiting():
            chunk: bytes = await anext(self._chunks)
        self._recording.add(chunk)
        return chunk

    def close(self) -> None:
        # First the recording: a thread that is still waiting for more sees only what the closing does to it.
        self._recording.close()
        self._stream.close()

    async def aclose(self) -> None:
        self._recording.close()
        await self._stream.aclose()

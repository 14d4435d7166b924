"""httpcore and httpcore2, below httpx and httpx2: their connection pools, through respx's mocker.

Third-party privates used here: respx 0.22-0.23 `Mocker._patches`, and `.registry`, `.start`, `.stop`, `.targets`,
`.target_methods`, which are not documented; httpcore 1.x and httpcore2 2.x `_synchronization.AsyncEvent`, which waits
under asyncio and trio alike.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import inspect
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

from respx.mocks import HTTPCoreMocker, Mocker

from pytest_agenttape import clocks, ownership
from pytest_agenttape.bodies.messages import Headers, HttpRequest, HttpResponse
from pytest_agenttape.libraries import Library
from pytest_agenttape.process import waits
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, TransportFailure
from pytest_agenttape.transports.live_response import LiveResponse
from pytest_agenttape.transports.pacing import POLL, Schedule
from pytest_agenttape.transports.replayed_body import ReplayedBody

_RESPX = Library("respx", seen="0.22-0.23")
_LIBRARIES = {"httpcore": Library("httpcore", seen="1.x"), "httpcore2": Library("httpcore2", seen="2.x")}
_POOLS = {"ConnectionPool": "handle_request", "AsyncConnectionPool": "handle_async_request"}
_DEFAULT_PORTS = {b"http": 80, b"https": 443}
_FAULTS = {"timeout": "ReadTimeout", "connection": "ConnectError", "reset": "ReadError"}


class _PoolMocker(HTTPCoreMocker):
    """respx's patching with our own answer; only the pools, or a request that is passed through would be seen twice."""

    name = ""  # respx only registers a subclass that has a name
    library: ClassVar[str]

    @classmethod
    def mock(cls, spec: Callable[..., Any]) -> Callable[..., Any]:
        if hasattr(spec, "__agenttape__"):  # httpcore can be an alias of httpcore2
            return spec
        wrap = _wrap_async if inspect.iscoroutinefunction(spec) else _wrap_sync
        return wrap(spec, cls.library)


class _HttpcoreMocker(_PoolMocker):
    name = "agenttape.httpcore"
    library = "httpcore"
    targets: ClassVar[list[str]] = [f"httpcore.{pool}" for pool in _POOLS]


class _Httpcore2Mocker(_PoolMocker):
    name = "agenttape.httpcore2"
    library = "httpcore2"
    targets: ClassVar[list[str]] = [f"httpcore2.{pool}" for pool in _POOLS]


_lock = threading.Lock()
_placed: dict[str, object] = {}  # the pool class that was patched last; a re-import makes a new one


def install(library: str) -> None:
    """Patch the pools of *library*, below any mock of the user's that is already active."""
    if not hasattr(sys.modules[library], "ConnectionPool"):
        importlib.import_module(library)  # waits for another thread that is importing it
    pool = getattr(sys.modules[library], "ConnectionPool", None)
    with _lock:
        if pool is not None and (_placed.get(library) is pool or pool.__module__.partition(".")[0] not in _LIBRARIES):
            return  # already patched, or replaced by the user with something that answers everything
        _RESPX.require(HTTPCoreMocker, "_patches", "registry", "start", "stop")
        chosen = _HttpcoreMocker if library == "httpcore" else _Httpcore2Mocker
        others = [each for each in Mocker.registry.values() if each._patches and not issubclass(each, _PoolMocker)]
        for other in others:
            other.stop(force=True)
        chosen._patches.clear()  # older pools stay patched: clients built on them may still be around
        try:
            chosen.start()
            _check(sys.modules[library], _LIBRARIES[library])
        finally:
            for other in others:
                other.start()
        _placed[library] = pool


def _check(module: Any, library: Library) -> None:
    """Make sure that the pools are patched, because respx skips those it does not find, and that they can wait."""
    for pool, method in _POOLS.items():
        if not hasattr(getattr(getattr(module, pool, None), method, None), "__agenttape__"):
            raise library.lacks(f"{pool}.{method}")
    library.require(module, "_synchronization")
    library.require(module._synchronization, "AsyncEvent")


def _wrap_sync(real: Callable[..., Any], library: str) -> Callable[..., Any]:
    @functools.wraps(real)  # respx refuses to wrap a function with a different name
    def handle_request(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        method, url = _method(request), _url(request)
        found = _owner_of(method, url)
        if found is None:
            return real(self, request)
        body = b"".join(request.stream)
        exchange = exchanges.begin(found, HttpRequest(method, url, _headers(request.headers), body))
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

    handle_request.__agenttape__ = True  # type: ignore[attr-defined]  # our mark
    return handle_request


def _wrap_async(real: Callable[..., Any], library: str) -> Callable[..., Any]:
    @functools.wraps(real)
    async def handle_async_request(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        method, url = _method(request), _url(request)
        found = _owner_of(method, url)
        if found is None:
            return await real(self, request)
        body = b"".join([part async for part in request.stream])
        exchange = exchanges.begin(found, HttpRequest(method, url, _headers(request.headers), body))
        if not exchange.is_live:
            await waits.let_others_run()
            unanswered = exchanges.schedule_without_answer(exchange)
            if unanswered is not None:
                await _wait(unanswered, 0, _new_event(library), library)  # the task will be cancelled again
            await exchanges.await_failure(exchange)
            return _respond(exchange, library)
        _restore(request, exchange)
        try:
            with ownership.within(exchange.inside):
                response = await real(self, request)
        except BaseException as error:  # also when the task is cancelled
            exchanges.record_failure(exchange, error)
            raise
        response.stream = _Tee(response.stream, _recording(exchange, response))
        return response

    handle_async_request.__agenttape__ = True  # type: ignore[attr-defined]  # our mark
    return handle_async_request


def _owner_of(method: str, url: str) -> ownership.Scope | None:
    """Return the owner of a request; None if it is passed on."""
    found = ownership.current(lambda: url, method)
    return None if found is None or found.owner.admits(method, url) else found


def _headers(sent: Any) -> Headers:
    return tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent])


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
    """Make the request send `exchange.request`: its generator may be exhausted, or it may name a different model."""
    sent = exchange.request
    if sent.url != _url(request):
        request.url.target = f"/{sent.url.split('/', 3)[3]}".encode("ascii")
    request.stream = _Body(sent.body)
    request.headers = [
        (name, _length(sent.body) if name.lower() == b"content-length" else _sent(exchange, name, value))
        for name, value in request.headers
    ]


def _sent(exchange: Exchange, name: bytes, value: bytes) -> bytes:
    return exchange.header(name.decode("latin-1"), value.decode("latin-1")).encode("latin-1")


class _Body:
    """A request body that can be sent more than once, by a sync or an async pool."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


def _length(body: bytes) -> bytes:
    return str(len(body)).encode("ascii")


def _recording(exchange: Exchange, response: Any) -> LiveResponse:
    extensions = response.extensions
    reason = extensions.get("reason_phrase")  # HTTP/2 has none
    return LiveResponse(
        exchange,
        status=response.status,
        headers=_headers(response.headers),
        reason=None if reason is None else reason.decode("latin-1"),
        http_version=extensions.get("http_version", b"HTTP/1.1").decode("ascii"),
    )


def _new_event(library: str) -> Any:
    return sys.modules[library]._synchronization.AsyncEvent()  # the private named above


async def _wait(schedule: Schedule, piece: int, closed: Any, library: str) -> None:
    """Block the reading task until the piece is due or the stream is closed."""
    timed_out = sys.modules[library].PoolTimeout  # what such an event raises
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
    core = sys.modules[library]
    if isinstance(answer, TransportFailure):
        raise _failure(answer, core)
    response = core.Response(
        status=answer.status,
        content=_Served(answer, exchange, library),
        extensions={
            "http_version": answer.http_version.encode("ascii"),
            "reason_phrase": answer.reason.encode("latin-1"),
        },
    )
    # What httpcore is given, it looks at once more, each name and each value.
    response.headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    return response


def _failure(failure: TransportFailure, core: Any) -> Exception:
    failure = failure.named(_FAULTS)
    found = getattr(builtins if failure.module == "builtins" else core, failure.type, None)
    if isinstance(found, type) and issubclass(found, Exception):
        error = found(failure.message)
        if failure.number is not None:
            is_of_names = failure.number[0] < 0  # a resolver's
            # An OSError is of the class that belongs to its number.
            error.__cause__ = (socket.gaierror if is_of_names else OSError)(*failure.number)
        return error
    stand_in: Exception = core.NetworkError(f"{failure.type}: {failure.message}")
    return stand_in


class _Served(ReplayedBody):
    """A recorded body for sync and async readers."""

    def __init__(self, answer: HttpResponse, exchange: Exchange, library: str) -> None:
        super().__init__(answer, exchange, lambda failure: _failure(failure, sys.modules[library]))
        self._library = library
        self._next = 0
        self._aclosed: Any = None  # httpcore's event, on which an async reader waits

    # Not an async generator: one that is left early waits for the garbage collector.
    def __aiter__(self) -> AsyncIterator[bytes]:
        self._next = 0
        return self

    async def __anext__(self) -> bytes:
        piece, self._next = self._next, self._next + 1
        if self._schedule is not None:
            self._aclosed = self._aclosed or _new_event(self._library)
            await _wait(self._schedule, piece, self._aclosed, self._library)
        await self._await_turn(piece)
        if piece < len(self._chunks):
            return self._chunks[piece]
        self._raise_at_end()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if self._aclosed is not None:
            self._aclosed.set()
        self.close()


class _Tee:
    """A live body that is recorded while the agent reads it."""

    def __init__(self, stream: Any, recording: LiveResponse) -> None:
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

    # Not async generators: one that is left early waits for the garbage collector, which warns about it.
    def __aiter__(self) -> AsyncIterator[bytes]:
        self._chunks = aiter(self._stream)
        return self

    async def __anext__(self) -> bytes:
        with self._recording.waiting():
            chunk: bytes = await anext(self._chunks)
        self._recording.add(chunk)
        return chunk

    def close(self) -> None:
        # The recording first: a thread still waiting for more only sees the effect of closing the stream.
        self._recording.close()
        self._stream.close()

    async def aclose(self) -> None:
        self._recording.close()
        await self._stream.aclose()

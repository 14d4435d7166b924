"""httpcore and httpcore2, on which httpx and httpx2 stand: their connection pools, through respx's mocker.

Third-party parts used here: respx 0.22-0.23 `HTTPCoreMocker.start`, `.mock`, `.registry`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

from respx.mocks import HTTPCoreMocker, Mocker

from pytest_agenttape import scope
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, Recording, TransportFailure
from pytest_agenttape.wire import HttpRequest, HttpResponse

_DEFAULT_PORTS = {b"http": 80, b"https": 443}


class _PoolMocker(HTTPCoreMocker):
    """respx's patching with our own answer: the pools alone, or a pass-through would be consulted twice."""

    name = None  # type: ignore[assignment]  # respx registers a subclass only under a name
    library: ClassVar[str]

    @classmethod
    def mock(cls, spec: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(spec):
            return _wrap_async(spec, cls.library)
        return _wrap_sync(spec, cls.library)


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


def install(library: str) -> None:
    """Patch the pools of *library*, below any mock of the user's own that is active already."""
    chosen = _HttpcoreMocker if library == "httpcore" else _Httpcore2Mocker
    others = [each for each in Mocker.registry.values() if each._patches and not issubclass(each, _PoolMocker)]
    for other in others:
        other.stop(force=True)
    chosen.start()
    for other in others:
        other.start()


def _wrap_sync(real: Callable[..., Any], library: str) -> Callable[..., Any]:
    @functools.wraps(real)
    def handle_request(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        found = scope.current()
        if found is None:
            return real(self, request)
        body = b"".join(request.stream)
        exchange = exchanges.begin(found, _neutral(request, body))
        if not exchange.is_live:
            return _respond(exchange, library)
        _restore_body(request, exchange)
        try:
            with scope.within(exchange.inside):
                response = real(self, request)
        except Exception as error:
            exchanges.record_failure(exchange, error, is_timeout=_is_timeout(error))
            raise
        response.stream = _Tee(response.stream, _recording(exchange, response))
        return response

    return handle_request


def _wrap_async(real: Callable[..., Any], library: str) -> Callable[..., Any]:
    @functools.wraps(real)
    async def handle_async_request(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        found = scope.current()
        if found is None:
            return await real(self, request)
        body = b"".join([part async for part in request.stream])
        exchange = exchanges.begin(found, _neutral(request, body))
        if not exchange.is_live:
            return _respond(exchange, library)
        _restore_body(request, exchange)
        try:
            with scope.within(exchange.inside):
                response = await real(self, request)
        except Exception as error:
            exchanges.record_failure(exchange, error, is_timeout=_is_timeout(error))
            raise
        response.stream = _Tee(response.stream, _recording(exchange, response))
        return response

    return handle_async_request


def _neutral(request: Any, body: bytes) -> HttpRequest:
    url = request.url
    host = url.host.decode("ascii")
    port = "" if url.port is None or url.port == _DEFAULT_PORTS.get(url.scheme) else f":{url.port}"
    authority = f"[{host}]{port}" if ":" in host else f"{host}{port}"
    return HttpRequest(
        method=request.method.decode("ascii"),
        url=f"{url.scheme.decode('ascii')}://{authority}{url.target.decode('ascii')}",
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers),
        body=body,
    )


def _restore_body(request: Any, exchange: Exchange) -> None:
    """Put the body that was read back into the request, which may hold a generator that is used up."""
    sent = exchange.request
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
    return Recording(
        exchange,
        status=response.status,
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers),
        reason=extensions.get("reason_phrase", b"").decode("latin-1"),
        http_version=extensions.get("http_version", b"HTTP/1.1").decode("ascii"),
    )


def _respond(exchange: Exchange, library: str) -> Any:
    __tracebackhide__ = True
    answer = exchanges.served(exchange)
    core = importlib.import_module(library)
    if isinstance(answer, TransportFailure):
        raise _failure(core, answer)
    return core.Response(
        status=answer.status,
        headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers],
        content=_Served(answer, exchange, core),
        extensions={
            "http_version": answer.http_version.encode("ascii"),
            "reason_phrase": answer.reason.encode("latin-1"),
        },
    )


def _failure(core: Any, failure: TransportFailure) -> Exception:
    found = getattr(core, failure.type, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return found(failure.message)
    stand_in: Exception = core.NetworkError(f"{failure.type}: {failure.message}")
    return stand_in


def _is_timeout(error: Exception) -> bool:
    return "Timeout" in type(error).__name__


class _Served:
    """A recorded body, chunk by chunk as it came."""

    def __init__(self, answer: HttpResponse, exchange: Exchange, core: Any) -> None:
        self._answer = answer
        self._exchange = exchange
        self._core = core

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.chunks
        failure = exchanges.failure_after(self._exchange)
        if failure is not None:
            raise _failure(self._core, failure)
        if not self._answer.complete:
            raise exchanges.past_the_end(self._exchange)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk

    def close(self) -> None:
        """Nothing is held."""

    async def aclose(self) -> None:
        """Nothing is held."""


class _Tee:
    """A live body that is recorded while the agent reads it."""

    def __init__(self, stream: Any, recording: Recording) -> None:
        self._stream = stream
        self._recording = recording

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._stream:
                self._recording.add(chunk)
                yield chunk
        except Exception as error:
            self._recording.fail(type(error).__name__, type(error).__module__, str(error))
            raise
        self._recording.end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                self._recording.add(chunk)
                yield chunk
        except Exception as error:
            self._recording.fail(type(error).__name__, type(error).__module__, str(error))
            raise
        self._recording.end()

    def close(self) -> None:
        self._stream.close()
        self._recording.close()

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._recording.close()

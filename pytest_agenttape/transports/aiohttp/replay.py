"""A recorded answer as aiohttp reads it: raw HTTP/1.1 through its own parser, a piece each time the agent wants more.

Third-party privates used here: aiohttp 3.12.1-3.14 `BaseConnector._loop`, `ClientRequest._continue`, and
`StreamReader._wait`, `._timer`, `._eof`, `._exception`.
"""

from __future__ import annotations

import asyncio
import builtins
import functools
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp import client_exceptions, client_proto, connector, streams

from pytest_agenttape import clocks
from pytest_agenttape.bodies.messages import CONNECTION_HEADERS, HttpResponse
from pytest_agenttape.libraries import Library
from pytest_agenttape.process import waits
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, TransportFailure
from pytest_agenttape.transports.pacing import POLL, Schedule
from pytest_agenttape.transports.replayed_body import ReplayedBody

_FAULTS = {"timeout": "SocketTimeoutError", "connection": "ClientConnectorError", "reset": "ClientOSError"}
_FAULTS_IN_THE_BODY = {**_FAULTS, "reset": "ClientPayloadError"}


def check(library: Library) -> None:
    """Make sure that aiohttp has what a replay needs of it."""
    library.require(aiohttp.ClientRequest, "_continue")
    library.require(client_proto.ResponseHandler, "read", "force_close", "data_received", "set_response_params")
    library.require(streams.StreamReader, "_wait", "_timer", "_eof", "_exception")


async def connected(pool: Any, req: Any, traces: Any, exchange: Exchange) -> Any:
    """Return the connection over which *req* is answered from the recording."""
    protocol = _Replaying(pool, req, exchange)
    protocol.connection_made(NoWire())
    return await connection(pool, req, traces, protocol)


async def connection(pool: Any, req: Any, traces: Any, protocol: Any) -> Any:
    """Return the connection of *req* that *protocol* answers."""
    for trace in traces or ():
        await trace.send_connection_create_start()
        await trace.send_connection_create_end()
    return connector.Connection(pool, req.connection_key, protocol, pool._loop)


class NoWire(asyncio.Transport):
    """Takes what is sent, and sends it nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self._is_closed = False

    def write(self, data: object) -> None:
        """Nothing leaves."""

    def writelines(self, list_of_data: object) -> None:
        """Nothing leaves."""

    def write_eof(self) -> None:
        """Nothing leaves."""

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing comes unasked."""

    def resume_reading(self) -> None:
        """Nothing comes unasked."""

    def is_closing(self) -> bool:
        return self._is_closed

    def close(self) -> None:
        self._is_closed = True

    abort = close


class _Replaying(client_proto.ResponseHandler):
    """aiohttp's own protocol, given a recorded answer when it is asked for one."""

    def __init__(self, pool: Any, req: Any, exchange: Exchange) -> None:
        super().__init__(loop=pool._loop)
        self.force_close()  # never to be used for another request, which may be a live one
        self._pool = pool
        self._req = req  # until it is answered: it refers to its answer, and this to its parser, which refers to this
        self._exchange = exchange

    def set_response_params(self, **params: Any) -> None:
        """Nothing is waited for on a socket."""
        super().set_response_params(**{**params, "read_timeout": None})

    async def read(self) -> Any:
        """Return the next head and its body, which is still to come."""
        __tracebackhide__ = True
        req, body = self._req, None
        if req is not None and req._continue is not None and not req._continue.done():
            self.data_received(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif req is not None:
            await req.close()  # which ends when all of it is sent
            body = await self._answer(req)
            self._req = None
        message, content = await super().read()
        if type(content) is streams.StreamReader:
            assert body is not None
            body.timer = content._timer
            content._timer = body  # type: ignore[assignment]  # it keeps to the protocol of a timer
            content.__class__ = _Pulled
        return message, content

    async def _answer(self, req: Any) -> _Body:
        __tracebackhide__ = True
        unanswered = exchanges.schedule_without_answer(self._exchange)
        if unanswered is not None:
            await _until_due(unanswered, 0)  # the task is going to be cancelled again
        await exchanges.await_failure(self._exchange)
        fail = functools.partial(_failure, req=req, pool=self._pool, exchange=self._exchange)
        answer = exchanges.served(self._exchange)
        if isinstance(answer, TransportFailure):
            raise fail(answer)
        body = _Body(answer, self._exchange, self, fail)
        body.start(req.method)
        return body


class _Body(ReplayedBody):
    """A recorded body, and in the place of its reader's timer what feeds it."""

    def __init__(
        self,
        answer: HttpResponse,
        exchange: Exchange,
        protocol: _Replaying,
        fail: Callable[[TransportFailure], Exception],
    ) -> None:
        super().__init__(answer, exchange, fail)
        self._answer = answer
        self._protocol = protocol
        self._is_chunked = self._ends_by_closing = False
        self._next = 0
        self.timer: Any = None

    def start(self, method: str) -> None:
        """Feed the status line and the headers, and with them an empty body."""
        answer = self._answer
        headers = [each for each in answer.headers if each[0].lower() not in CONNECTION_HEADERS]
        is_empty = method == "HEAD" or answer.status in (204, 304) or answer.status < 200
        if not is_empty:
            headers = self._framed(headers)
        version = "HTTP/1.0" if answer.http_version == "HTTP/1.0" else "HTTP/1.1"
        lines = [f"{name}: {value}\r\n" for name, value in headers]
        head = f"{version} {answer.status} {answer.reason}\r\n{''.join(lines)}\r\n"
        self._protocol.data_received(head.encode("latin-1", "replace"))
        if is_empty:
            self.close()
        elif not self._chunks and self._ends_itself:
            self._end()

    def _framed(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return *headers* with the length that the body has now, else with its framing."""
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        recorded = next(filter(str.isdigit, lengths), None)
        if recorded is not None:
            size = sum(map(len, self._chunks))
            length = str(size if self._is_complete else max(size + 1, int(recorded)))
            if lengths == [length]:
                return headers
            return [(name, length if name.lower() == "content-length" else value) for name, value in headers]
        rest = [each for each in headers if each[0].lower() != "content-length"] if lengths else headers
        if self._answer.http_version == "HTTP/1.0" or self._answer.until_closed:
            self._ends_by_closing = True
            return rest
        self._is_chunked = True
        return [*rest, ("Transfer-Encoding", "chunked")]

    @property
    def _ends_itself(self) -> bool:
        """Whether the end comes with the last piece, as nothing else is recorded of it."""
        return self._is_complete and self._schedule is None and exchanges.failure_after(self._exchange) is None

    async def feed(self, content: Any) -> None:
        """Give *content* its next piece, or the end that was recorded."""
        __tracebackhide__ = True
        piece, self._next = self._next, self._next + 1
        if self._schedule is None:
            await waits.let_others_run()
        else:
            await _until_due(self._schedule, piece, content)
        await self._await_turn(piece)
        if content.exception() is not None:  # closed meanwhile
            return
        if piece < len(self._chunks):
            chunk = self._chunks[piece]
            self._protocol.data_received(b"%x\r\n%s\r\n" % (len(chunk), chunk) if self._is_chunked and chunk else chunk)
            if piece == len(self._chunks) - 1 and self._ends_itself:
                self._end()
        elif piece == len(self._chunks):
            self._raise_at_end()
            self._end()
            content.feed_eof()  # also of a body that is shorter than its header says
        else:
            raise exchanges.past_the_end(self._exchange)

    def _end(self) -> None:
        if self._is_chunked:
            self._protocol.data_received(b"0\r\n\r\n")
        elif self._ends_by_closing:
            self._protocol.connection_lost(None)

    def assert_timeout(self) -> None:
        self.timer.assert_timeout()


class _Pulled(streams.StreamReader):
    """aiohttp's reader of a body, fed when it would wait."""

    __slots__ = ()

    async def _wait(self, func_name: str) -> None:  # noqa: ARG002  # as aiohttp's
        __tracebackhide__ = True
        body: Any = self._timer
        with body.timer:
            try:
                await body.feed(self)
            except Exception as error:
                self.set_exception(error)
                raise
        if self._eof:  # or what asked, its answer and what feeds it would keep each other alive
            self._timer = body.timer
        if self._exception is not None:
            raise self._exception

    async def wait_eof(self) -> None:
        while not self._eof:
            await self._wait("wait_eof")


_Pulled.__name__, _Pulled.__qualname__, _Pulled.__module__ = "StreamReader", "StreamReader", streams.__name__


async def _until_due(schedule: Schedule, piece: int, content: Any = None) -> None:
    """Hold the task that reads until the piece is due, or *content* closed."""
    started = clocks.monotonic()
    while not schedule.is_due(piece):
        await waits.until_cancelled(POLL)
        if (content is not None and content.exception() is not None) or schedule.is_overdue(piece, started):
            return


# Failures ---------------------------------------------------------------------------------------------------------


def _failure(failure: TransportFailure, req: Any, pool: Any, exchange: Exchange) -> Exception:
    if failure.is_cancellation:
        return exchanges.waited_in_vain(exchange)
    has_begun = exchange.recorded is not None and exchange.recorded.error is None
    failure = failure.named(_FAULTS_IN_THE_BODY if has_begun else _FAULTS)
    found = getattr(builtins if failure.module == "builtins" else client_exceptions, failure.type, None)
    if isinstance(found, type) and issubclass(found, Exception):
        try:
            made: Exception = found(*_arguments(found, failure, req, pool), **_options(found, failure))
            return made
        except TypeError:  # some take more than a message
            pass
    return aiohttp.ClientConnectionError(f"{failure.type}: {failure.message}")


def _arguments(kind: type[Exception], failure: TransportFailure, req: Any, pool: Any) -> tuple[Any, ...]:
    errno = failure.details.get("errno")
    if issubclass(kind, aiohttp.ClientConnectorError):
        _, _, words = failure.message.rpartition(" [")
        given = (req.connection_key, OSError(errno, words.removesuffix("]")))
        return (
            (getattr(pool, "path", ""), *given)
            if issubclass(kind, client_exceptions.UnixClientConnectorError)
            else given
        )
    if issubclass(kind, aiohttp.ClientResponseError):
        return req.request_info, ()
    if issubclass(kind, OSError) and errno is not None:
        return errno, failure.message.removeprefix(f"[Errno {errno}] ")
    return (failure.message,) if failure.message else ()


def _options(kind: type[Exception], failure: TransportFailure) -> dict[str, Any]:
    if not issubclass(kind, aiohttp.ClientResponseError):
        return {}
    return {"status": failure.details.get("status"), "message": failure.details.get("reason", "")}

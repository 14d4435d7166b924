"""aiohttp: its connector's `connect`, below sessions, redirects, cookies and middlewares.

Third-party privates used here: aiohttp 3.12.1-3.14 `ClientRequest._body` and `._timer`, and `TimerContext._cancelled`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
from aiohttp import connector, helpers

from pytest_agenttape import ownership
from pytest_agenttape.bodies.messages import Headers, HttpRequest
from pytest_agenttape.libraries import Library
from pytest_agenttape.process import waits
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.aiohttp import recording as aiohttp_recording
from pytest_agenttape.transports.aiohttp import replay as aiohttp_replay
from pytest_agenttape.transports.aiohttp import websocket as aiohttp_websocket
from pytest_agenttape.transports.aiohttp import websocket_server as aiohttp_websocket_server
from pytest_agenttape.transports.aiohttp.websocket import Socket
from pytest_agenttape.transports.exchange import Exchange

_AIOHTTP = Library("aiohttp", seen="3.12.1-3.14")
_lock = threading.Lock()


def install(library: str) -> None:
    """Patch `BaseConnector.connect`, which no mock of a user's own stands in for."""
    with _lock:
        base = sys.modules[library].BaseConnector
        if not hasattr(getattr(base, "connect", None), "__agenttape__"):
            _check_privates()
            base.connect = _wrap(base.connect)
        aiohttp_websocket.install(_AIOHTTP)
        for kind in (aiohttp.TCPConnector, aiohttp.UnixConnector):
            if not hasattr(kind.connect, "__agenttape__"):
                raise _AIOHTTP.lacks(f"{kind.__name__} that connects by BaseConnector.connect")


def _check_privates() -> None:
    _AIOHTTP.require(connector.BaseConnector, "connect")
    _AIOHTTP.require(aiohttp.ClientRequest, "_body", "send", "connection_key")
    _AIOHTTP.require(aiohttp.Payload, "as_bytes", "write_with_length")
    _AIOHTTP.require(helpers.TimerContext, "_cancelled")
    aiohttp_recording.check(_AIOHTTP)
    aiohttp_replay.check(_AIOHTTP)
    aiohttp_websocket_server.check(_AIOHTTP)


def _wrap(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    async def connect(self: Any, req: Any, traces: Any, timeout: Any) -> Any:
        __tracebackhide__ = True
        url = str(req.url)
        found = _owner_of(req, url)
        if found is None:
            return await real(self, req, traces, timeout)
        socket = aiohttp_websocket.opened_by(req)
        request = HttpRequest(req.method, url, _headers(req), await _read(req))
        exchange = exchanges.begin(found, request) if socket is None else socket.begin(found, self, request)
        if not exchange.is_live:
            await waits.let_others_run()
            if socket is not None and socket.is_played():
                return await socket.play(self, req, traces)
            return await aiohttp_replay.connected(self, req, traces, exchange)
        _restore(req, exchange)
        try:
            with ownership.within(exchange.inside):
                connection = await real(self, req, traces, timeout)
        except BaseException as error:  # also of a task that is cancelled
            aiohttp_recording.keep_failure(exchange, _as_raised(error, req))
            raise
        _Answer(req, connection.protocol, exchange, socket).listen()
        return connection

    connect.__agenttape__ = True  # type: ignore[attr-defined]  # a mark of our own
    return connect


def _owner_of(req: Any, url: str) -> ownership.Scope | None:
    """Return whom *req* belongs to, None where it is passed on."""
    found = ownership.current(lambda: url, req.method)
    if found is None or found.owner.admits(req.method, url) or _is_for_application_under_test(req):
        return None
    if "upgrade" in req.headers and aiohttp_websocket.opened_by(req) is None:
        _refuse_upgrade(found, req)
        return None
    return found


def _is_for_application_under_test(req: Any) -> bool:
    """Return whether aiohttp's test client asks its own server: the code under test, which runs in this process."""
    testing = sys.modules.get("aiohttp.test_utils")
    if testing is None:
        return False
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals is vars(testing):  # more than one function of it: they are not named here
            client = frame.f_locals.get("self")
            if isinstance(client, testing.TestClient) and (client.host, client.port) == (req.url.host, req.url.port):
                return True
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return False


def _refuse_upgrade(found: ownership.Scope, req: Any) -> None:
    """Let another protocol pass that a live tool begins or whose host is allowed; else refuse it, in recordings too."""
    host, port = req.url.host or "", req.url.port
    error = found.owner.blocks(
        host,
        port,
        found.running,
        unrecordable=f"a connection to {host}:{port} by aiohttp that becomes {req.headers['upgrade']!r} "
        f"cannot be recorded or replayed: wrap the caller in "
        f'@tool, or allow it: allow_hosts=["{host}"]',
    )
    if error is not None:
        raise found.owner.refuse(error)


# The request ------------------------------------------------------------------------------------------------------


def _headers(req: Any) -> Headers:
    return tuple([(str(name), str(value)) for name, value in req.headers.items()])


async def _read(req: Any) -> bytes:
    """Return the body of *req*, and put what can be sent in its place: a file or generator is read once."""
    body = req._body
    if body is None:
        return b""
    content = bytes(await body.as_bytes())
    if not isinstance(body, aiohttp.BytesPayload):
        req._body = _Read(body, content)
    return content


class _Read(aiohttp.Payload):
    """A request body that was read, sent as the original would have been."""

    def __init__(self, original: Any, content: bytes) -> None:
        super().__init__(original, headers=original.headers, encoding=original.encoding, filename=original.filename)
        self._size = original.size
        self._original = original
        self._content = content

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._content.decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:  # noqa: ARG002  # aiohttp's
        return self._content

    async def write(self, writer: Any) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        content = memoryview(self._content)[:content_length]
        for start in range(0, len(content), 2**16):
            await writer.write(bytes(content[start : start + 2**16]))
        # A redirect or a retry must not send what it could not send without a recording.
        self._consumed = isinstance(self._original, aiohttp.AsyncIterablePayload)

    def _close(self) -> None:
        self._original._close()

    async def close(self) -> None:
        await self._original.close()


def _restore(req: Any, exchange: Exchange) -> None:
    """Let *req* send what is to be sent: an LLM call may go to another model than the one asked for."""
    sent = exchange.request
    if sent.url != str(req.url):
        req.url = type(req.url)(sent.url, encoded=True)
    for name in [each for each in req.headers if exchange.header(each, req.headers[each]) != req.headers[each]]:
        req.headers[name] = exchange.header(name, req.headers[name])
    if req._body is not None and exchange.is_changed:
        req._body = aiohttp.BytesPayload(sent.body, headers=req._body.headers)
        if "content-length" in req.headers:
            req.headers["Content-Length"] = str(len(sent.body))


# The answer -------------------------------------------------------------------------------------------------------


def _as_raised(error: BaseException, req: Any) -> BaseException:
    """Return what the agent gets of an *error* of the connector: aiohttp turns some into others on the way."""
    if isinstance(error, asyncio.CancelledError) and getattr(req._timer, "_cancelled", False):
        return TimeoutError()
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
        return aiohttp.ConnectionTimeoutError(f"Connection timeout to host {req.url}")
    return error


class _Answer:
    """Hears of the live answer to one request: each step takes itself off again, as connections are used again."""

    def __init__(self, req: Any, protocol: Any, exchange: Exchange, socket: Socket | None) -> None:
        self._req = req
        self._protocol = protocol
        self._exchange = exchange
        self._socket = socket
        self._decompresses = True

    def listen(self) -> None:
        vars(self._protocol)["set_response_params"] = self._set_response_params
        vars(self._req)["send"] = self._send

    def _set_response_params(self, **params: Any) -> None:
        vars(self._protocol).pop("set_response_params", None)
        self._decompresses = params.get("auto_decompress", True)
        self._protocol.set_response_params(**params)

    async def _send(self, connection: Any) -> Any:
        __tracebackhide__ = True
        vars(self._req).pop("send", None)
        with self._failing():
            response = await self._req.send(connection)
        vars(response)["start"] = functools.partial(self._start, response)
        return response

    async def _start(self, response: Any, connection: Any) -> Any:
        __tracebackhide__ = True
        vars(response).pop("start", None)
        with self._failing():
            await response.start(connection)
        if self._socket is not None and self._socket.record(response):
            return response
        aiohttp_recording.hear(response, self._exchange, decompresses=self._decompresses)
        return response

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            aiohttp_recording.keep_failure(self._exchange, error)
            raise

"""aiohttp's WebSockets: how a session opens one, and what that receives, sends and closes.

Only its messages are looked at, as the client's own classes see them; in replay they come from
`aiohttp_websocket_server`.

Third-party privates used here: aiohttp 3.12.1-3.14 `ClientSession._ws_connect`, and `ClientWebSocketResponse._writer`,
whose `send_frame` sends all that is sent.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp import WSMsgType

from pytest_agenttape import clocks, ownership, values
from pytest_agenttape.bodies.messages import HttpRequest
from pytest_agenttape.libraries import Library
from pytest_agenttape.model import JSON
from pytest_agenttape.transports.aiohttp import recording as aiohttp_recording
from pytest_agenttape.transports.aiohttp.websocket_server import Server
from pytest_agenttape.transports.exchange import Exchange
from pytest_agenttape.transports.websocket import replay as websocket_replay
from pytest_agenttape.transports.websocket import tape as websocket_tape
from pytest_agenttape.transports.websocket.tape import ABNORMAL, NO_STATUS, SOON, Closed, Recording, Tape

_SOCKET = "_agenttape"  # our own attribute of a ClientWebSocketResponse
_DATA = (WSMsgType.TEXT, WSMsgType.BINARY)
_opening: ContextVar[Socket | None] = ContextVar("agenttape_opening", default=None)


def install(library: Library) -> None:
    """Patch how a WebSocket is opened, and how it receives and closes."""
    library.require(aiohttp.ClientWebSocketResponse, "receive", "close", "closed", "close_code")
    library.require(aiohttp.http.WebSocketWriter, "send_frame")
    _patch(library, aiohttp.ClientSession, "_ws_connect", functools.partial(_connecting, library))
    _patch(library, aiohttp.ClientWebSocketResponse, "receive", _receiving)
    _patch(library, aiohttp.ClientWebSocketResponse, "close", _closing)


def _patch(library: Library, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    library.require(owner, name)
    real = getattr(owner, name)
    if not hasattr(real, "__agenttape__"):
        ours: Any = functools.update_wrapper(wrap(real), real)
        ours.__agenttape__ = True  # a mark of our own
        setattr(owner, name, ours)


# Opening ----------------------------------------------------------------------------------------------------------


def opened_by(req: Any) -> Socket | None:
    """Return the WebSocket that the request *req* is to open; None if it is for something else."""
    return _opening.get() if req.headers.get("upgrade", "").lower() == "websocket" else None


def _connecting(library: Library, real: Any) -> Any:
    async def _ws_connect(self: Any, *args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        socket = Socket()
        token = _opening.set(socket)
        try:
            opened = await real(self, *args, **options)
        except BaseException as error:
            socket.fail(error)
            raise
        finally:
            _opening.reset(token)
        if socket.tape is not None:
            library.require(opened, "_writer", "closed")
            socket.attach(opened)
        return opened

    return _ws_connect


class Socket:
    """One WebSocket of a session: its tape, and what is known of its end."""

    def __init__(self) -> None:
        self.tape: Tape | None = None  # None until the server has agreed
        self._exchange: Exchange | None = None
        self._pool: Any = None
        self._opened: Any = None
        self._server: Server | None = None
        self._receiver: asyncio.Task[Any] | None = None  # the task that is receiving
        self._from_server: Closed | None = None
        self._by_agent: tuple[int, str] | None = None
        self._failure: BaseException | None = None
        self._has_lost = False  # a message could not be sent
        self._closing = 0  # tasks that are closing it

    def begin(self, found: ownership.Scope, pool: Any, request: HttpRequest) -> Exchange:
        """Let the session of *found* decide about the handshake."""
        __tracebackhide__ = True
        url = "ws" + request.url.removeprefix("http") if request.url.startswith("http") else request.url
        call = websocket_tape.begin(found, url, request.headers)
        self._pool = pool
        self._exchange = Exchange(found.owner, call, None, request, calls_before=call.recorder.calls_made)
        return self._exchange

    def is_played(self) -> bool:
        """Return whether the recorded server agreed to the handshake."""
        recorded = self._exchange.recorded if self._exchange is not None else None
        if recorded is None or recorded.error is not None or not isinstance(recorded.response, dict):
            return False
        return bool(recorded.response.get("status", 101) == 101)

    async def play(self, pool: Any, req: Any, traces: Any) -> Any:
        """Return the connection over which the recorded server answers."""
        assert self._exchange is not None
        self.tape = tape = websocket_replay.play(self._exchange.call)  # type: ignore[arg-type]  # it is served
        self._server = Server(tape, pool, req)
        return await self._server.connected(traces)

    def record(self, response: Any) -> bool:
        """Record from now on if the server has agreed; return whether it has."""
        if response.status != 101 or self._exchange is None:
            return False
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers)
        answer = websocket_tape.opening_answer(response.status, headers)
        self.tape = Recording(self._exchange.live, answer, self.closed)
        return True

    def fail(self, error: BaseException) -> None:
        """The server has agreed, but not to what was asked."""
        if isinstance(self.tape, Recording) and self._exchange is not None:
            aiohttp_recording.keep_failure(self._exchange, error)

    def attach(self, opened: Any) -> None:
        """Pass the messages of *opened* to the tape from now on."""
        self._opened = opened
        setattr(opened, _SOCKET, self)
        vars(opened._writer)["send_frame"] = self._sending(opened._writer.send_frame)
        if self._server is not None:
            self._server.open(opened)

    # Messages

    def _sending(self, real: Any) -> Any:
        async def send_frame(message: Any, opcode: int, compress: int | None = None) -> None:
            __tracebackhide__ = True
            if opcode in _DATA:
                await self._send(real, message, opcode, compress)
                return
            await real(message, opcode, compress)
            assert self.tape is not None
            if opcode == WSMsgType.CLOSE and (self.tape.has_left or not self._is_receiving):
                self._by_agent = _read_close(bytes(message))
            if self._server is not None:
                self._server.hear(opcode, bytes(message))

        return send_frame

    async def _send(self, real: Any, message: Any, opcode: int, compress: int | None) -> None:
        __tracebackhide__ = True
        assert self.tape is not None
        since = clocks.monotonic()
        while self._server is not None and self._is_open and self.tape.holds_back(since):
            await asyncio.sleep(SOON)
        if not self._is_open:
            await self._send_in_vain(real, message, opcode, compress)
            return
        take_back = self.tape.sending(_text(message) if opcode == WSMsgType.TEXT else bytes(message))
        try:
            await real(message, opcode, compress)
        except Exception:  # one that is cancelled may have been sent
            take_back()
            self._note_loss()
            raise
        if self._server is not None:
            self._server.hear(opcode, b"")

    async def _send_in_vain(self, real: Any, message: Any, opcode: int, compress: int | None) -> None:
        try:
            await real(message, opcode, compress)
        except Exception:
            self._note_loss()
            raise

    def _note_loss(self) -> None:
        self._has_lost |= not (self._opened.closed or self._pool.closed)

    @property
    def _is_open(self) -> bool:
        """Whether what is sent belongs on the tape: neither side has closed, as far as the agent knows."""
        if self._opened.closed or self._from_server is not None:
            return False
        return self._server is None or not self._server.is_gone

    @property
    def _is_receiving(self) -> bool:
        return self._receiver is not None and asyncio.current_task() is self._receiver

    async def receive(self, real: Any, timeout: float | None) -> Any:
        """Receive one message."""
        __tracebackhide__ = True
        assert self.tape is not None
        before, self._receiver = self._receiver, asyncio.current_task()
        try:
            with self.tape.reading():
                message = await real(self._opened, timeout)
                left = self._leave_with_session()
        finally:
            self._receiver = before
        self._look_at(message)
        if left is not None or self.tape.refusal is not None:
            raise left or self.tape.refusal  # type: ignore[misc]  # one of them is there
        return message

    def _leave_with_session(self) -> Exception | None:
        """Note that the agent closed the session with the WebSocket in it; return what is wrong with that."""
        assert self.tape is not None
        if not (self._opened.closed and self._pool.closed) or self._by_agent or self._from_server:
            return None
        return self.tape.leave(is_closed=False)

    def _look_at(self, message: Any) -> None:
        assert self.tape is not None
        if message.type in _DATA:
            is_text = message.type == WSMsgType.TEXT and isinstance(message.data, bytes)  # decode_text=False
            self.tape.received(_text(message.data) if is_text else message.data)
        elif message.type == WSMsgType.CLOSE:
            self._from_server = Closed(int(message.data or NO_STATUS), message.extra or "", "server")
        elif message.type == WSMsgType.ERROR and self.tape.refusal is None:
            self._failure = message.data
        if self._opened.closed:
            self.tape.end()

    async def close(self, real: Any, options: dict[str, Any]) -> Any:
        """Close the connection, for the agent or because the server has."""
        __tracebackhide__ = True
        if self._is_receiving or self.tape is None:
            return await self._close(real, options)
        with self.tape.leaving(is_closed=self._opened.closed or self._from_server is not None):
            return await self._close(real, options)

    async def _close(self, real: Any, options: dict[str, Any]) -> Any:
        self._closing += 1
        try:
            return await real(self._opened, **options)
        finally:
            self._closing -= 1

    def closed(self) -> Closed | None:
        """Return how the connection ended; None if it is open."""
        lost: dict[str, JSON] = {"lost": True} if self._has_lost else {}
        if self._from_server is not None:
            return Closed(self._from_server.code, self._from_server.reason, "server", lost)
        if self._opened is None or self._closing or not self._opened.closed:
            return None
        seen = int(self._opened.close_code or NO_STATUS)
        failure = self._failure or self._opened.exception()
        if failure is not None and (self._failure is not None or isinstance(failure, aiohttp.ServerTimeoutError)):
            return Closed(seen, str(failure), "agent", {"error": dict(values.encode_error(failure))})
        if self._by_agent is None or self._has_lost:
            assert self.tape is not None
            is_agents = self.tape.has_left and not self._has_lost
            return Closed(ABNORMAL, "", "agent" if is_agents else "server")
        code, reason = self._by_agent
        return Closed(code, reason, "agent", {} if code == seen else {"answer": seen})


def _text(message: Any) -> str:
    return bytes(message).decode("utf-8", "surrogateescape")


def _read_close(payload: bytes) -> tuple[int, str]:
    return int.from_bytes(payload[:2], "big") or NO_STATUS, _text(payload[2:])


# The methods of a ClientWebSocketResponse -------------------------------------------------------------------------


def _receiving(real: Any) -> Any:
    async def receive(self: Any, timeout: float | None = None) -> Any:
        __tracebackhide__ = True
        socket: Socket | None = getattr(self, _SOCKET, None)
        if socket is None:
            return await real(self, timeout)
        return await socket.receive(real, timeout)

    return receive


def _closing(real: Any) -> Any:
    async def close(self: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        socket: Socket | None = getattr(self, _SOCKET, None)
        if socket is None:
            return await real(self, **options)
        return await socket.close(real, options)

    return close

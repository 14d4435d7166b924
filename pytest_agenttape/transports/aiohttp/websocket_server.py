"""The server that a replayed WebSocket of aiohttp speaks to: it feeds frames to the client's own parser.

Third-party privates used here: aiohttp 3.12.1-3.14 `BaseConnector._loop`, and `ClientWebSocketResponse._reader` with
`set_exception` and `._handle_ping_pong_exception`, by which the failures of a connection arrive.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from typing import Any

import aiohttp
from aiohttp import WSMsgType, client_proto
from aiohttp.http import WS_KEY

from pytest_agenttape import values
from pytest_agenttape.bodies.messages import listed
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.libraries import Library
from pytest_agenttape.transports.aiohttp import replay as aiohttp_replay
from pytest_agenttape.transports.pacing import POLL
from pytest_agenttape.transports.websocket.replay import Playing
from pytest_agenttape.transports.websocket.tape import ABNORMAL, NO_STATUS


def check(library: Library) -> None:
    """Make sure that aiohttp has what a replay needs of it."""
    library.require(aiohttp.ClientWebSocketResponse, "_handle_ping_pong_exception")
    library.require(client_proto.ResponseHandler, "connection_lost", "data_received", "set_parser")


class _Wire(aiohttp_replay.NoWire):
    """The client's end of the connection, which closes with its pool."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server
        self.is_paused = False

    def is_closing(self) -> bool:
        return super().is_closing() or self._server.is_gone

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False
        self._server.speak_soon()


class _Handshaking(client_proto.ResponseHandler):
    """aiohttp's own protocol, given the answer to a handshake when it is asked for one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, head: bytes) -> None:
        super().__init__(loop=loop)
        self.force_close()
        self._head = head

    def set_response_params(self, **params: Any) -> None:
        """Nothing is waited for on a socket."""
        super().set_response_params(**{**params, "read_timeout": None})

    async def read(self) -> Any:
        head, self._head = self._head, b""
        if head:
            self.data_received(head)
        return await super().read()


class Server:
    """The other side of one replayed connection, in the event loop of the agent."""

    def __init__(self, tape: Playing, pool: Any, req: Any) -> None:
        self._tape = tape
        self._pool = pool
        self._req = req
        self._loop = pool._loop
        self._wire = _Wire(self)
        self._protocol = _Handshaking(self._loop, self._head())
        self._opened: Any = None
        self._unsaid: list[str | bytes] = []
        self._has_closed = self._is_over = False

    def _head(self) -> bytes:
        key = self._req.headers.get("Sec-WebSocket-Key", "").encode()
        accept = base64.b64encode(hashlib.sha1(key + WS_KEY, usedforsecurity=False).digest()).decode()
        agreed = (("Upgrade", "websocket"), ("Connection", "upgrade"), ("Sec-WebSocket-Accept", accept))
        headers = (*agreed, *listed(self._tape.answer.get("headers") or {}))
        lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {value}" for name, value in headers), "", ""]
        return "\r\n".join(lines).encode("latin-1", "replace")

    async def connected(self, traces: Any) -> Any:
        """Return the client's connection."""
        self._protocol.connection_made(self._wire)
        return await aiohttp_replay.connection(self._pool, self._req, traces, self._protocol)

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._is_over or bool(self._pool.closed)

    def open(self, opened: Any) -> None:
        """The client has seen that the server agreed."""
        self._opened = opened
        self.speak_soon()
        self._look_around()

    def hear(self, opcode: int, payload: bytes) -> None:
        """The client has sent a frame; a message is known to the tape already."""
        if opcode == WSMsgType.PING:
            if isinstance(self._failure(), aiohttp.ClientError):
                return
            self._loop.call_soon(self._send, WSMsgType.PONG, payload)
        elif opcode == WSMsgType.CLOSE:
            self._loop.call_soon(self._answer_close, payload)
        else:
            self.speak_soon()

    def speak_soon(self) -> None:
        """Say what is due, and close the connection if that is due, once the client has its turn."""
        self._loop.call_soon(self._speak)

    def _speak(self) -> None:
        if self.is_gone or self._has_closed:
            return
        try:
            self._unsaid += self._tape.due()
        except AgentTapeError as error:  # edited by hand
            self._fail(self._tape.refuse(error))
            return
        while self._unsaid and not self._wire.is_paused:
            content = self._unsaid.pop(0)
            if isinstance(content, str):
                self._send(WSMsgType.TEXT, content.encode("utf-8", "surrogateescape"))
            else:
                self._send(WSMsgType.BINARY, content)
        if not self._unsaid:
            self._close_if_due()

    def _close_if_due(self) -> None:
        closed = self._tape.closed()
        if closed is None:
            return
        self._has_closed = True
        if closed.code != ABNORMAL:
            self._send(WSMsgType.CLOSE, _closing(closed.code, closed.reason))
        if closed.code == ABNORMAL or closed.more.get("lost") is True:
            self._hang_up()

    def _answer_close(self, payload: bytes) -> None:
        code = self._tape.ending.get("answer")
        if self._has_closed or code == ABNORMAL:
            self._hang_up()
            return
        self._has_closed = True
        self._send(WSMsgType.CLOSE, _closing(code, "") if isinstance(code, int) else payload)

    def _send(self, opcode: int, payload: bytes) -> None:
        if not self._is_over:
            self._protocol.data_received(_frame(opcode, payload))

    def _hang_up(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._protocol.connection_lost(None)

    def _look_around(self) -> None:
        """See, again and again, whether the connection is over, or its agent waits in vain."""
        if self._is_over or self._opened.closed:
            return
        if self._tape.is_abandoned or self._pool.closed:
            self._hang_up()
            return
        if self._tape.is_overdue():
            self._tape.waited_in_vain()
            self._fail(self._tape.refusal)
            return
        if self._tape.is_awaited and self._breaks():
            return
        self._loop.call_later(POLL, self._look_around)

    def _breaks(self) -> bool:
        """Let the client fail as it did at the end of the recording; return whether it does."""
        try:
            error = self._failure()
        except AgentTapeError as corrupt:  # edited by hand
            error = self._tape.refuse(corrupt)
        if error is None:
            return False
        if isinstance(error, aiohttp.ClientError):  # a ping that was not answered
            self._opened._handle_ping_pong_exception(error)
        else:
            self._fail(error)
        return True

    def _failure(self) -> BaseException | None:
        """Return how the client fails after all that was recorded; None if it does not, or not yet."""
        recorded = self._tape.ending.get("error")
        if not isinstance(recorded, dict) or self._unsaid or not self._tape.is_over():
            return None
        return values.decode_error(recorded)

    def _fail(self, error: BaseException | None) -> None:
        self._opened._reader.set_exception(error)


def _frame(opcode: int, payload: bytes) -> bytes:
    first, size = 0x80 | opcode, len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 2**16:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def _closing(code: int, reason: str) -> bytes:
    return b"" if code == NO_STATUS else struct.pack("!H", code) + reason.encode()

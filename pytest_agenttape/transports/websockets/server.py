"""The server that a replayed connection of websockets speaks to: a thread at the other end of a pair of sockets."""

from __future__ import annotations

import select
import socket
import threading

from websockets.datastructures import Headers
from websockets.frames import DATA_OPCODES, Frame
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from pytest_agenttape.bodies import decode_chunks
from pytest_agenttape.bodies.messages import header, listed, standard_phrase
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.transports.pacing import POLL
from pytest_agenttape.transports.websocket.replay import Playing
from pytest_agenttape.transports.websocket.tape import ABNORMAL, NO_STATUS


def start(tape: Playing) -> socket.socket:
    """Return the client's end of a connection on which the server says what *tape* holds."""
    ours, theirs = socket.socketpair()
    threading.Thread(target=_Server(ours, tape).run, name="agenttape-websocket", daemon=True).start()
    return theirs


class _Server:
    def __init__(self, sock: socket.socket, tape: Playing) -> None:
        self._sock = sock
        self._tape = tape
        self._headers = listed(tape.answer.get("headers") or {})
        chosen = header(self._headers, "sec-websocket-protocol")
        self._protocol = ServerProtocol(subprotocols=[Subprotocol(chosen)] if chosen else None, max_size=None)
        self._unsent = bytearray()
        self._is_open = False
        self._is_over = False
        self._has_closed = False

    def run(self) -> None:
        """Serve until the client has gone, the connection is closed or refused, or its session is over."""
        self._sock.setblocking(False)
        try:
            while not (self._is_over or self._tape.is_abandoned):
                self._turn()
        except OSError:  # the client has gone without a word
            pass
        except AgentTapeError as error:
            self._tape.refuse(error)
        finally:
            self._sock.close()

    def _turn(self) -> None:
        readable, writable, _ = select.select([self._sock], [self._sock] if self._unsent else [], [], POLL)
        if readable:
            self._read()
        if writable:
            del self._unsent[: self._sock.send(self._unsent)]
        if self._tape.is_overdue() and not self._unsent:
            self._tape.waited_in_vain()
            self._is_over = True

    def _read(self) -> None:
        data = self._sock.recv(65536)
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
            self._is_over = True
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._answer(event)
            elif isinstance(event, Frame) and event.opcode in DATA_OPCODES and event.fin:
                self._speak()
        self._flush()

    def _answer(self, request: Request) -> None:
        tape = self._tape
        if tape.status != 101:
            body = b"".join(decode_chunks(tape.answer, header(self._headers, "content-type")))
            phrase = standard_phrase(tape.status)
            self._protocol.send_response(Response(tape.status, phrase, Headers(self._headers), body))
            return
        response = self._protocol.accept(request)
        for name, value in self._headers:
            if name.lower() not in ("sec-websocket-protocol", "sec-websocket-extensions"):
                response.headers[name] = value
        self._protocol.send_response(response)
        self._is_open = response.status_code == 101
        self._speak()

    def _speak(self) -> None:
        """Say what is due, and close the connection if that is due."""
        if not self._is_open or self._has_closed:
            return
        for content in self._tape.due():
            if isinstance(content, str):
                self._protocol.send_text(content.encode())
            else:
                self._protocol.send_binary(content)
        closed = self._tape.closed()
        if closed is None:
            return
        self._has_closed = True
        if closed.code == ABNORMAL:
            self._flush()
            self._finish_writing()
            self._is_over = True
        elif closed.code == NO_STATUS:
            self._protocol.send_close()
        else:
            self._protocol.send_close(closed.code, closed.reason)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._unsent += data
                continue
            self._finish_writing()
            self._sock.shutdown(socket.SHUT_WR)

    def _finish_writing(self) -> None:
        self._sock.settimeout(10)
        try:
            self._sock.sendall(self._unsent)
            self._unsent.clear()
        finally:
            self._sock.setblocking(False)

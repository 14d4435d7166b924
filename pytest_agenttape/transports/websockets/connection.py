"""An open connection of websockets: its methods, which pass what the agent receives and sends to a `Tape`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.protocol import CLOSED, OPEN

from pytest_agenttape import clocks
from pytest_agenttape.transports.websocket.tape import SOON, Tape

TAPE = "_agenttape"  # our own attribute of a connection
_is_sending: ContextVar[bool] = ContextVar("agenttape_is_sending", default=False)


def attach(connection: Any, tape: Tape) -> Any:
    """Return *connection*, which is open, and from now on passes its messages to *tape*."""
    setattr(connection, TAPE, tape)
    for name, is_text in (("send_text", True), ("send_binary", False)):
        setattr(connection.protocol, name, _noticing(tape, getattr(connection.protocol, name), is_text=is_text))
    return connection


def _noticing(tape: Tape, real: Any, *, is_text: bool) -> Any:
    """Wrap a method of the protocol, for a message that was not sent by `send`: `broadcast` does without."""

    def send(data: Any, *args: Any, **named: Any) -> None:
        if not _is_sending.get():
            tape.sending(bytes(data).decode() if is_text else bytes(data))
        real(data, *args, **named)

    return send


@contextmanager
def _ending(tape: Tape, *, is_last: bool = True) -> Iterator[None]:
    """Return a block in which the connection may turn out to be closed, or to have been refused.

    Args:
        tape: That of the connection.
        is_last: Whether no message can be read after that.
    """
    __tracebackhide__ = True
    try:
        yield
    except ConnectionClosed:
        if is_last:
            tape.end()
        if tape.refusal is not None:
            raise tape.refusal from None
        raise


def _decoded(data: str | bytes, decode: bool | None) -> str | bytes:
    if decode is True and isinstance(data, bytes):
        return data.decode()
    return data.encode() if decode is False and isinstance(data, str) else data


def _content(message: Any, text: bool | None) -> str | bytes:
    """Return a message that is sent as what its frame is: text or bytes."""
    if isinstance(message, str):
        return message.encode() if text is False else message
    return bytes(message).decode() if text is True else bytes(message)


def _is_whole(message: Any) -> bool:
    return isinstance(message, (str, bytes, bytearray, memoryview))


def _receiving_async(real: Any) -> Any:
    async def recv(self: Any, decode: bool | None = None) -> Any:
        __tracebackhide__ = True
        tape: Tape | None = getattr(self, TAPE, None)
        if tape is None:
            return await real(self, decode)
        with _ending(tape), tape.reading():
            data = await real(self)
        tape.received(data)
        return _decoded(data, decode)

    return recv


def _receiving_sync(real: Any) -> Any:
    def recv(self: Any, timeout: float | None = None, decode: bool | None = None) -> Any:
        __tracebackhide__ = True
        tape: Tape | None = getattr(self, TAPE, None)
        if tape is None:
            return real(self, timeout, decode)
        with _ending(tape), tape.reading():
            data = real(self, timeout)
        tape.received(data)
        return _decoded(data, decode)

    return recv


def _streaming_async(real: Any) -> Any:
    async def recv_streaming(self: Any, decode: bool | None = None) -> AsyncIterator[Any]:
        tape: Tape | None = getattr(self, TAPE, None)
        if tape is None:
            async for piece in real(self, decode):
                yield piece
            return
        pieces: list[Any] = []
        try:
            with _ending(tape), tape.reading():
                async for piece in real(self):
                    pieces.append(piece)
                    yield _decoded(piece, decode)
        finally:
            if pieces:
                tape.received(type(pieces[0])().join(pieces))

    return recv_streaming


def _streaming_sync(real: Any) -> Any:
    def recv_streaming(self: Any, decode: bool | None = None) -> Iterator[Any]:
        tape: Tape | None = getattr(self, TAPE, None)
        if tape is None:
            yield from real(self, decode)
            return
        pieces: list[Any] = []
        try:
            with _ending(tape), tape.reading():
                for piece in real(self):
                    pieces.append(piece)
                    yield _decoded(piece, decode)
        finally:
            if pieces:
                tape.received(type(pieces[0])().join(pieces))

    return recv_streaming


def _waits_for_close(connection: Any, tape: Tape, since: float) -> bool:
    """Return whether to wait with a message: the server has closed the connection, as the client is about to see."""
    return connection.protocol.state is OPEN and tape.holds_back(since)


@contextmanager
def _sent(connection: Any, tape: Tape, message: Any, text: bool | None) -> Iterator[None]:
    """Return a block that sends a whole message; it is kept before, because its answer may come before the end."""
    __tracebackhide__ = True
    if connection.protocol.state is not OPEN:
        with _ending(tape, is_last=False):
            yield
        return
    take_back = tape.sending(_content(message, text))
    token = _is_sending.set(True)
    try:
        with _ending(tape, is_last=False):
            yield
    except BaseException:
        take_back()
        raise
    finally:
        _is_sending.reset(token)


def _sending_async(real: Any) -> Any:
    async def send(self: Any, message: Any, text: bool | None = None) -> None:
        __tracebackhide__ = True
        tape: Tape | None = getattr(self, TAPE, None)
        if (
            tape is None
            or isinstance(message, Mapping)
            or not (_is_whole(message) or isinstance(message, (Iterable, AsyncIterable)))
        ):
            await real(self, message, text=text)
            return
        if isinstance(message, AsyncIterable):
            message = [piece async for piece in message]
        whole, pieces = _pieces(message)
        since = clocks.monotonic()
        while _waits_for_close(self, tape, since):
            await asyncio.sleep(SOON)
        with _sent(self, tape, whole, text):
            await real(self, pieces, text=text)

    return send


def _sending_sync(real: Any) -> Any:
    def send(self: Any, message: Any, text: bool | None = None) -> None:
        __tracebackhide__ = True
        tape: Tape | None = getattr(self, TAPE, None)
        if tape is None or isinstance(message, Mapping) or not (_is_whole(message) or isinstance(message, Iterable)):
            real(self, message, text=text)
            return
        whole, pieces = _pieces(message)
        since = clocks.monotonic()
        while _waits_for_close(self, tape, since):
            threading.Event().wait(SOON)
        with _sent(self, tape, whole, text):
            real(self, pieces, text=text)

    return send


def _pieces(message: Any) -> tuple[Any, Any]:
    """Return a message as a whole, and as it is passed on: one that came in pieces is sent in them."""
    if _is_whole(message):
        return message, message
    pieces = list(message)
    empty: Any = "" if pieces and isinstance(pieces[0], str) else b""
    return empty.join(pieces), pieces


def _leaving(connection: Any) -> AbstractContextManager[None]:
    """Return a block in which the agent closes the connection."""
    tape: Tape | None = getattr(connection, TAPE, None)
    return nullcontext() if tape is None else tape.leaving(connection.protocol.state is CLOSED)


def _closing_async(real: Any) -> Any:
    async def close(self: Any, *args: Any, **named: Any) -> None:
        __tracebackhide__ = True
        with _leaving(self):
            await real(self, *args, **named)

    return close


def _closing_sync(real: Any) -> Any:
    def close(self: Any, *args: Any, **named: Any) -> None:
        __tracebackhide__ = True
        with _leaving(self):
            real(self, *args, **named)

    return close


ASYNC = {
    "recv": _receiving_async,
    "recv_streaming": _streaming_async,
    "send": _sending_async,
    "close": _closing_async,
}
SYNC = {
    "recv": _receiving_sync,
    "recv_streaming": _streaming_sync,
    "send": _sending_sync,
    "close": _closing_sync,
}

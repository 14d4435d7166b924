"""http.client's response: read by http.client itself from a recording, or recorded while it is read."""

from __future__ import annotations

import builtins
import functools
import http.client
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pytest_agenttape.bodies.messages import CONNECTION_HEADERS, HttpResponse, header
from pytest_agenttape.transports.exchange import Exchange, TransportFailure
from pytest_agenttape.transports.live_response import LiveResponse
from pytest_agenttape.transports.replayed_body import ReplayedBody

FAULTS = {"timeout": "TimeoutError", "connection": "ConnectionRefusedError", "reset": "ConnectionResetError"}
_LISTENER = "_agenttape"  # the attribute of a response with what hears of its body

# Replay -----------------------------------------------------------------------------------------------------------


def replayed(answer: HttpResponse, exchange: Exchange) -> io.BufferedReader:
    """Return the file from which http.client reads the recorded *answer*."""
    return _File(_Answer(answer, exchange))


class _File(io.BufferedReader):
    """A file whose reader is told what came before the answer broke, as http.client tells it."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = sys.maxsize if size is None or size < 0 else size
        came = bytearray()
        try:
            while len(came) < wanted and (piece := self.read1(min(wanted - len(came), 65536))):
                came += piece
        except http.client.IncompleteRead as error:
            error.partial = bytes(came)
            raise
        return bytes(came)


class _Answer(io.RawIOBase):
    """A recorded answer as it came over the wire, but for the framing of its body."""

    def __init__(self, answer: HttpResponse, exchange: Exchange) -> None:
        self._body = ReplayedBody(answer, exchange, failure_of)
        self._pieces = iter(self._body)
        self._rest = memoryview(_head(answer))
        self._is_counted = header(answer.headers, "content-length") is not None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(self._next())
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)], self._rest = taken, self._rest[len(taken) :]
        return len(taken)

    def _next(self) -> bytes:
        try:
            return next(filter(None, self._pieces), b"")
        except http.client.IncompleteRead:
            if self._is_counted:
                return b""  # http.client finds that itself, and says how much is missing
            raise

    def close(self) -> None:
        self._body.close()
        super().close()


def _head(answer: HttpResponse) -> bytes:
    lines = [f"{answer.http_version} {answer.status} {answer.reason}"]
    lines += [f"{name}: {value}" for name, value in answer.headers if name.lower() not in CONNECTION_HEADERS]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def failure_of(failure: TransportFailure) -> Exception:
    """Return the recorded *failure* as http.client's own, or Python's."""
    failure = failure.named(FAULTS)
    for module in (http.client, builtins, sys.modules.get("socket"), sys.modules.get("ssl")):
        found = getattr(module, failure.type, None)
        if isinstance(found, type) and issubclass(found, Exception):
            if issubclass(found, OSError) and failure.number is not None:
                return found(*failure.number)
            error: Exception = found.__new__(found)
            error.args = (failure.message,)
            if isinstance(error, http.client.IncompleteRead):
                error.partial, error.expected = b"", None
            return error
    return ConnectionResetError(f"{failure.type}: {failure.message}")


# Recording --------------------------------------------------------------------------------------------------------


def record(response: Any, exchange: Exchange) -> None:
    """Let *response* be recorded while its body is read."""
    recording = LiveResponse(
        exchange,
        status=response.status,
        headers=tuple(response.getheaders()),
        reason=response.reason,
        http_version="HTTP/1.0" if response.version == 10 else "HTTP/1.1",
        is_raw=True,
    )
    if response.isclosed():
        recording.end()
        return
    vars(response)[_LISTENER] = _Listener(recording)
    kind: Any = type(response)
    response.__class__ = _heard(kind)


class _Listener:
    """Hears of each piece once, as some of the methods that read are made of others."""

    def __init__(self, recording: LiveResponse) -> None:
        self.recording = recording
        self._is_inside = False

    @contextmanager
    def reading(self, response: Any, *, is_rest: bool) -> Iterator[Callable[[bytes], None]]:
        if self._is_inside:
            yield lambda _: None
            return
        self._is_inside = True
        try:
            with self.recording.waiting():
                try:
                    yield functools.partial(self.recording.add, is_rest=is_rest)
                except http.client.IncompleteRead as error:
                    self.recording.add(error.partial, is_rest=is_rest)
                    raise
        finally:
            self._is_inside = False
        if response.isclosed():
            self.recording.end()

    def end(self) -> None:
        if not self._is_inside:
            self.recording.end()

    def stop(self) -> None:
        if not self._is_inside:
            self.recording.close()


@functools.cache
def _heard(base: Any) -> Any:  # a class
    """Return *base* with a listener to what is read of its body, and to its end."""

    def hearing(name: str) -> Callable[..., Any]:
        real = getattr(base, name)

        @functools.wraps(real)
        def read(self: Any, *args: Any, **kwargs: Any) -> Any:
            with vars(self)[_LISTENER].reading(self, is_rest=name != "read1") as note:  # which alone sees chunks
                found = real(self, *args, **kwargs)
                note(bytes(memoryview(args[0])[:found]) if name == "readinto" else found)
            asked = (*args, *kwargs.values(), None)[0]
            if name == "read" and asked is not None and len(found) < asked:
                vars(self)[_LISTENER].end()
            return found

        return read

    def close(self: Any) -> None:
        vars(self)[_LISTENER].stop()
        base.close(self)

    methods = {name: hearing(name) for name in ("read", "read1", "readinto", "readline")}
    return type(base.__name__, (base,), {**methods, "close": close, "__module__": base.__module__})

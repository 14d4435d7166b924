"""A live body of aiohttp, recorded while it is read: as far as it was read, in the pieces that came.

Third-party privates used here: aiohttp 3.12.1-3.14 `StreamReader._read_nowait`, `._read_nowait_chunk`, `._wait`,
`._timer`, `._buffer`, `._buffer_offset`, `._cursor`, `._eof`, and `client_reqrep._CONNECTION_CLOSED_EXCEPTION`, which a
body gets when its reader leaves.
"""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp import client_reqrep, helpers, streams

from pytest_agenttape.libraries import Library
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange
from pytest_agenttape.transports.live_response import LiveResponse

_DECODED = frozenset({"gzip", "deflate", "br", "zstd"})


def check(library: Library) -> None:
    """Make sure that aiohttp has what a recording needs of it."""
    library.require(client_reqrep, "_CONNECTION_CLOSED_EXCEPTION")
    library.require(streams.StreamReader, "_read_nowait", "_read_nowait_chunk", "_wait", "_timer")
    library.require(streams.StreamReader, "_buffer", "_buffer_offset", "_cursor", "_eof")
    library.require(helpers.TimerContext, "assert_timeout")


def hear(response: Any, exchange: Exchange, *, decompresses: bool) -> None:
    """Let *response* be recorded while its body is read, which aiohttp decodes where it *decompresses*."""
    encoding = response.headers.get("Content-Encoding", "").lower()
    recording = LiveResponse(
        exchange,
        status=response.status,
        headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers),
        reason=response.reason.encode("utf-8", "surrogateescape").decode("latin-1"),
        http_version=f"HTTP/{response.version.major}.{response.version.minor}",
        is_decoded=decompresses and encoding in _DECODED,
        is_raw=not decompresses,
    )
    content = response.content
    if content.at_eof():
        recording.end()
        return
    ear = content._timer = exchange.live.source = _Ear(content, recording)
    content.__class__ = _Heard
    if content.exception() is not None:  # broken as soon as it began
        ear.fail(content.exception())


def keep_failure(exchange: Exchange, error: BaseException) -> None:
    """Keep that a live request got no answer."""
    details: dict[str, JSON] = {}
    if isinstance(error, aiohttp.ClientResponseError):
        details = {"status": error.status, "reason": error.message}
    elif isinstance(error, OSError) and error.errno is not None:
        details = {"errno": error.errno}
    exchanges.record_failure(exchange, error, details)


class _Ear:
    """Hears what is read of one body, in the place of the body's timer: its class has slots, and no other to spare."""

    def __init__(self, content: Any, recording: LiveResponse) -> None:
        self.recording = recording
        self._content: Any = content
        self._timer = content._timer
        self._heard = 0  # bytes of the body
        self.is_in_one = False  # all that is heard now is given to the agent together
        self.is_rest = False  # what is heard next is given together with what was heard last

    def __enter__(self) -> None:
        self._timer.__enter__()

    def __exit__(self, *raised: Any) -> bool | None:
        found: bool | None = self._timer.__exit__(*raised)
        return found

    def assert_timeout(self) -> None:
        try:
            self._timer.assert_timeout()
        except TimeoutError as error:
            self.fail(error)
            raise

    def hear(self, content: Any) -> None:
        """The agent reads of the piece that came first: it is recorded whole, as a line is only a part of it."""
        piece, offset, position = content._buffer[0], content._buffer_offset, content._cursor
        end = position + len(piece) - offset
        if end > self._heard:  # else a part of it was read before, or all of it, and given back
            rest = memoryview(piece)[offset + max(0, self._heard - position) :]
            self.recording.add(bytes(rest), is_rest=self.is_rest)
            self._heard = end

    def look_for_end(self, content: Any) -> None:
        if content._eof and not content._buffer:
            self.recording.end()
            self._content = None

    def fail(self, error: BaseException) -> None:
        """The body broke, or its reader leaves, which aiohttp makes known as a failure."""
        if error is client_reqrep._CONNECTION_CLOSED_EXCEPTION:
            self.settle()
        else:
            self.recording.fail(error)
            self._content = None

    def settle(self) -> None:
        """The reader has left; a body that has come whole is recorded, though nobody asked for it."""
        content, self._content = self._content, None
        if content is not None and content._eof and not self._heard:
            for piece in content._buffer:
                self.recording.add(bytes(piece))
            self.recording.end()
        self.recording.close()

    def preview(self) -> Interaction:
        return self.recording.preview()


class _Heard(streams.StreamReader):
    """aiohttp's reader of a body, with an ear in it."""

    __slots__ = ()
    _timer: Any

    async def _wait(self, func_name: str) -> None:
        with self._timer.recording.waiting():
            await super()._wait(func_name)

    def _read_nowait(self, n: int) -> bytes:
        ear, self._timer.is_in_one = self._timer, True
        try:
            read: bytes = super()._read_nowait(n)
        finally:
            ear.is_in_one = ear.is_rest = False
        return read

    def _read_nowait_chunk(self, n: int) -> bytes:
        ear = self._timer
        ear.hear(self)
        ear.is_rest = ear.is_in_one
        chunk: bytes = super()._read_nowait_chunk(n)
        ear.look_for_end(self)
        return chunk

    def feed_eof(self) -> None:
        super().feed_eof()
        self._timer.look_for_end(self)

    def set_exception(self, exc: BaseException, *cause: Any, **causes: Any) -> None:
        self._timer.fail(exc)
        super().set_exception(exc, *cause, **causes)


_Heard.__name__, _Heard.__qualname__, _Heard.__module__ = "StreamReader", "StreamReader", streams.__name__

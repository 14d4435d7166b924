"""A live HTTP response, recorded while the agent reads it, and kept once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pytest_agenttape import bodies, providers
from pytest_agenttape.bodies.messages import CONNECTION_HEADERS, Headers, grouped, header, standard_phrase
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.process.cancellation import is_cancellation, unanswered
from pytest_agenttape.transports.exchange import Exchange, explain, stored_failure
from pytest_agenttape.transports.pacing import Arrivals

_FRAMING = frozenset(("content-length", "transfer-encoding"))
# Headers that speak of the bytes as they were sent: their digest, which clients check, or their place in a file.
_OF_BYTES = tuple("content-md5 digest content-digest repr-digest x-amz-checksum- x-goog-hash content-range".split())


class LiveResponse:
    """Collects a live response as it is read, and passes it to the session once.

    What is added to it is decoded if the library has done that before, and is raw if the agent is given it as it is.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        status: int,
        headers: Headers,
        reason: str | None,
        http_version: str = "HTTP/1.1",
        is_decoded: bool = False,
        is_raw: bool = False,
        besides: Mapping[str, JSON] | None = None,
    ) -> None:
        self._exchange = exchange
        self._status = status
        self._headers = headers
        self._reason = reason
        self._http_version = http_version
        self._is_decoded = is_decoded
        self._is_raw = is_raw
        self._besides = besides or {}  # what else is kept with it
        self._chunks: list[bytearray] = []  # which grow without being copied
        self._is_waiting = False
        self._is_over = False
        is_pushed = (
            exchange.request.method == "GET"
            and bodies.media_type(header(headers, "content-type")) == "text/event-stream"
        )
        self._arrivals = Arrivals(exchange.calls_meanwhile) if is_pushed else None
        exchange.live.source = self

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The agent waits for the next chunk: it arrives, or the body ends, or the connection breaks."""
        self._is_waiting = True
        try:
            yield
        except (StopIteration, StopAsyncIteration):
            self.end()
            raise
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            self._is_waiting = False

    def add(self, chunk: bytes, *, is_rest: bool = False) -> None:
        """The agent is about to see *chunk*, which came with the one before if it *is_rest* of that."""
        if is_rest and self._chunks:
            self._chunks[-1] += chunk
        else:
            self._chunks.append(bytearray(chunk))
        if self._arrivals is not None:
            self._arrivals.note(chunk)

    def end(self) -> None:
        """The body was read to the end."""
        self._finish(complete=True)

    def close(self) -> None:
        """The reader stopped, or the session has ended; the recording says whether the end was reached."""
        self._finish(error=unanswered() if self._is_waiting else None)

    settle = close

    def preview(self) -> Interaction:
        """Return the call as it would be recorded if its reader stopped now, for an assertion made before the end."""
        stored, exchange = self._answer(), self._exchange
        return exchange.recorder.outcome(exchange.live, response=stored, usage=self._usage(stored))

    def fail(self, error: BaseException) -> None:
        """The connection broke in the middle of the body, or the agent was cancelled while it waited for more."""
        if isinstance(error, Exception) or is_cancellation(error):
            self._finish(error=stored_failure(error))
            explain(self._exchange, error)

    def _finish(self, *, complete: bool = False, error: Mapping[str, JSON] | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        exchange = self._exchange
        stored = self._answer(complete=complete, error=error)
        self._note_pace(stored)
        exchange.recorder.finish(
            exchange.live,
            response=stored,
            usage=self._usage(stored),
            status=self._status,
            failure=str(error["type"]) if error else "",
        )

    def _usage(self, stored: Mapping[str, JSON]) -> dict[str, JSON] | None:
        operation = self._exchange.operation
        answer = providers.read_answer(operation, stored) if operation else None
        return dict(answer.usage) if answer and answer.usage else None

    def _answer(self, *, complete: bool = False, error: Mapping[str, JSON] | None = None) -> dict[str, JSON]:
        stored = self._stored()
        if error is not None:
            stored["stream_error"] = dict(error)
        if not (complete or (error is None and self._is_whole(stored))):
            stored["complete"] = False
            is_counted = self._is_raw  # in encoded bytes, of which there may be fewer in replay
            if "encoded" in stored and "events" not in stored and not is_counted:
                stored["bytes_read"] = len(bodies.decode_body(stored))
        return stored

    def _note_pace(self, stored: Mapping[str, JSON]) -> None:
        """Record how the events of a GET stream and the calls made in the meantime interleave."""
        if self._arrivals is None or (header(self._headers, "content-encoding") and not self._is_decoded):
            return
        events = bodies.split_events(b"".join(self._chunks))
        pace = self._arrivals.pace(events)
        if pace is not None and len(events) == len(stored.get("events") or ()):
            self._exchange.live.metadata["pace"] = pace

    def _stored(self) -> dict[str, JSON]:
        chunks, dropped, encoding = self._decoded()
        kept = tuple((name, value) for name, value in self._headers if name.lower() not in dropped)
        stored: dict[str, JSON] = {"status": self._status, "headers": grouped(kept)}
        if self._http_version != "HTTP/1.1":
            stored["http_version"] = self._http_version
        elif any(chunks) and not _FRAMING & {name.lower() for name, _ in self._headers}:
            stored["until_closed"] = True
        if self._reason is not None and self._reason != standard_phrase(self._status):
            stored["reason"] = self._reason
        stored.update(self._besides)
        if encoding:
            stored["encoded"] = encoding
        content_type = header(self._headers, "content-type")
        stored.update(bodies.encode_chunks(chunks, content_type))
        return stored

    def _decoded(self) -> tuple[Sequence[bytes], frozenset[str], str]:
        """Return the body without its content encoding, the headers that do not apply to that, and what to do again."""
        encoding = header(self._headers, "content-encoding")
        chunks: Sequence[bytes] = [*map(bytes, self._chunks)]
        is_exact = not self._is_decoded and any(name.lower().startswith(_OF_BYTES) for name, _ in self._headers)
        if not encoding or encoding.strip().lower() == "identity" or not any(chunks) or is_exact:
            return chunks, CONNECTION_HEADERS, ""
        if not self._is_decoded:
            received = chunks
            try:
                chunks = bodies.decode_each(chunks, encoding)
            except ValueError:
                chunks = ()
            if not any(chunks):  # kept as received, with the header: damaged, or only its first bytes were read
                return received, CONNECTION_HEADERS, ""
        if bodies.can_encode(encoding):
            return chunks, CONNECTION_HEADERS, encoding
        return chunks, CONNECTION_HEADERS | {"content-encoding", "content-length"}, ""

    def _is_whole(self, stored: Mapping[str, JSON]) -> bool:
        """Return whether a body that was not read to its end has nothing left to read."""
        if self._exchange.request.method == "HEAD" or self._status in (204, 304) or self._status < 200:
            return True
        length = header(self._headers, "content-length")
        if length is not None and length.isdigit() and not self._is_decoded:
            return sum(map(len, self._chunks)) >= int(length)
        return providers.is_finished(self._exchange.operation, stored)


class SentOnly:
    """A live request that was sent, and whose answer nobody has asked for."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        exchange.live.source = self

    def settle(self) -> None:
        """Record that the agent did not wait for the answer."""
        self._exchange.recorder.finish(self._exchange.live, error=unanswered())

    def preview(self) -> None:
        """Return None: there is no answer yet."""

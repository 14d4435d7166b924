"""A gRPC call as a cassette stores it, the same for `grpc` and `grpc.aio`: nothing here needs the library.

Each message has its bytes and, if it is a protobuf message, its fields as JSON beside them. A call whose both sides
are streams is stored as one conversation, because what was said depends on what was heard before.
"""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_agenttape import bodies, clocks, ownership
from pytest_agenttape.bodies.messages import HttpRequest, grouped
from pytest_agenttape.errors import AgentTapeError, RecordingRefusedError, UnmatchedInteractionError
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership import Scope
from pytest_agenttape.process.cancellation import is_cancellation, unanswered
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, TransportFailure
from pytest_agenttape.transports.grpc import protobuf
from pytest_agenttape.transports.grpc.messages import (
    Metadata,
    asked_once,
    entries,
    metadata_of,
    stored_message,
    written,
)
from pytest_agenttape.transports.stored_request import stored_request

Read: TypeAlias = Callable[[bytes], object]  # bytes to the message that the agent sees

METHOD = "GRPC"
_MOMENT = 1.0  # seconds
_BOUNDARY = "grpc"
_SCHEMES = ("dns:", "ipv4:", "ipv6:", "passthrough:")
# What a failed call's status would be over HTTP, as Google's API guide maps them: what is no part of a good recording.
_STATUSES = {
    "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429,
    "UNKNOWN": 500, "INTERNAL": 500, "DATA_LOSS": 500, "UNAVAILABLE": 503,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call ended: what the server says besides its messages."""

    code: str
    details: str
    initial: Metadata
    trailing: Metadata


def url_of(target: str, method: str) -> str:
    """Return the URL of *method*, such as ``/package.Service/Method``, on a channel to *target*."""
    for scheme in _SCHEMES:
        if target.startswith(scheme):
            target = target.removeprefix(scheme).rpartition("/")[2]
    if target.startswith("unix"):
        target = f"localhost/{target.replace(':', '/').strip('/')}"
    return f"grpc://{target}{method}"


def begin(found: Scope, url: str, metadata: Iterable[Any] | None, body: Mapping[str, JSON]) -> Exchange:
    """Let the session of *found* decide about a call.

    Raises:
        UnmatchedInteractionError: No recording answers, and the call may not run for real.
    """
    __tracebackhide__ = True
    ownership.current(lambda: url)  # it is late if only its being telemetry had let it through
    headers = written(metadata or ())
    request = HttpRequest(METHOD, url, headers, b"")
    stored = {**stored_request(request, found.owner.match_headers), **body}
    call = found.owner.begin("http", _BOUNDARY, stored, parent=found.running)
    return Exchange(found.owner, call, None, request, calls_before=call.recorder.calls_made)


# Recording --------------------------------------------------------------------------------------------------------


class Recording:
    """Collects what a live call says and hears, and passes it to the session once.

    Args:
        exchange: The call.
        read: Returns what the agent sees of a message of the server.
        form: Where the messages of the answer are kept: ``messages``, ``conversation``, or empty for a single one.
    """

    def __init__(self, exchange: Exchange, read: Read, form: str = "") -> None:
        self._exchange = exchange
        self._read = read
        self._form = form
        self._entries: list[dict[str, JSON]] = []
        self._lock = threading.Lock()
        self._is_over = self._is_waiting = False
        self.ending: Callable[[], Ending | None] = lambda: None  # that of the call, if it has ended on its own
        exchange.live.source = self

    def hear(self, raw: bytes) -> object:
        """Keep a message of the server; return it as the agent sees it."""
        message = self._read(raw)
        entry = self._clean(raw, message)
        self._entries.append({"received": entry} if self._form == "conversation" else entry)
        return message

    def say(self, raw: bytes, message: object) -> None:
        """Keep a message of the agent in a conversation."""
        said = asked_once(raw, message)
        self._exchange.recorder.vet(self._exchange.live, said)
        self._entries.append({"sent": said})

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The agent waits for a message of a stream; it may be cancelled meanwhile."""
        self._is_waiting = True
        try:
            yield
        except BaseException as error:
            if is_cancellation(error):
                self._finish({**self._answer(None), "stream_error": unanswered()})
            raise
        finally:
            self._is_waiting = False

    def end(self, ending: Ending) -> None:
        """The call ended with a status."""
        failure = "DeadlineTimeout" if ending.code == "DEADLINE_EXCEEDED" else ""
        self._finish(self._answer(ending), status=_STATUSES.get(ending.code), failure=failure)

    def settle(self) -> None:
        """The agent stopped reading, or the session has ended."""
        ending = self.ending()
        if ending is not None:
            self.end(ending)
        elif self._form:
            self._finish({**self._answer(None), **({"stream_error": unanswered()} if self._is_waiting else {})})
        else:
            self._finish(None, error=unanswered())

    def preview(self) -> Interaction | None:
        """Return the call as it would be recorded if its reader stopped now."""
        if not self._form:
            return None
        return self._exchange.recorder.outcome(self._exchange.live, response=self._answer(self.ending()))

    def _clean(self, raw: bytes, message: object) -> dict[str, JSON]:
        """Return a stored message whose bytes say no more than its JSON does without secrets, and can still be read."""
        readable = protobuf.readable(message)
        if readable is None:
            return stored_message(raw, None)
        redacted = self._exchange.recorder.redacted({"body_b64": "", "message": readable})["message"]
        clean = raw if redacted == readable else protobuf.rewritten(message, redacted)
        if clean is None:
            url = self._exchange.call.call.request["url"]
            text = f"{METHOD} {url}: a message holds a secret that cannot be replaced in its bytes; it is not recorded"
            raise self._exchange.recorder.refuse(RecordingRefusedError(text))
        return stored_message(clean, redacted)

    def _answer(self, ending: Ending | None) -> dict[str, JSON]:
        stored: dict[str, JSON] = {}
        if ending is not None:
            stored["code"] = ending.code
            if ending.details:
                stored["details"] = ending.details
            for name, metadata in (("headers", ending.initial), ("trailers", ending.trailing)):
                if metadata:
                    stored[name] = grouped(written(metadata))
        if self._form:
            stored[self._form] = list(self._entries)
        else:
            stored.update(*self._entries[:1])
        if ending is None:
            stored["complete"] = False
        return stored

    def _finish(self, response: JSON, **outcome: Any) -> None:
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
        self._exchange.recorder.finish(self._exchange.live, response=response, **outcome)


# Replay -----------------------------------------------------------------------------------------------------------


class Replayed:
    """A recorded answer: its messages in turn, each when what the agent had said before it has been said again."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        try:
            self._read(exchange)
        except AgentTapeError as error:  # edited by hand
            raise exchange.recorder.refuse(error) from error.__cause__
        if self._said and self.ending is not None:
            exchange.call.judge = self._left_open  # type: ignore[union-attr]  # it is served

    def _left_open(self) -> AgentTapeError | None:
        """Refuse a conversation in which the agent had said more; give a thread that hears it a moment."""
        until = clocks.monotonic() + _MOMENT
        while self._heard < len(self._said):
            if clocks.monotonic() > until:
                return self._said_less()
            time.sleep(0.01)
        return None

    def _read(self, exchange: Exchange) -> None:
        recorded = exchange.recorded
        assert recorded is not None
        stored = recorded.response
        failure = exchanges.failure_after(exchange)
        self.is_given_up = failure is not None  # the agent stopped waiting for what comes after the messages
        if failure is not None and not failure.is_cancellation:
            raise _raised(failure)
        if recorded.error is not None:
            stored = {"complete": False}
        if not isinstance(stored, dict) or not ("code" in stored or stored.get("complete") is False):
            raise AgentTapeError("the recording of this call is not a gRPC answer with a code; record it again")
        turns = entries(stored)
        self._said = [each["sent"] for each in turns if "sent" in each]
        heard = [(at, each["received"]) for at, each in enumerate(turns) if "received" in each]
        self._needed = [at - number for number, (at, _) in enumerate(heard)]
        self.messages: Sequence[bytes] = [bodies.decode_body(each) for _, each in heard]
        self.initial = metadata_of(stored.get("headers"))
        self.ending = None
        if "code" in stored:
            details, trailing = str(stored.get("details") or ""), metadata_of(stored.get("trailers"))
            self.ending = Ending(str(stored["code"]), details, self.initial, trailing)
        self._next = self._heard = 0

    @property
    def is_due(self) -> bool:
        """Whether the agent has said all that it had said before the next message, or the end."""
        return self._heard >= self._needed_next

    @property
    def _needed_next(self) -> int:
        """How many messages the agent had sent before the next one of the server, or before the end."""
        return len(self._said) if self.is_at_end else self._needed[self._next]

    @property
    def needs_more(self) -> bool:
        """Whether the agent has to say more before it gets what comes next."""
        return not self.is_due

    @property
    def is_at_end(self) -> bool:
        """Whether there is no further message."""
        return self._next >= len(self.messages)

    def take(self) -> bytes | None:
        """Return the next message; None at the end of the call.

        Raises:
            StreamingReplayError: The recording stops here, because its reader did.
        """
        if not self.is_at_end:
            self._next += 1
            return self.messages[self._next - 1]
        if self.ending is None:
            raise self.cut_off()
        return None

    def cut_off(self) -> AgentTapeError:
        """Return the error for an agent that waits for an end that it did not wait for when recording."""
        if self.is_given_up:
            return exchanges.waited_in_vain(self._exchange)
        return exchanges.past_the_end(self._exchange)

    def waited_in_turn(self) -> AgentTapeError:
        """Return the error for an agent that waits for an answer before it says what it had said by then."""
        return self._other(
            f"the agent waits for message {self._next + 1} of the server, which came when the agent had sent "
            f"{self._needed_next} messages; it has sent {self._heard} now; record it again"
        )

    def hear(self, raw: bytes, message: object) -> None:
        """Compare a message of the agent with the one that was recorded in its place.

        Raises:
            UnmatchedInteractionError: It is another one.
        """
        asked = asked_once(raw, message)
        place = self._heard
        if place >= len(self._said):
            if self.ending is None:  # it may have been said after the reader stopped
                return
            raise self._other(f"message {place + 1} of the agent was not sent when this was recorded")
        if asked != self._said[place] and not self._is_same_without_secrets(asked, self._said[place]):
            raise self._other(f"message {place + 1} of the agent is not the one that was recorded")
        self._heard += 1

    def fell_silent(self) -> None:
        """The agent has said its last word.

        Raises:
            UnmatchedInteractionError: It had said more before.
        """
        if self._heard < len(self._said):
            raise self._said_less()

    def _said_less(self) -> AgentTapeError:
        return self._other(f"the agent sent {self._heard} messages, and {len(self._said)} when this was recorded")

    def _is_same_without_secrets(self, asked: Mapping[str, JSON], said: Mapping[str, JSON]) -> bool:
        left_out = {"body_b64"} if "message" in said else set()
        recorder = self._exchange.recorder
        now, before = (
            recorder.redacted({name: value for name, value in each.items() if name not in left_out})
            for each in (asked, said)
        )
        return recorder.is_same(before, now)

    def _other(self, reason: str) -> AgentTapeError:
        error = UnmatchedInteractionError(f"{METHOD} {self._exchange.call.call.request['url']}: {reason}")
        return self._exchange.recorder.refuse(error)


def _raised(failure: TransportFailure) -> Exception:
    """Return what was raised instead of a call: by Python, of a channel that is closed."""
    found = getattr(builtins, failure.type, None) if failure.module == "builtins" else None
    is_error = isinstance(found, type) and issubclass(found, Exception)
    return found(failure.message) if is_error and found else RuntimeError(f"{failure.type}: {failure.message}")

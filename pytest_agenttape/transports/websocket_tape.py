"""One WebSocket connection through a session: its messages, recorded or played.

A connection is one interaction: the request that opened it, then what was sent and received, in the order in which the
agent did so. Pings are the library's affair and are not recorded. Nothing here knows a library.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pytest_agenttape import clocks, ownership, providers, values
from pytest_agenttape.bodies.messages import Headers, grouped
from pytest_agenttape.errors import (
    AgentTapeError,
    StreamingReplayError,
    UnmatchedInteractionError,
)
from pytest_agenttape.matching.canonical import is_stored
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership.calls import Live, Served
from pytest_agenttape.process.cancellation import is_cancellation, is_unanswered, unanswered
from pytest_agenttape.providers.common_form import session_facts
from pytest_agenttape.reading.one_line import shown_pair
from pytest_agenttape.transports.pacing import LONGEST_WAIT
from pytest_agenttape.transports.websocket_messages import Message, compared, content_of, stored

ABNORMAL = 1006  # the close code of a connection that was not closed, but lost
_GRACE = 5.0  # seconds in which an agent that was not waiting when its recording ended may close the connection
_HANDSHAKE = ("connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions")


@dataclass(frozen=True, slots=True)
class Closed:
    """How a connection ended; `by` is ``agent`` or ``server``."""

    code: int
    reason: str
    by: str


def begin(found: ownership.Scope, url: str, headers: Headers) -> Served | Live:
    """Let the session of *found* decide about a connection to *url*.

    Raises:
        UnmatchedInteractionError: No recording answers, and it may not be opened for real.
    """
    __tracebackhide__ = True
    kept = tuple((name, value) for name, value in headers if name.lower() not in _HANDSHAKE and is_stored(name, value))
    request: dict[str, JSON] = {"method": "GET", "url": url, "headers": grouped(kept)}
    operation = providers.identify_socket(url)
    if operation is None:
        return found.owner.begin("http", None, request, parent=found.running)
    metadata: dict[str, JSON] = {"provider": operation.provider, "operation": operation.operation}
    if operation.model is not None:
        metadata["model"] = operation.model
    return found.owner.begin("llm", operation.boundary, request, parent=found.running, metadata=metadata)


# Recording --------------------------------------------------------------------------------------------------------


class Tape(ABC):
    """What a recorded and a replayed connection have in common: an error to raise again, and readers that wait."""

    def __init__(self) -> None:
        self.refusal: AgentTapeError | None = None
        self._readers: list[float] = []
        self.has_left = False  # the agent has closed the connection
        self.was_waiting = False  # and waited for a message then

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The agent waits for a message; there are none after a refusal."""
        if self.refusal is not None:
            raise self.refusal
        since = clocks.monotonic()
        self._readers.append(since)
        try:
            yield
        finally:
            self._readers.remove(since)

    @abstractmethod
    def sending(self, content: str | bytes) -> Callable[[], None]:
        """The agent sends a message; return what takes that back, if it fails."""

    def received(self, content: str | bytes) -> None:  # noqa: B027  # a replay knows
        """The agent has got a message."""

    def is_server_closing(self) -> bool:
        """Return whether nothing can be sent any more, as soon as the client has seen it."""
        return False

    def leave(self, is_closed: bool) -> AgentTapeError | None:
        """The agent closes the connection, which may be closed already; return what is wrong with that."""
        if not is_closed and not self.has_left:
            self.has_left, self.was_waiting = True, bool(self._readers)
        return None

    def end(self) -> None:  # noqa: B027  # a replay has nothing to keep
        """The connection is closed."""


class Recording(Tape):
    """A connection that is open for real; kept when it is closed, or when its session ends."""

    def __init__(self, live: Live, answer: Mapping[str, JSON], closed: Callable[[], Closed | None]) -> None:
        super().__init__()
        self._live = live
        self._answer = answer
        self._closed = closed
        self._messages: list[Message] = []
        live.source = self

    def sending(self, content: str | bytes) -> Callable[[], None]:
        message = stored("sent", content)
        self._messages.append(message)
        return lambda: self._drop(message)

    def _drop(self, message: Message) -> None:
        self._messages[:] = [each for each in self._messages if each is not message]

    def received(self, content: str | bytes) -> None:
        self._messages.append(stored("received", content))
        kept = self._live.interaction
        if kept is not None:  # it had arrived before the connection was closed
            now = self.preview()
            self._live.interaction = replace(kept, response=now.response, usage=now.usage)

    def end(self) -> None:
        if self._live.interaction is None and self._live.source is self:
            stored = self._stored()
            self._live.recorder.finish(self._live, response=stored, usage=self._facts(stored))

    settle = end

    def preview(self) -> Interaction:
        """Return the connection as it would be recorded if it was closed now."""
        stored = self._stored()
        return self._live.recorder.outcome(self._live, response=stored, usage=self._facts(stored))

    def _facts(self, stored: Mapping[str, JSON]) -> dict[str, JSON] | None:
        """Note the model that the messages name, and return the tokens that they tell of."""
        model, usage = session_facts(self._live.call.boundary, stored)
        if model is not None:
            self._live.metadata["model"] = model
        return dict(usage) if usage else None

    def _stored(self) -> dict[str, JSON]:
        answer: dict[str, JSON] = {**self._answer, "messages": list(self._messages)}
        closed = self._closed()
        if closed is not None:
            answer["closed"] = {"code": closed.code, "reason": closed.reason, "by": closed.by}
        if self.was_waiting or (self._readers and closed is None):
            answer["waiting"] = True
        return answer


def keep_failure(live: Live, error: BaseException, answer: Mapping[str, JSON] | None) -> None:
    """Keep that a connection could not be opened; *answer* is the server's, if it gave one."""
    if isinstance(error, AgentTapeError) or not (isinstance(error, Exception) or is_cancellation(error)):
        return
    if answer is not None:
        live.recorder.finish(live, response=dict(answer), status=answer.get("status"))
        return
    stored_error = unanswered() if is_cancellation(error) else dict(values.encode_error(error))
    live.recorder.finish(live, error=stored_error, failure=type(error).__name__)


# Replay -----------------------------------------------------------------------------------------------------------


class Playing(Tape):
    """A recorded connection: what the agent sends has to be what it sent, and lets through what it received then.

    It is used by two threads: the agent's, and the one that plays the server.
    """

    def __init__(self, served: Served) -> None:
        super().__init__()
        self._served = served
        recorded = served.recorded.response
        self.answer: Mapping[str, JSON] = recorded if isinstance(recorded, dict) else {}
        messages = self.answer.get("messages")
        self._messages: list[Message] = [each for each in messages or () if isinstance(each, dict)]
        self._said = 0  # before this message, all that was sent has been sent
        self._played = 0  # before this message, all that was received is delivered
        self._lock = threading.Lock()
        served.judge = lambda: self.leave(is_closed=False)

    @property
    def title(self) -> str:
        return self._served.recorded.boundary or f"GET {self._served.call.request['url']}"

    @property
    def status(self) -> int:
        """With which status the server answered; 101 where it opened the connection."""
        status = self.answer.get("status", 101)
        return status if isinstance(status, int) else 101

    @property
    def is_abandoned(self) -> bool:
        """Whether its session is over."""
        return self._served.recorder.is_closed

    def sending(self, content: str | bytes) -> Callable[[], None]:
        __tracebackhide__ = True
        asked = self._served.recorder.redacted(stored("sent", content))
        with self._lock:
            index = self._next_sent()
            recorded = self._messages[index] if index < len(self._messages) else None
            if recorded is not None and isinstance(asked, dict) and compared(recorded) == compared(asked):
                self._said = index + 1
                return lambda: None
        raise self.refuse(self._drifted(recorded, asked))

    def _next_sent(self) -> int:
        after = range(self._said, len(self._messages))
        return next((index for index in after if "sent" in self._messages[index]), len(self._messages))

    def _drifted(self, recorded: Message | None, asked: JSON) -> AgentTapeError:
        now = asked.get("sent") if isinstance(asked, dict) else asked
        count = sum("sent" in each for each in self._messages[: self._said])
        head = f"{self.title}: message {count + 1} sent through this WebSocket"
        if recorded is None:
            _, shown = shown_pair(None, now)
            text = f"{head} is not in its recording, in which {count} were sent\n    sent      {shown}"
        else:
            before, shown = shown_pair(recorded.get("sent"), now)
            text = f"{head} is not the recorded one\n    recorded  {before}\n    sent      {shown}"
        return UnmatchedInteractionError(
            f"{text}\n  record it again", kind=self._served.recorded.kind, boundary=self._served.recorded.boundary
        )

    def due(self) -> list[str | bytes]:
        """Return what the server says next; it waits for a message where the recorded one got one first.

        Raises:
            CassetteCorruptError: A message is none.
        """
        with self._lock:
            stop = self._next_sent()
            found = [each for each in self._messages[self._played : stop] if "received" in each]
            self._played = max(self._played, stop)
        return [content_of(each, "received") for each in found]

    def closed(self) -> Closed | None:
        """Return how the server closes the connection now; None if it does not, or not yet."""
        recorded = self.answer.get("closed")
        with self._lock:
            is_over = self._next_sent() == self._played == len(self._messages)
        if not is_over or not isinstance(recorded, dict) or recorded.get("by") != "server":
            return None
        return Closed(int(recorded.get("code", ABNORMAL)), str(recorded.get("reason", "")), "server")

    def is_server_closing(self) -> bool:
        return self.closed() is not None

    def is_overdue(self) -> bool:
        """Return whether the agent waits for a message that will not come."""
        since = min(self._readers, default=None)
        if since is None or self.has_left or self._served.recorder.is_closed:
            return False
        with self._lock:
            is_at_end = self._next_sent() == len(self._messages)
        longest = LONGEST_WAIT + (self._served.recorded.latency_ms or 0) / 1000
        if is_at_end and self.answer.get("waiting") is not True:
            longest = _GRACE
        return clocks.monotonic() - since > longest

    def waited_in_vain(self) -> None:
        """Refuse a connection whose agent waits for more than there is."""
        count = sum("received" in each for each in self._messages[: self._played])
        self.refuse(
            StreamingReplayError(
                f"{self.title}: the agent waits for another message of this WebSocket, but when it was recorded, "
                f"{count} were received up to here, and it sent or closed then; record it again"
            )
        )

    def leave(self, is_closed: bool) -> AgentTapeError | None:
        if self.has_left or self.refusal is not None or self._served.recorder.is_closed:
            return None
        super().leave(is_closed)
        with self._lock:
            index = self._next_sent()
        if index == len(self._messages):
            return None
        before, _ = shown_pair(self._messages[index].get("sent"), None)
        return self._served.recorder.refuse(
            UnmatchedInteractionError(
                f"{self.title}: the agent closed this WebSocket without a message that it sent when this was "
                f"recorded\n    recorded  {before}\n  record it again",
                kind=self._served.recorded.kind,
                boundary=self._served.recorded.boundary,
            )
        )

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        """Make *error* the verdict, and what the agent gets from now on."""
        self.refusal = self._served.recorder.refuse(error)
        return self.refusal


def play(served: Served) -> Playing:
    """Return the recorded connection that answers a call.

    Raises:
        Exception: It could not be opened; the recorded error.
    """
    error = served.recorded.error
    if error is None:
        return Playing(served)
    if not is_unanswered(error):
        raise values.decode_error(error)
    raise served.recorder.refuse(
        StreamingReplayError(
            f"GET {served.call.request['url']}: the agent stopped waiting for this WebSocket to open when this was "
            "recorded, but not now; record it again"
        )
    )


def is_never_opened(served: Served) -> bool:
    """Return whether the agent was cancelled while it waited for the connection."""
    return served.recorded.error is not None and is_unanswered(served.recorded.error)

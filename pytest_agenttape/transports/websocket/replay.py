"""A recorded WebSocket connection, played: what the agent sends is compared, and what it received comes again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from pytest_agenttape import clocks, values
from pytest_agenttape.errors import AgentTapeError, StreamingReplayError, UnmatchedInteractionError
from pytest_agenttape.model import JSON
from pytest_agenttape.ownership.calls import Served
from pytest_agenttape.process.cancellation import is_unanswered
from pytest_agenttape.reading.one_line import shown_pair
from pytest_agenttape.transports.pacing import LONGEST_WAIT
from pytest_agenttape.transports.websocket.messages import Message, compared, content_of, stored
from pytest_agenttape.transports.websocket.tape import ABNORMAL, Closed, Tape

_GRACE = 5.0  # seconds in which an agent that was not waiting when its recording ended may close the connection


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
    def ending(self) -> Mapping[str, JSON]:
        """How the recorded connection was closed; empty if it was still open."""
        recorded = self.answer.get("closed")
        return recorded if isinstance(recorded, dict) else {}

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
            if recorded is not None and isinstance(asked, dict) and self._is_same(recorded, asked):
                self._said = index + 1
                return lambda: None
        raise self.refuse(self._drifted(recorded, asked))

    def _is_same(self, recorded: Message, asked: Message) -> bool:
        return self._served.recorder.is_same(compared(recorded), compared(asked))

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

    def is_over(self) -> bool:
        """Return whether all messages have been sent and received."""
        with self._lock:
            return self._next_sent() == self._played == len(self._messages)

    def closed(self) -> Closed | None:
        """Return how the server closes the connection now; None if it does not, or not yet."""
        recorded = self.ending
        if not self.is_over() or recorded.get("by") != "server":
            return None
        return Closed(int(recorded.get("code", ABNORMAL)), str(recorded.get("reason", "")), "server", recorded)

    def is_server_closing(self) -> bool:
        with self._lock:
            is_said = self._next_sent() == len(self._messages)
        return is_said and self.ending.get("by") == "server"

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

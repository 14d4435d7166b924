"""One WebSocket connection through a session: its messages, recorded, or played by `websocket_replay`.

A connection is one interaction: the request that opened it, then what was sent and received, in the order in which the
agent did so. Pings are the library's affair and are not recorded. Nothing here knows a library.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pytest_agenttape import clocks, ownership, providers, values
from pytest_agenttape.bodies.messages import Headers, grouped
from pytest_agenttape.errors import (
    AgentTapeError,
)
from pytest_agenttape.matching.headers import stored_headers
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership.calls import Live, Served
from pytest_agenttape.process.cancellation import is_cancellation, unanswered
from pytest_agenttape.providers.common_form import session_facts
from pytest_agenttape.transports.pacing import POLL
from pytest_agenttape.transports.websocket.messages import Message, stored

ABNORMAL = 1006  # the close code of a connection that was not closed, but lost
NO_STATUS = 1005  # that of a connection that was closed without a code
_LONGEST_CLOSE = 5.0  # seconds in which a client has seen that the server closed the connection
SOON = 0.005  # seconds between two looks at whether it has
_HANDSHAKE = ("connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions")


_ANSWERED = frozenset({"connection", "upgrade", "sec-websocket-accept", "date"})


@dataclass(frozen=True, slots=True)
class Closed:
    """How a connection ended; `by` is ``agent`` or ``server``, `more` what else there is to say in the cassette."""

    code: int
    reason: str
    by: str
    more: Mapping[str, JSON] = field(default_factory=dict)


def begin(found: ownership.Scope, url: str, headers: Headers) -> Served | Live:
    """Let the session of *found* decide about a connection to *url*.

    Raises:
        UnmatchedInteractionError: No recording answers, and it may not be opened for real.
    """
    __tracebackhide__ = True
    asked = tuple((name, value) for name, value in headers if name.lower() not in _HANDSHAKE)
    kept = stored_headers(asked, found.owner.match_headers)
    request: dict[str, JSON] = {"method": "GET", "url": url, "headers": grouped(kept)}
    operation = providers.identify_socket(url)
    if operation is None:
        return found.owner.begin("http", None, request, parent=found.running)
    metadata: dict[str, JSON] = {"provider": operation.provider, "operation": operation.operation}
    if operation.model is not None:
        metadata["model"] = operation.model
    return found.owner.begin("llm", operation.boundary, request, parent=found.running, metadata=metadata)


def opening_answer(status: int, headers: Headers) -> dict[str, JSON]:
    """Return the answer to a handshake as a cassette stores it."""
    kept = tuple((name, value) for name, value in headers if name.lower() not in _ANSWERED)
    return {"status": status, "headers": grouped(kept)}


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

    @property
    def is_awaited(self) -> bool:
        """Whether the agent waits for a message, and has done so for a while."""
        return any(clocks.monotonic() - since > POLL for since in tuple(self._readers))

    @abstractmethod
    def sending(self, content: str | bytes) -> Callable[[], None]:
        """The agent sends a message; return what takes that back, if it fails."""

    def received(self, content: str | bytes) -> None:  # noqa: B027  # a replay knows
        """The agent has got a message."""

    def is_server_closing(self) -> bool:
        """Return whether nothing can be sent any more, as soon as the client has seen it."""
        return False

    def holds_back(self, since: float) -> bool:
        """Return whether to wait with a message to an open connection: its end is about to be seen."""
        return self.is_server_closing() and clocks.monotonic() - since < _LONGEST_CLOSE

    @contextmanager
    def leaving(self, is_closed: bool) -> Iterator[None]:
        """Return a block in which the agent closes the connection; no complaint hides an error of its own."""
        __tracebackhide__ = True
        has_failed = sys.exc_info()[0] is not None
        error = self.leave(is_closed)
        try:
            yield
        finally:
            self.end()
        if error is not None and not has_failed:
            raise error

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
        self._live.recorder.vet(self._live, message)
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
        if self._closed() is not None:  # else another task is still closing it
            self.settle()

    def settle(self) -> None:
        if self._live.interaction is None and self._live.source is self:
            stored = self._stored()
            self._live.recorder.finish(self._live, response=stored, usage=self._facts(stored))

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
            answer["closed"] = {"code": closed.code, "reason": closed.reason, "by": closed.by, **closed.more}
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

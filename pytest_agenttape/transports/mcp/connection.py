"""One connection of a client to an MCP server: whose each message is, and what a replayed one is answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pytest_agenttape import clocks, ownership, values
from pytest_agenttape.errors import AgentTapeError, StreamingReplayError, UnmatchedInteractionError
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership.calls import Live, Recorder, Served
from pytest_agenttape.ownership.turns import Turn
from pytest_agenttape.process.cancellation import is_unanswered, unanswered
from pytest_agenttape.providers import mcp
from pytest_agenttape.reading.one_line import shown_pair
from pytest_agenttape.transports.mcp import messages
from pytest_agenttape.transports.mcp.messages import Message
from pytest_agenttape.transports.pacing import LONGEST_WAIT

_Number: TypeAlias = int | str
_ANSWER: Message = {}  # where in what a server says the answer comes


@dataclass(frozen=True, slots=True)
class Route:
    """How a message is sent for real.

    Attributes:
        scope: What it belongs to while it is sent.
        starts: Whether a server that does not run yet is started for it.
    """

    scope: ownership.Scope | None
    starts: bool = True


@dataclass(slots=True, eq=False)
class _Pending:
    """A request that the server is answering for real."""

    live: Live
    method: str
    token: JSON
    said: list[Message] = field(default_factory=list)
    said_after: list[Message] = field(default_factory=list)

    def settle(self) -> None:
        self.end(error=unanswered())

    def preview(self) -> None:
        """Show nothing of a call that has no answer yet."""

    def end(self, response: JSON = None, error: dict[str, JSON] | None = None) -> None:
        if self.said:
            self.live.metadata["said"] = self.said
        self.live.recorder.finish(self.live, response=response, error=error)

    def hear(self, message: Message) -> None:
        """Keep what the server sent unasked, before its answer or after."""
        if self.live.interaction is None:
            self.said.append(message)
            return
        self.said_after.append(message)
        recorded = self.live.interaction
        self.live.interaction = replace(recorded, metadata={**recorded.metadata, "said_after": self.said_after})


@dataclass(slots=True, eq=False)
class _Script:
    """What the server said about one recorded request, as far as it is not said yet."""

    number: _Number
    token: JSON
    recorder: Recorder
    recorded: Interaction
    lines: deque[Message]
    due: float = 0.0  # until when an answer that never came is waited for


class Connection:
    """Decides about each message; who holds it moves the lines.

    Args:
        program: What the server is called before it says its name.
        deliver: Takes a message to the client, None at the server's end.
        wake: Lets whoever waits for a message look at `play_due` again.
    """

    def __init__(self, program: str, deliver: Callable[[Message | None], None], wake: Callable[[], None]) -> None:
        self._wake = wake
        self._program = self._server = program
        self._deliver = deliver
        self._pending: dict[_Number, _Pending] = {}
        self._latest: _Pending | None = None
        self._handshakes: dict[_Number, str] = {}  # under way, by number
        self._questions: dict[_Number, tuple[_Pending, Message]] = {}  # of a real server, waiting for an answer
        self._scripts: dict[_Number, tuple[_Script, Message]] = {}  # the same of a replayed one
        self._unanswered: list[_Script] = []
        self._queued: list[tuple[Turn, _Script]] = []  # to be played when it is their turn
        self._asked = 0
        self.opening: list[Message] = []  # what a server that is started late has to be told first

    # -- the client speaks

    def said(self, message: Message) -> Route | None:
        """Take a message of the client; return how it is sent for real, None if it is not."""
        self._note_opening(message)
        try:
            found = ownership.current()
            if found is None:
                return Route(ownership.bound())
            if messages.is_answer(message):
                return Route(found, starts=False) if self._answered(message) else None
            if message.get("method") in messages.UNRECORDED:
                return Route(found, starts=False)
            return self._asked_for(found, message)
        except AgentTapeError as error:
            if messages.is_request(message):
                self._deliver(messages.refusal(message["id"], error))
            return None

    def _note_opening(self, message: Message) -> None:
        if message.get("method") in mcp.HANDSHAKES:
            self._handshakes[message["id"]] = message["method"]
            self.opening[:] = [message]
        elif message.get("method") == messages.INITIALIZED:
            self.opening.append(message)

    def _asked_for(self, found: ownership.Scope, message: Message) -> Route | None:
        asked = messages.asked(message, self._program, self._server)
        call = found.owner.begin(asked.kind, asked.boundary, asked.request, parent=found.running)
        number, token = message.get("id"), messages.progress_token(message)
        if isinstance(call, Live):
            pending = call.source = self._latest = _Pending(call, message["method"], token)
            if number is None:
                pending.end()
            else:
                self._pending[number] = pending
            return Route(ownership.Scope(found.owner, call))
        if number is None:
            if call.turn is not None:
                call.turn.end()
            return None
        lines = deque([*call.recorded.said, _ANSWER, *call.recorded.said_after])
        script = _Script(number, token, call.recorder, call.recorded, lines)
        if call.turn is None:
            self._play(script)
        else:
            call.turn.stand_alone()
            self._queued.append((call.turn, script))
            self._wake()
        return None

    def _answered(self, message: Message) -> bool:
        """Take the client's answer to a question; return whether a real server waits for it."""
        number = message["id"]
        pending, question = self._questions.pop(number, (None, {}))
        if pending is not None:
            question["answer"] = messages.outcome_of(message)
            self._vet(pending, question["answer"])
        if number not in self._scripts:
            return True
        script, recorded = self._scripts.pop(number)
        self._compare(script, recorded, messages.outcome_of(message))
        self._play(script)
        return False

    def _vet(self, pending: _Pending, answer: JSON) -> None:
        try:
            pending.live.recorder.vet(pending.live, answer)
        except AgentTapeError as error:  # nor is there an answer to the client, of whom the server wanted this
            pending.live.drop()
            for number in [number for number, each in self._pending.items() if each is pending]:
                del self._pending[number]
                self._deliver(messages.refusal(number, error))
            raise

    def _compare(self, script: _Script, recorded: Message, answer: Message) -> None:
        if recorded["method"] not in messages.COMPARED_ANSWERS:
            return
        given = script.recorder.redacted(answer)
        if script.recorder.is_same(recorded.get("answer"), given):
            return
        before, now = shown_pair(recorded.get("answer"), given)
        error = UnmatchedInteractionError(
            f"the answer to the server's {recorded['method']} is not the recorded one, "
            f"in {script.recorded.boundary}\n    recorded  {before}\n    answered  {now}",
            kind=script.recorded.kind,
            boundary=script.recorded.boundary,
        )
        self._deliver(messages.refusal(script.number, error))
        script.lines.clear()
        raise script.recorder.refuse(error)

    # -- a recorded server speaks

    def _play(self, script: _Script) -> None:
        while script.lines:
            line = script.lines.popleft()
            if line is _ANSWER:
                self._answer(script)
                continue
            is_question = "answer" in line
            number = f"replayed-{self._asked}" if is_question else None
            if number is not None:
                self._asked += 1
                self._scripts[number] = script, line
            self._deliver(messages.said_again(line, number=number, token=script.token))
            if is_question:
                return

    def _answer(self, script: _Script) -> None:
        recorded = messages.made_up_answer(script.recorded) if script.recorded.is_made_up else script.recorded
        error = recorded.error
        if error is not None and is_unanswered(error):
            script.due = clocks.monotonic() + LONGEST_WAIT + (recorded.latency_ms or 0) / 1000
            self._unanswered.append(script)
        elif error is not None and error.get("type") == messages.ENDED["type"]:
            self._deliver(None)
        else:
            response = values.decode(recorded.response) if error is None else None
            self._learn_name(script.number, response)
            self._deliver(messages.answer_again(script.number, response, error))

    @property
    def has_queued(self) -> bool:
        """Whether an answer waits for its turn."""
        return bool(self._queued)

    def play_due(self) -> None:
        """Let the recorded server say what it said when those that ended earlier have their answers."""
        for turn, script in tuple(self._queued):
            if turn.is_due():
                self._queued.remove((turn, script))
                self._play(script)

    def longest_wait(self) -> float | None:
        """Return for how many seconds the client may go on waiting; None where nothing limits it."""
        due = min((each.due for each in self._unanswered), default=None)
        return None if due is None else max(0.0, due - clocks.monotonic())

    def waited_in_vain(self) -> None:
        """Refuse what the client waits for, although it stopped waiting when this was recorded."""
        waiting, self._unanswered = self._unanswered, []
        for script in waiting:
            error = StreamingReplayError(
                f"when {script.recorded.boundary} was recorded, the agent stopped waiting for it, and now it does not; "
                "record it again"
            )
            self._deliver(messages.refusal(script.number, script.recorder.refuse(error)))

    # -- a real server speaks

    def heard(self, message: Message) -> None:
        """Take a message of the server, which the client gets as well."""
        if messages.is_answer(message):
            self._finish(message)
            return
        pending = self._about(message)
        if pending is None or not isinstance(message.get("method"), str):
            return
        kept = messages.stored(message)
        if messages.is_request(message):
            kept["answer"] = None
            self._questions[message["id"]] = pending, kept
        pending.hear(kept)

    def ended(self, *, by_client: bool) -> None:
        """The server has ended; what it has not answered will have no answer."""
        for pending in self._pending.values():
            if by_client:
                pending.settle()
            else:
                pending.end(error=dict(messages.ENDED))
        self._pending.clear()

    def _finish(self, answer: Message) -> None:
        self._learn_name(answer["id"], answer.get("result"))
        pending = self._pending.pop(answer["id"], None)
        if pending is None or pending.live.interaction is not None:  # the session is over
            return
        if "error" in answer:
            pending.end(error=mcp.error_of(answer["error"]))
        else:
            pending.end(response=values.encode(answer.get("result"), "result"))

    def _about(self, message: Message) -> _Pending | None:
        """Return the request that a message belongs to: by its token, else the latest that is under way, or was."""
        token = messages.reported_token(message)
        under_way = tuple(self._pending.values())
        for pending in under_way:
            if token is not None and pending.token == token:
                return pending
        return under_way[-1] if under_way else self._latest

    def _learn_name(self, number: _Number, result: JSON) -> None:
        handshake = self._handshakes.pop(number, None)
        if handshake is not None:
            self._server = mcp.server_name(handshake, result) or self._server


def connect(found: ownership.Scope, program: str) -> Served | Live:
    """Let the session of *found* decide whether *program* is started.

    Raises:
        UnmatchedInteractionError: It was not when this was recorded.
        OSError: It could not be started when this was recorded; or whatever it was.
    """
    __tracebackhide__ = True
    call = found.owner.begin("http", messages.CONNECT, {"server": program}, parent=found.running)
    if isinstance(call, Served) and call.recorded.error is not None:
        raise values.decode_error(call.recorded.error)
    return call


def started(live: Live, error: Exception | None = None) -> None:
    """Keep that a server was started, or that it could not be."""
    stored: Mapping[str, JSON] | None = None if error is None else values.encode_error(error)
    live.recorder.finish(live, error=dict(stored) if stored is not None else None)

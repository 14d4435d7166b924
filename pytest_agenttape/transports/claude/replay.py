"""What a recorded program of Claude Code says again, each message once the agent has written what it wrote before."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pytest_agenttape import clocks, values
from pytest_agenttape.errors import AgentTapeError, StreamingReplayError, UnmatchedInteractionError
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership.calls import Recorder, Served
from pytest_agenttape.process.cancellation import is_unanswered
from pytest_agenttape.reading.one_line import shown_pair
from pytest_agenttape.transports.claude import messages
from pytest_agenttape.transports.mcp.messages import Message
from pytest_agenttape.transports.pacing import LONGEST_WAIT


class Agent(Protocol):
    """The agent's end of a conversation."""

    def hear(self, message: Message) -> None:
        """Take what the program says."""

    def hear_error_line(self, line: str) -> None:
        """Take a line that the program prints to its standard error."""

    def hear_end(self, error: BaseException | None) -> None:
        """Take that the program has ended."""


@dataclass(slots=True, eq=False)
class _Script:
    """What was said about one prompt, or before the first, as far as it is not said yet."""

    recorder: Recorder
    recorded: Interaction
    written: int  # how much the agent had written before
    entries: deque[dict[str, Any]]  # the cassette's
    answered: set[str] = field(default_factory=set)
    numbers: dict[str, str] = field(default_factory=dict)  # of its questions, as they are asked now

    @property
    def is_left(self) -> bool:
        """Whether the agent left it before its end when this was recorded."""
        response = self.recorded.response
        return isinstance(response, dict) and response.get("complete") is False

    def recorded_answer(self, number: str) -> Message | None:
        sent = (each["sent"] for each in self.entries if "sent" in each and not messages.is_mark(each))
        return next((each for each in sent if messages.number_of(each) == number), None)


class Replay:
    """The recorded side of a conversation; *agent* gets what it says."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._scripts: deque[_Script] = deque()
        self._questions: dict[str, tuple[_Script, Message]] = {}  # not answered yet, by the number of this run
        self._asked = 0
        self._written = 0
        self._unclaimed: list[tuple[int, str]] = []  # what the agent wrote that no script has waited for
        self._since = clocks.monotonic()

    def add(self, served: Served) -> None:
        """Say what was said about a prompt, or before the first.

        Raises:
            Exception: It could not be sent, or the program not be started, when this was recorded.
        """
        __tracebackhide__ = True
        if served.recorded.error is not None:
            raise values.decode_error(served.recorded.error)
        response = served.recorded.response
        events = response.get("events") if isinstance(response, dict) else None
        entries = deque(each for each in events or () if isinstance(each, dict))
        self._scripts.append(_Script(served.recorder, served.recorded, self._written, entries))
        self._play()

    def answer(self, number: str, served: Served) -> None:
        """Answer request *number* of the agent."""
        error = served.recorded.error
        if error is None or not is_unanswered(error):
            self._agent.hear(messages.answer_again(number, values.decode(served.recorded.response), error))
        self._play()

    def wrote(self, message: Message) -> None:
        """The agent has written *message*, which has a recording of its own."""
        self._written += 1
        self._unclaimed.append((self._written, messages.lane_of(message)))

    def answered(self, message: Message) -> bool:
        """The agent answers a question; return whether a recorded program asked it.

        Raises:
            UnmatchedInteractionError: It was answered differently when this was recorded.
        """
        script, question = self._questions.pop(messages.number_of(message), (None, {}))
        if script is None:
            return False
        self._compare(script, question, message)
        script.answered.add(messages.number_of(question))
        self._play()
        return True

    def _compare(self, script: _Script, question: Message, answer: Message) -> None:
        kept = script.recorded_answer(messages.number_of(question))
        given = messages.compared_answer(question, script.recorder.redacted(answer))
        recorded = messages.compared_answer(question, kept)
        if kept is None or script.recorder.is_same(recorded, given):
            return
        before, now = shown_pair(recorded, given)
        asked = messages.tool_called(question) or messages.subtype_of(question)
        error = UnmatchedInteractionError(
            f"the answer to Claude Code's {asked} is not the recorded one, in {script.recorded.boundary}\n"
            f"    recorded  {before}\n    answered  {now}",
            kind=script.recorded.kind,
            boundary=script.recorded.boundary,
        )
        script.entries.clear()
        raise script.recorder.refuse(error)

    def _play(self) -> None:
        self._since = clocks.monotonic()
        while self._scripts:
            script = self._scripts[0]
            while script.entries and self._is_due(script, script.entries[0]):
                self._say(script, script.entries.popleft())
            if script.entries or len(self._scripts) == 1:
                return
            self._scripts.popleft()

    def _is_due(self, script: _Script, entry: Mapping[str, JSON]) -> bool:
        """Return whether the agent has sent what this entry says that it sent."""
        if "sent" not in entry:
            return True
        if not messages.is_mark(entry):
            return messages.number_of(entry["sent"]) in script.answered
        lane = messages.lane_of(entry["sent"])
        for each in self._unclaimed:
            if each[0] > script.written and each[1] == lane:
                self._unclaimed.remove(each)
                return True
        return False

    def _say(self, script: _Script, entry: Mapping[str, JSON]) -> None:
        if "ended" in entry:
            self._agent.hear_end(values.decode_error(entry["ended"]) if entry["ended"] else None)
        elif "stderr" in entry:
            self._agent.hear_error_line(str(entry["stderr"]))
        elif "data" in entry:
            self._agent.hear(self._numbered(script, entry["data"]))

    def _numbered(self, script: _Script, message: Message) -> Message:
        """Return *message* with a number of this run: two scripts of one conversation may come from two recordings."""
        if "request_id" not in message:
            return message
        recorded = messages.number_of(message)
        if message.get("type") == "control_request":
            self._asked += 1
            script.numbers[recorded] = f"replayed-{self._asked}"
            self._questions[script.numbers[recorded]] = script, message
        return messages.renumbered(message, script.numbers.get(recorded, recorded))

    @property
    def is_said(self) -> bool:
        """Whether all is said, to the end that the agent saw."""
        return self._under_way() is None

    def longest_wait(self) -> float | None:
        """Return for how many seconds the agent may go on waiting; None where nothing limits it."""
        script = self._under_way()
        if script is None or script.recorder.is_closed:
            return None
        longest = LONGEST_WAIT + (script.recorded.latency_ms or 0) / 1000
        return max(0.0, self._since + longest - clocks.monotonic())

    def waited_in_vain(self) -> AgentTapeError | None:
        """Refuse what the agent waits for, although it did something else when this was recorded."""
        script = self._under_way()
        if script is None:
            return None
        did = "stopped waiting"
        if script.entries:
            entry = script.entries[0]
            did = f"sent {messages.lane_of(entry['sent'])!r}" if messages.is_mark(entry) else "answered a question"
        return script.recorder.refuse(
            StreamingReplayError(
                f"{script.recorded.boundary}: the agent waits for Claude Code to say more, but when this was recorded, "
                f"it {did} here; record it again"
            )
        )

    def _under_way(self) -> _Script | None:
        return next((each for each in self._scripts if each.entries or each.is_left), None)

"""What Claude Code's program says for real, as it is recorded: below the prompt it is about, or the start."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pytest_agenttape import providers, values
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership.calls import Live
from pytest_agenttape.process.cancellation import unanswered
from pytest_agenttape.providers import claude_code
from pytest_agenttape.transports.claude import messages
from pytest_agenttape.transports.mcp.messages import Message


@dataclass(slots=True, eq=False)
class _Request:
    """A request of the agent that the program is answering."""

    live: Live

    def settle(self) -> None:
        if self.live.interaction is None:
            self.live.recorder.finish(self.live, error=unanswered())

    def preview(self) -> None:
        """Show nothing of a request that has no answer yet."""


@dataclass(slots=True, eq=False)
class _Chapter:
    """What the program says about one prompt, or before the first."""

    live: Live
    entries: list[dict[str, JSON]] = field(default_factory=list)
    result: Message | None = None  # the message that ends the answer to a prompt

    def __post_init__(self) -> None:
        self.live.source = self

    @property
    def is_over(self) -> bool:
        return self.live.interaction is not None

    def add(self, entry: dict[str, JSON]) -> None:
        if self.live.recorder.is_closed:
            return
        self.entries.append(entry)
        if self.live.interaction is not None and not messages.is_mark(entry):
            self.live.interaction = replace(self.live.interaction, response=self.preview().response)

    def finish(self) -> None:
        if self.live.interaction is None and self.live.source is self:
            stored, usage = self._stored()
            status = (self.result or {}).get("api_error_status")
            self.live.recorder.finish(self.live, response=stored, usage=usage, status=status)

    settle = finish

    def preview(self) -> Interaction:
        stored, usage = self._stored()
        return self.live.recorder.outcome(self.live, response=stored, usage=usage)

    def _stored(self) -> tuple[JSON, dict[str, JSON] | None]:
        entries = [*self.entries]
        while entries and messages.is_mark(entries[-1]):  # nothing waits for it
            entries.pop()
        if self.live.call.kind != "llm":
            return ({"events": entries} if entries else None), None
        response: dict[str, JSON] = {"events": entries}
        if self.result is None and not any("ended" in each for each in entries):
            response["complete"] = False
        usage = providers.read_answer(claude_code.operation(None), response).usage
        return response, dict(usage) if usage else None


class Recording:
    """The real side of a conversation.

    Attributes:
        unrecorded: Tools of the agent's own process that were called and that nothing replays.
    """

    def __init__(self) -> None:
        self.unrecorded: list[str] = []
        self._chapters: list[_Chapter] = []
        self._requests: dict[str, _Request] = {}  # under way, by number
        self._questions: dict[str, tuple[_Chapter, Message, int]] = {}  # of the program, not answered yet
        self._numbers: dict[str, str] = {}  # of its questions, and how they are stored

    def start(self, live: Live) -> None:
        """The program was started."""
        chapter = _Chapter(live)
        chapter.finish()
        self._chapters.append(chapter)

    def prompt(self, live: Live) -> None:
        """The agent sends a prompt."""
        self._chapters.append(_Chapter(live))

    def request(self, number: str, live: Live) -> None:
        """The agent sends a request."""
        live.source = self._requests[number] = _Request(live)

    def wrote(self, message: Message) -> None:
        """Keep where the agent wrote *message*, which has a recording of its own."""
        self._add({"sent": messages.mark_of(message)})

    def answered(self, message: Message) -> None:
        """The agent answers a question of the program.

        Raises:
            RecordingRefusedError: The answer holds what stands for a secret.
        """
        number = messages.number_of(message)
        chapter, question, calls = self._questions.pop(number, (None, {}, 0))
        if chapter is not None:
            chapter.live.recorder.vet(chapter.live, message)
            self._note_tool(chapter.live, question, calls)
            chapter.add({"sent": messages.renumbered(message, self._numbers[number])})

    def _note_tool(self, live: Live, question: Message, calls: int) -> None:
        """Keep the name of a tool that crossed no boundary since there were so many *calls*: it will run in replay."""
        tool = messages.tool_called(question)
        if tool is not None and tool not in self.unrecorded and live.recorder.calls_made == calls:
            self.unrecorded.append(tool)
            live.metadata.setdefault("unrecorded_tools", []).append(tool)

    def heard(self, message: Message) -> None:
        """Take a message of the program."""
        if message.get("type") == "control_response":
            self._finish(message)
            return
        chapter = self._current()
        if chapter is None:
            return
        stored = message
        if "request_id" in message:
            number = messages.number_of(message)
            stored = messages.renumbered(
                message, self._numbers.setdefault(number, f"question-{len(self._numbers) + 1}")
            )
            if message.get("type") == "control_request":
                self._questions[number] = chapter, message, chapter.live.recorder.calls_made
        chapter.add({"data": stored})
        if message.get("type") == "result":
            chapter.result = message
            chapter.finish()

    def heard_error_line(self, line: str) -> None:
        """Take a line of the program's standard error."""
        self._add({"stderr": line})

    def ended(self, error: Exception | None) -> None:
        """The program has ended by itself; what it has not answered will have no answer."""
        self._add({"ended": None if error is None else dict(values.encode_error(error))})
        self.closed()

    def closed(self) -> None:
        """The conversation is over."""
        for request in self._requests.values():
            request.settle()
        for chapter in self._chapters:
            chapter.finish()
        self._chapters.clear()
        self._requests.clear()

    def _add(self, entry: dict[str, JSON]) -> None:
        chapter = self._current()
        if chapter is not None:
            chapter.add(entry)

    def _current(self) -> _Chapter | None:
        """Return what the program is speaking about: the first prompt without a result, else the latest."""
        waiting = (each for each in self._chapters if not each.is_over)
        return next(waiting, self._chapters[-1] if self._chapters else None)

    def _finish(self, answer: Message) -> None:
        request = self._requests.pop(messages.number_of(answer), None)
        if request is None or request.live.interaction is not None:  # the session is over
            return
        response, error = messages.outcome_of(answer)
        if error is None:
            response = values.encode(response, "response")
        request.live.recorder.finish(request.live, response=response, error=error)


def failed(live: Live, error: Exception) -> None:
    """Keep that *live* could not be sent, or its program not be started."""
    if live.interaction is None:
        live.recorder.finish(live, error=dict(values.encode_error(error)))

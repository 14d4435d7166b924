"""One conversation with Claude Code: whose each message of the agent is, and whether it is sent for real.

A prompt is an LLM call, and what the program says until the next one is its answer; where the agent answers or writes
something in between, its place is kept, and in replay the program waits for it there.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_agenttape import ownership
from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.model import JSON
from pytest_agenttape.ownership.calls import Live, Served
from pytest_agenttape.providers import claude_code
from pytest_agenttape.transports.claude import messages
from pytest_agenttape.transports.claude.recording import Recording
from pytest_agenttape.transports.claude.replay import Agent, Replay
from pytest_agenttape.transports.mcp.messages import Message


@dataclass(frozen=True, slots=True)
class Route:
    """How a message is sent for real.

    Attributes:
        scope: What it belongs to while it is sent.
        live: The call that it is; a program that does not run yet is started for it.
        hides: The number of the request whose real answer the agent must not get, because it has a recorded one.
    """

    scope: ownership.Scope | None
    live: Live | None = None
    hides: str | None = None


class Conversation:
    """Decides about each message; who holds it moves them.

    Args:
        options: What is compared of the agent's options.
        agent: Gets what a recorded program says.

    Attributes:
        recording: What a real program says.
        replay: What a recorded one says.
        opening: What a program that is started late has to be told first.
    """

    def __init__(self, options: dict[str, JSON], agent: Agent) -> None:
        self.recording = Recording()
        self.replay = Replay(agent)
        self.opening: list[Message] = []
        self._options = dict(options)
        self._prompts: list[JSON] = []
        self._is_live: bool | None = None  # whether the program itself answers the prompts

    def connect(self, found: ownership.Scope) -> Served | Live:
        """Let the session of *found* decide whether the program is started.

        Raises:
            UnmatchedInteractionError: It was not when this was recorded.
            Exception: It could not be started when this was recorded.
        """
        __tracebackhide__ = True
        request: dict[str, JSON] = {"options": dict(self._options)}
        call = found.owner.begin("http", messages.CONNECT, request, parent=found.running)
        if isinstance(call, Served):
            self.replay.add(call)
        return call

    def said(self, message: Message) -> Route | None:
        """Take a message of the agent; return how it is sent for real, None if it is not.

        Raises:
            AgentTapeError: It may not be sent.
            Exception: It could not be sent when this was recorded.
        """
        __tracebackhide__ = True
        if message.get("type") == "control_response":
            return self._answered(message)
        found = ownership.current()
        if found is None:
            return Route(ownership.bound())
        is_request = message.get("type") == "control_request"
        return self._asked(found, message) if is_request else self._prompted(found, message)

    def _answered(self, message: Message) -> Route | None:
        if self.replay.answered(message):
            return None
        self.recording.answered(message)
        return Route(ownership.bound())

    def _prompted(self, found: ownership.Scope, message: Message) -> Route | None:
        __tracebackhide__ = True
        self._prompts.append(messages.prompt_of(message))
        request: dict[str, JSON] = {"json": {**self._options, "messages": [*self._prompts]}}
        operation = claude_code.operation(self._options.get("model"))
        metadata: dict[str, JSON] = {"provider": operation.provider, "operation": operation.operation}
        if operation.model is not None:
            metadata["model"] = operation.model
        call = found.owner.begin("llm", operation.boundary, request, parent=found.running, metadata=metadata)
        self._keep_together(call)
        self._note_written(message)
        if isinstance(call, Served):
            self.replay.add(call)
            return None
        if call.recorder.model_override is not None:
            call.send_to(call.recorder.model_override)
        self.recording.prompt(call)
        return Route(ownership.Scope(found.owner, call), call)

    def _keep_together(self, call: Served | Live) -> None:
        """Refuse a prompt that the real program gets without those before, or does not get after those before."""
        is_live = isinstance(call, Live)
        if self._is_live is None:
            self._is_live = is_live
        if self._is_live == is_live:
            return
        before, now = ("was replayed", "runs for real") if is_live else ("ran for real", "is replayed")
        raise call.recorder.refuse(
            RecordingRefusedError(
                f"{claude_code.QUERY}: an earlier prompt of this conversation {before}, and this one {now}; Claude "
                "Code would not know what was said before. Record the conversation as a whole: --agenttape-record"
            )
        )

    def _asked(self, found: ownership.Scope, message: Message) -> Route | None:
        __tracebackhide__ = True
        subtype, number = messages.subtype_of(message), messages.number_of(message)
        asked = messages.asked_of(message["request"])
        call = found.owner.begin("http", f"{messages.FAMILY}.{subtype}", asked, parent=found.running)
        self._note_written(message)
        is_setting = subtype in messages.SETTINGS
        if is_setting:
            self._options[subtype.removeprefix("set_")] = message["request"].get(messages.SETTINGS[subtype])
        if isinstance(call, Live):
            self.recording.request(number, call)
            return Route(ownership.Scope(found.owner, call), call)
        self.replay.answer(number, call)
        if subtype == "set_model" and call.recorder.model_override is not None:
            return None
        if is_setting or subtype == messages.INITIALIZE:
            self.opening.append(message)
        return Route(found, hides=number)

    def _note_written(self, message: Message) -> None:
        self.replay.wrote(message)
        self.recording.wrote(message)

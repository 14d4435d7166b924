"""What the agent did, as values to assert on: its tool calls and its LLM calls."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pytest_agenttape import values
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.matching.call_tree import in_call_order, parent_of
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers import Answer, RequestedTool, conversation, operation_of, read_answer, read_messages
from pytest_agenttape.providers.common_form import common_form
from pytest_agenttape.reading.summary import arguments_of, shown_arguments
from pytest_agenttape.reading.usage import TokenTotals, count_tokens

TOOL_KINDS = ("tool", "retrieval")


class ToolCall(str):
    """A call of a tool or retrieval: a text equal to its name that knows its arguments and its outcome.

    Attributes:
        kind: ``tool`` or ``retrieval``.
        index: Its place among all interactions of the run.
        parent: The call whose body made it; None for the agent's own.
        latency_ms: Milliseconds the live call took; None if that is not known.
    """

    kind: str
    index: int  # type: ignore[assignment]  # the word of the cassette; str.index is not missed on a name
    parent: ToolCall | None
    latency_ms: float | None
    _recorded: Interaction | None
    _given: object
    _compared: Any

    def __new__(cls, name: str, arguments: object = None) -> Self:
        """Make a call to expect: *arguments* that are not given may be anything."""
        call = super().__new__(cls, name)
        call.kind, call.index, call.parent, call.latency_ms = "tool", -1, None, None
        call._recorded, call._given, call._compared = None, arguments, None
        return call

    @classmethod
    def of(cls, recorded: Interaction, parent: ToolCall | None = None) -> Self:
        """Return the call that *recorded* is a recording of."""
        recorded = common_form(recorded)
        call = cls(recorded.boundary or recorded.kind)
        call.kind, call.index = recorded.kind, recorded.index
        call.parent, call.latency_ms = parent, recorded.latency_ms
        call._recorded = recorded
        return call

    def __repr__(self) -> str:
        if self._recorded is None and self._given is None:
            return super().__repr__()
        arguments = self._given if self._recorded is None else arguments_of(self._recorded)
        return f"{self.name}({shown_arguments(arguments)})"

    @property
    def name(self) -> str:
        """The boundary's name."""
        return str(self)

    @property
    def duration(self) -> float | None:
        """The same as `latency_ms`."""
        return self.latency_ms

    @property
    def arguments(self) -> Any:
        """The arguments by name, as the call got them; a fresh copy each time."""
        if self._recorded is None:
            return self._given
        request = self._recorded.request
        return _decoded(request.get("args", request))

    @property
    def compared(self) -> Any:
        """The arguments, not to be changed: one copy, however often a test compares."""
        if self._compared is None:
            self._compared = self.arguments
        return self._compared

    @property
    def result(self) -> Any:
        """What the call returned (a list of the items of a stream), a fresh copy; None if it raised."""
        return None if self._recorded is None else _result_of(self._recorded)

    @property
    def error(self) -> BaseException | None:
        """The exception that the call raised."""
        if self._recorded is None or self._recorded.error is None:
            return None
        return values.decode_error(self._recorded.error)


@dataclass(frozen=True, slots=True)
class LLMCall:
    """A call of a model.

    Attributes:
        index: Its place among all interactions of the run.
        provider: Who was asked, such as ``openai``.
        operation: ``chat``, ``embeddings`` or ``generate_content``.
        model: The model that was asked.
        answered_by: The model that the answer names, often with a date.
        messages: The conversation before the last answer, as ``{"role", "content", "tool_calls"?, "tool_call_id"?}``.
        text: What the model said; in a realtime session, last.
        tool_calls: The tools that the model asked for, each with ``name`` and ``arguments``.
        usage: Its tokens; estimated if the answer had no usage block.
        latency_ms: Milliseconds the live call took.
        error: The message of the failure that came back.
        answers: Each answer of a realtime session, with ``text`` and ``tool_calls``; of other calls, the one.
        requested_model: The model that the agent named: `model`, but for a run with another one.
    """

    index: int
    provider: str | None
    operation: str | None
    model: str | None
    answered_by: str | None
    messages: list[dict[str, JSON]]
    text: str
    tool_calls: tuple[RequestedTool, ...]
    usage: dict[str, int]
    latency_ms: float | None
    error: str | None = None
    answers: tuple[Answer, ...] = (Answer(),)
    requested_model: str | None = None

    @classmethod
    def of(cls, recorded: Interaction) -> Self:
        """Return the call that *recorded* is a recording of, read by the view of its provider."""
        recorded = common_form(recorded)
        operation = operation_of(recorded)
        if operation is None or not isinstance(recorded.response, dict):
            return cls._plain(recorded)
        answer = read_answer(operation, recorded.response)
        answers = (*answer.earlier, answer)
        return cls(
            index=recorded.index,
            provider=operation.provider,
            operation=operation.operation,
            model=operation.model,
            answered_by=answer.model,
            messages=conversation(read_messages(operation, recorded.request), answer.earlier),
            text=next((each.text for each in reversed(answers) if each.text), ""),
            tool_calls=tuple(call for each in answers for call in each.tool_calls),
            usage={**(answer.usage or {}), **_usage(count_tokens(recorded))},
            latency_ms=recorded.latency_ms,
            error=answer.error,
            answers=answers,
            requested_model=recorded.requested_model,
        )

    @property
    def latency(self) -> float | None:
        """The same as `latency_ms`."""
        return self.latency_ms

    @classmethod
    def _plain(cls, recorded: Interaction) -> Self:
        """Return a call that failed without an answer, or that the user's own boundary of kind ``llm`` recorded."""
        operation = operation_of(recorded)
        arguments = recorded.request.get("args", recorded.request)
        facts: Mapping[str, JSON] = {**(arguments if isinstance(arguments, dict) else {}), **recorded.metadata}
        messages = read_messages(operation, recorded.request) if operation else facts.get("messages")
        error = recorded.error
        said = recorded.response if isinstance(recorded.response, str) else ""
        return cls(
            index=recorded.index,
            provider=_text_or_none(facts.get("provider")),
            operation=_text_or_none(facts.get("operation")),
            model=_text_or_none(facts.get("model")),
            answered_by=None,
            messages=[each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else [],
            text=said,
            tool_calls=(),
            usage=_usage(count_tokens(recorded)),
            latency_ms=recorded.latency_ms,
            error=None if error is None else error_text(error),
            answers=(Answer(said),),
            requested_model=recorded.requested_model or _text_or_none(facts.get("model")),
        )


def tool_calls(interactions: Sequence[Interaction]) -> list[ToolCall]:
    """Return the calls of tools and retrievals in the order of the agent, nested ones after their parent."""
    calls: list[ToolCall] = []
    above: dict[int | None, ToolCall | None] = {}  # of each call, the listed one that it is or is made by
    for each in in_call_order(interactions):
        parent = above.get(parent_of(each))
        above[each.index] = parent
        if each.kind in TOOL_KINDS:
            above[each.index] = call = ToolCall.of(each, parent)
            calls.append(call)
    return calls


def llm_calls(interactions: Sequence[Interaction]) -> list[LLMCall]:
    """Return the calls of models in the order of the agent."""
    return [LLMCall.of(each) for each in in_call_order(interactions) if each.kind == "llm"]


def last_word(interactions: Sequence[Interaction]) -> Any:
    """Return the text of the last LLM answer that has one, else the last result of a boundary, else None."""
    ordered = in_call_order(interactions)
    for each in reversed(ordered):
        if each.kind == "llm" and (text := LLMCall.of(each).text):
            return text
    for each in reversed(ordered):
        if each.kind not in ("llm", "http") and each.error is None:
            return _result_of(each)
    return None


def error_text(error: Mapping[str, JSON]) -> str:
    """Return a stored exception as Python would show it: ``ValueError: no seats``."""
    name, message = error.get("type", "Exception"), error.get("message", "")
    return f"{name}: {message}" if message else str(name)


def _result_of(recorded: Interaction) -> Any:
    response = recorded.response
    if isinstance(response, dict) and isinstance(response.get("$stream"), dict):
        return [_decoded(item) for item in response["$stream"].get("items") or ()]
    return _decoded(response)


def _decoded(stored: JSON) -> Any:
    """Return a recorded value; JSON of an MCP server that has a ``$type`` of its own stays JSON."""
    try:
        return values.decode(stored)
    except CassetteCorruptError:
        return copy.deepcopy(stored)


def _usage(counted: TokenTotals) -> dict[str, int]:
    return dict(counted)


def _text_or_none(value: JSON) -> str | None:
    return value if isinstance(value, str) and value else None

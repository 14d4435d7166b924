"""What the server needs to know of a provider's way of speaking, and what the dialects share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tests.standin.ids import Ids
from tests.standin.script import JSON, Answer, Failure, Headers

STARTED_AT = 1_764_000_000  # the provider's clock stands still, so recording again changes nothing


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a dialect sees it.

    Attributes:
        body: The decoded JSON body.
        model: The model asked for.
        streamed: Whether the client wants events.
        ids: The identifiers of this response.
        history: Items of earlier responses by id, for an API that lets the client refer to them.
        as_sse: False for the few APIs that can stream a JSON array instead.
    """

    body: dict[str, JSON]
    model: str
    streamed: bool
    ids: Ids
    history: dict[str, list[JSON]] = field(default_factory=dict)
    as_sse: bool = True


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the client offers."""

    name: str
    description: str
    parameters: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class Conversation:
    """The part of a request that decides the answer.

    Attributes:
        question: The last thing the user said.
        tools: What the client offers.
        results: Tool results since the question, decoded where they are JSON.
        schema: The JSON schema that the answer must follow.
        must_call: True when the client insists on a tool.
    """

    question: str
    tools: tuple[ToolSpec, ...] = ()
    results: tuple[JSON, ...] = ()
    schema: dict[str, JSON] | None = None
    must_call: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A provider's API.

    Attributes:
        route: Path pattern; any prefix is fine, so Azure, OpenRouter and the like are served too.
        required: Body fields without which the real API answers 400.
        read: Return the conversation.
        complete: Return the body of an answer that is not streamed.
        events: Return the events of a streamed answer, each as it goes onto the wire.
        refuse: Return the body of an error.
        headers: Return the headers the provider sends besides content type and length.
    """

    route: str
    required: tuple[str, ...]
    read: Callable[[Call], Conversation]
    complete: Callable[[Call, Answer], bytes]
    events: Callable[[Call, Answer], Sequence[bytes]]
    refuse: Callable[[Call, Failure], bytes]
    headers: Callable[[Call], Headers]


def compact(value: JSON) -> bytes:
    """Return *value* as JSON without a blank."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def pretty(value: JSON, indent: int = 2) -> bytes:
    """Return *value* as indented JSON with a final newline, as several providers send it."""
    return (json.dumps(value, indent=indent, ensure_ascii=False) + "\n").encode()


def named_event(value: dict[str, JSON], padding: int = 0) -> bytes:
    """Return the server-sent event that carries *value* and is named by its type, *padding* blanks before its end."""
    name = str(value["type"]).encode()
    return b"event: " + name + b"\ndata: " + compact(value)[:-1] + b" " * padding + b"}\n\n"


def pieces(words: str) -> list[str]:
    """Cut a text where tokens usually end; joined, the pieces are the text."""
    return re.findall(r"\s*\S{1,12}|\s+", words)


def argument_pieces(arguments: str, width: int = 6) -> list[str]:
    """Cut the JSON text of tool arguments as streams do, in the middle of names and values."""
    return [arguments[start : start + width] for start in range(0, len(arguments), width)]


def count_tokens(value: JSON) -> int:
    """Return a plausible number of tokens, the same for the same content."""
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return max(1, round(len(words) / 4))


def answer_tokens(answer: Answer) -> int:
    """Return a plausible number of output tokens."""
    calls = sum(8 + count_tokens(call.name) + count_tokens(call.arguments_json) for call in answer.tool_calls)
    return calls + (count_tokens(answer.text) if answer.text else 0)


def text_of(content: JSON) -> str:
    """Return the text of a message content: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if isinstance(part, dict) and "text" in part)


def decoded(result: JSON) -> JSON:
    """Return a tool result as a value: JSON text is decoded, other text stays."""
    if not isinstance(result, str):
        return result
    try:
        return json.loads(result)
    except ValueError:
        return result


def function_spec(function: dict[str, JSON], parameters: Iterable[str] = ("parameters",)) -> ToolSpec:
    """Return the tool that *function* declares; *parameters* are the names its schema may have."""
    schema: dict[str, JSON] = next((function[name] for name in parameters if name in function), {})
    return ToolSpec(function.get("name", ""), function.get("description") or "", schema)

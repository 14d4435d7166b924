"""One call in words and in numbers: its name, the line that describes it, its tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote

from pytest_agenttape.errors import FieldDiff
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.reading.one_line import ABSENT, WIDTH, double_quoted, shorten, visible

_CONVERSATIONS = ("messages", "input", "contents", "prompt")

_IN_CONVERSATION = re.compile(rf"json\.(?P<list>{'|'.join(_CONVERSATIONS)})(?:\[(?P<place>\d+)\])?")

_ROLES = {
    "system": "the system prompt",
    "developer": "the system prompt",
    "user": "the user's message",
    "assistant": "the model's message",
    "model": "the model's message",
    "function_call": "the model's message",
    "tool": "a tool result",
    "function_call_output": "a tool result",
}

_PARTS = (
    (r"json\.(?:system|instructions|systemInstruction|system_instruction)\b", "the system prompt"),
    (r"json\.tools\b", "the list of tools"),
    (r"json\.model$", "the model"),
    (r"args\.(\w+)", r"the argument \1"),
    (r"url$", "the URL"),
    (r"headers\.([\w-]+)", r"the header \1"),
)

# The texts of a request or an answer of the known providers are found under these names.
_SAID_UNDER = frozenset(
    (
        *("content", "text", "thinking", "reasoning_content", "refusal", "instructions", "system", "prompt"),
        *("input", "output", "arguments", "partial_json"),
    )
)


class Call(Protocol):
    """Anything that names a call: an `Interaction`, or a request that has no recording."""

    @property
    def kind(self) -> str:
        """One of `KINDS`."""

    @property
    def boundary(self) -> str | None:
        """Name of the tool or provider operation."""

    @property
    def request(self) -> Mapping[str, JSON]:
        """The request in stored form."""


def call_name(call: Call) -> str:
    """Return the name under which *call* is listed: its boundary, else method and address."""
    if call.boundary:
        return visible(call.boundary, WIDTH)
    if "url" in call.request:
        address = str(call.request["url"]).partition("?")[0]
        return visible(f"{call.request.get('method', 'GET')} {address}", 2 * WIDTH)
    return call.kind


def asked_line(call: Call) -> str:
    """Return what *call* asked for: ``get_weather(city='Berlin')`` or ``POST https://… (openai.chat)``."""
    if "url" in call.request:
        line = visible(f"{call.request.get('method', 'GET')} {call.request['url']}", 200)
        return f"{line} ({visible(call.boundary, WIDTH)})" if call.boundary else line
    return f"{call_name(call)}({_shown_arguments(call.request)})"


def summary_line(call: Call) -> str:
    """Return one line that tells *call* from its neighbours: ``#4 tool get_weather(city='London')``."""
    index = getattr(call, "index", None)
    number = "" if index is None else f"#{index} "
    if call.kind == "llm":
        return f"{number}llm {_llm_summary(call)}"
    return f"{number}{call.kind} {asked_line(call)}"


def calls_in_words(numbers: Sequence[int]) -> str:
    """Return *numbers* as a phrase: ``call 4``, ``calls 4 and 6``, ``calls 4 to 9``, ``calls 1, 4 and 7``."""
    if len(numbers) == 1:
        return f"call {numbers[0]}"
    if len(numbers) > 2 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"calls {numbers[0]} to {numbers[-1]}"
    if len(numbers) > 12:
        return f"{len(numbers)} calls from {numbers[0]} to {numbers[-1]}"
    return f"calls {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def what_changed(diff: FieldDiff, recorded: Mapping[str, JSON], asked: Mapping[str, JSON]) -> str:
    """Return where two requests differ in words: ``the system prompt changed at messages[0]``."""
    verb = {diff.recorded: "is new", diff.asked: "is gone"}.get(ABSENT, "changed")
    found = _IN_CONVERSATION.match(diff.path)
    if found:
        said = _message(recorded if verb == "is gone" else asked, found["list"], found["place"])
        return f"{_thing_said(said)} {verb} at {found['list']}{'[' + found['place'] + ']' if found['place'] else ''}"
    for pattern, thing in _PARTS:
        part = re.match(pattern, diff.path)
        if part:
            return f"{part.expand(thing)} {verb}"
    return f"{diff.path} {verb}"


@dataclass(frozen=True, slots=True)
class TokenTotals:
    """The tokens of some calls; `estimated` when a call among them had no usage block."""

    input: int = 0
    output: int = 0
    total: int = 0
    estimated: bool = False


def tokens(interaction: Interaction) -> tuple[int, int]:
    """Return the (input, output) tokens of one call, from its usage block or estimated."""
    counted = count_tokens(interaction)
    return counted.input, counted.output


def total_tokens(interactions: Iterable[Interaction]) -> TokenTotals:
    """Return the sum of the tokens of *interactions*."""
    counted = [count_tokens(each) for each in interactions]
    return TokenTotals(
        input=sum(each.input for each in counted),
        output=sum(each.output for each in counted),
        total=sum(each.total for each in counted),
        estimated=any(each.estimated for each in counted),
    )


def count_tokens(interaction: Interaction) -> TokenTotals:
    """Return the tokens of one call.

    An answered LLM call without a usage block is estimated: a quarter of the characters of its texts (prompts,
    messages, tool arguments), rounded up, for each side. Failed calls and other kinds count only what they report.
    """
    reported = _reported_tokens(interaction.usage or {})
    if reported is not None:
        return reported
    if interaction.kind != "llm" or _has_failed(interaction):
        return TokenTotals()
    given, taken = _estimate(interaction.request), _estimate(interaction.response)
    return TokenTotals(given, taken, given + taken, estimated=True)


def _reported_tokens(usage: Mapping[str, JSON]) -> TokenTotals | None:
    given = _whole(usage, "input_tokens", "prompt_tokens")
    taken = _whole(usage, "output_tokens", "completion_tokens")
    total = _whole(usage, "total_tokens")
    if given is None and taken is None:
        return None if total is None else TokenTotals(input=total, total=total)
    both = (given or 0) + (taken or 0)
    return TokenTotals(given or 0, taken or 0, both if total is None else total)


def _whole(usage: Mapping[str, JSON], *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _has_failed(interaction: Interaction) -> bool:
    response = interaction.response
    status = response.get("status") if isinstance(response, dict) else None
    return interaction.error is not None or (isinstance(status, int) and status >= 400)


def _estimate(body: JSON) -> int:
    characters = 0
    waiting: list[tuple[JSON, bool]] = [(body, not isinstance(body, dict | list))]
    while waiting:
        node, is_said = waiting.pop()
        if isinstance(node, dict):
            waiting += [(child, is_said or key in _SAID_UNDER) for key, child in node.items()]
        elif isinstance(node, list):
            waiting += [(child, is_said) for child in node]
        elif is_said and isinstance(node, str) and not _is_binary(node):
            characters += len(node)
    return -(-characters // 4)


def _is_binary(text: str) -> bool:
    return len(text) > 1_000 and not any(map(text[:1_000].__contains__, " \n"))


def _shown_arguments(request: Mapping[str, JSON]) -> str:
    arguments = request.get("args") if set(request) <= {"args"} else request
    if not isinstance(arguments, dict):
        return "" if arguments is None else shorten(arguments)
    room, shown = 2 * WIDTH, []
    for name, value in arguments.items():
        if room <= 0:
            shown.append("…")
            break
        shown.append(f"{visible(str(name), 40)}={shorten(value, min(room, WIDTH))}")
        room -= len(shown[-1]) + 2
    return ", ".join(shown)


def _llm_summary(call: Call) -> str:
    body = call.request.get("json", call.request.get("args", call.request))
    body = body if isinstance(body, dict) else {}
    model = _model_of(call, body)
    label, text = _last_words(body)
    named = f"{call_name(call)} {visible(model, WIDTH)}".rstrip()
    if not text:
        return named
    return f"{named}: {label}{double_quoted(text)}"


def _model_of(call: Call, body: Mapping[str, JSON]) -> str:
    metadata = getattr(call, "metadata", None) or {}
    model = metadata.get("model") or body.get("model")
    if not model:  # Gemini and Bedrock name it in the path
        found = re.search(r"/models?/([^/:?]+)", str(call.request.get("url", ""))[:2_000])
        model = unquote(found[1]) if found else ""
    return str(model)


def _last_words(body: Mapping[str, JSON]) -> tuple[str, str]:
    for name in _CONVERSATIONS:
        said = body.get(name)
        if isinstance(said, str):
            return "", said
        if isinstance(said, list) and said:
            return _words_of(said[-1])
    return "", ""


def _words_of(message: JSON) -> tuple[str, str]:
    if not isinstance(message, dict):
        return "", message if isinstance(message, str) else ""
    label = "tool result " if _is_result(message) else ""
    return label, _last_text(message)


def _message(request: Mapping[str, JSON], conversation: str, place: str | None) -> JSON:
    body = request.get("json")
    said = body.get(conversation) if isinstance(body, dict) else None
    if place is None or not isinstance(said, list) or int(place) >= len(said):
        return None
    return said[int(place)]


def _thing_said(message: JSON) -> str:
    if not isinstance(message, dict):
        return "the prompt"
    if _is_result(message):
        return "a tool result"
    return _ROLES.get(str(message.get("role") or message.get("type")), "the conversation")


def _is_result(message: Mapping[str, JSON]) -> bool:
    parts = message.get("content") or message.get("parts")
    parts = [each for each in parts if isinstance(each, dict)] if isinstance(parts, list) else []
    return (
        message.get("role") == "tool"
        or message.get("type") == "function_call_output"
        or any(
            each.get("type") == "tool_result" or not {"functionResponse", "toolResult"}.isdisjoint(each)
            for each in parts
        )
    )


def _last_text(node: JSON) -> str:
    """Return the text of the last part below *node* that has one: it is what was said last."""
    for _ in range(8):
        if isinstance(node, str):
            return node
        if isinstance(node, list) and node:
            node = node[-1]
            continue
        if not isinstance(node, dict):
            return ""
        names = ("text", "content", "parts", "output", "functionResponse", "toolResult", "response")
        node = next((node[name] for name in names if node.get(name)), None)
        if isinstance(node, dict) and not {"text", "content", "parts", "response"} & node.keys():
            return shorten(node)
    return ""

"""One call in words: its name, the line that describes it, what changed in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pytest_agenttape.errors import FieldDiff
from pytest_agenttape.model import JSON, Call, Interaction
from pytest_agenttape.providers import wording
from pytest_agenttape.providers.common_form import common_form
from pytest_agenttape.reading.one_line import ABSENT, WIDTH, double_quoted, shorten, visible

_PARTS = (
    (r"args\.(\w+)", r"the argument \1"),
    (r"url$", "the URL"),
    (r"headers\.([\w-]+)", r"the header \1"),
)


def call_name(call: Call | Interaction) -> str:
    """Return the name under which *call* is listed: its boundary, else method and address."""
    if call.boundary:
        return visible(call.boundary, WIDTH)
    if "url" in call.request:
        address = str(call.request["url"]).partition("?")[0]
        return visible(f"{call.request.get('method', 'GET')} {address}", 2 * WIDTH)
    return call.kind


def asked_line(call: Call | Interaction) -> str:
    """Return what *call* asked for: ``get_weather(city='Berlin')`` or ``POST https://… (openai.chat)``."""
    if "url" in call.request:
        line = visible(f"{call.request.get('method', 'GET')} {call.request['url']}", 200)
        return f"{line} ({visible(call.boundary, WIDTH)})" if call.boundary else line
    return f"{call_name(call)}({shown_arguments(arguments_of(call))})"


def summary_line(call: Interaction) -> str:
    """Return one line that distinguishes *call* from its neighbours: ``#4 tool get_weather(city='London')``."""
    call = common_form(call)
    said = _llm_summary(call) if call.kind == "llm" else asked_line(call)
    return f"#{call.index} {call.kind} {said}"


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
    there = recorded if verb == "is gone" else asked
    message = wording.message_at(diff.path, there)
    if message:
        speaker, place = message
        return f"{speaker} {verb} at {place}"
    tool = wording.tool_at(diff.path, there)
    if tool:
        return f"the tool {visible(tool, 40)} {verb}"
    named = wording.part_at(diff.path)
    if named:
        return f"{named} {verb}"
    for pattern, thing in _PARTS:
        part = re.match(pattern, diff.path)
        if part:
            return f"{part.expand(thing)} {verb}"
    return f"{diff.path} {verb}"


def shown_arguments(arguments: JSON) -> str:
    """Return *arguments* on one line: ``city='Berlin', days=2``."""
    if not isinstance(arguments, Mapping):
        return "" if arguments is None else shorten(arguments)
    room, shown = 2 * WIDTH, []
    for name, value in arguments.items():
        if room <= 0:
            shown.append("…")
            break
        shown.append(f"{visible(str(name), 40)}={shorten(value, min(room, WIDTH))}")
        room -= len(shown[-1]) + 2
    return ", ".join(shown)


def arguments_of(call: Call | Interaction) -> JSON:
    """Return the arguments of *call*, or all that it asked for, in stored form."""
    return call.request.get("args") if set(call.request) <= {"args"} else call.request


def _llm_summary(call: Interaction) -> str:
    body = call.request.get("json", call.request.get("args", call.request))
    body = body if isinstance(body, dict) else {}
    named = f"{call_name(call)} {visible(_model_of(call, body), WIDTH)}".rstrip()
    said, is_result = wording.last_words(body)
    if not said:
        return named
    text = said if isinstance(said, str) else shorten(said)
    return f"{named}: {'tool result ' if is_result else ''}{double_quoted(text)}"


def _model_of(call: Interaction, body: Mapping[str, JSON]) -> str:
    model = call.model or body.get("model")
    return str(model or wording.model_in_path(str(call.request.get("url", ""))))

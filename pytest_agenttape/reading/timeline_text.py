"""The lines of a timeline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from pytest_agenttape.model import JSON
from pytest_agenttape.reading import lines
from pytest_agenttape.reading.lines import Line, Part
from pytest_agenttape.reading.one_line import digest, visible
from pytest_agenttape.reading.steps import HIDDEN, Step

_WIDTH = 100
_MAX_TEXT = 4_000  # of one text; the digest of the rest still reveals a change
_MAX_DEPTH = 12  # of what is laid out over lines


def step_lines(step: Step, notes: Mapping[int, str] = MappingProxyType({})) -> Iterator[Line]:
    """Yield the lines of *step* and of the calls that its body made; *notes* are added to calls, by their index."""
    head, *arguments = _head_lines(step)
    yield Line(head, "call", notes.get(step.index, ""))
    yield from map(Line, arguments)
    messages = step.parts.get("messages")
    for message in messages if isinstance(messages, list) else ():
        yield from lines.indented(map(Line, _message_lines(message)))
    for nested in step.calls:
        yield from lines.indented(step_lines(nested, notes))
    part: Part = "failure" if "error" in step.parts else "plain"
    yield from lines.indented(Line(each, part) for each in _outcome_lines(step))


def final_output_lines(value: JSON) -> list[str]:
    """Return the lines for the final output."""
    return _labelled("final output:", _said(value))


def _head_lines(step: Step) -> list[str]:
    parts = step.parts
    if step.kind == "http" and ("url" in parts or step.name == step.kind):
        head = f"http {_word(parts.get('method'))} {_word(parts.get('url'))}".rstrip()
        return [head, *_indented(_labelled("body:", _value_lines(parts["body"])))] if "body" in parts else [head]
    head = f"{step.kind} {visible(step.name)}"
    if "model" in parts:
        head = f"{head} {_word(parts['model'])}".rstrip()
    if parts.get("messages") is HIDDEN:
        return [head, "  …"]
    instance = f" (instance {_word(parts['instance'])})" if "instance" in parts else ""
    return _call_head(head, parts["args"], instance) if "args" in parts else [f"{head}{instance}"]


def _call_head(head: str, arguments: JSON, instance: str) -> list[str]:
    if not isinstance(arguments, Mapping):
        return [f"{head}({_flat(arguments)}){instance}"]
    line = f"{head}({_pairs(arguments)}){instance}"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{head}(...){instance}", *_indented(_mapping_lines(arguments, 0))]


def _message_lines(message: JSON) -> Iterator[str]:
    if not isinstance(message, Mapping):
        yield _flat(message)
        return
    role = _word(message.get("role", "message"))
    if "asks" not in message or message.get("content"):
        yield from _labelled(f"{role}:", _said(message.get("content", HIDDEN)))
    yield from _asking(role, message.get("asks"))


def _asking(who: str, asks: JSON) -> Iterator[str]:
    for each in asks if isinstance(asks, list) else [] if asks is None else [asks]:
        for name, arguments in each.items() if isinstance(each, Mapping) else [("…", HIDDEN)]:
            shown = _pairs(arguments) if isinstance(arguments, Mapping) else _flat(arguments)
            yield f"{who} asks {visible(str(name))}({shown})"


def _outcome_lines(step: Step) -> Iterator[str]:
    parts = step.parts
    if "text" in parts:
        yield from _labelled("->", _said(parts["text"]) if parts["text"] != "" else ["(no text)"])
    yield from _asking("->", parts.get("asks"))
    for name, verb in (("yields", "yields "), ("returns", "returns "), ("result", "")):
        if name in parts:
            yield from _labelled(f"-> {_status(parts)}{verb}".rstrip(), _result_lines(parts[name]))
    if "status" in parts and "result" not in parts:
        yield f"-> {_word(parts['status'])}"
    if "error" in parts:
        yield from _labelled("-> failed:" if "model" in parts else "-> raises", _said(parts["error"]))
    if "complete" in parts:
        yield "-> (its reader stopped early)"


def _status(parts: Mapping[str, JSON]) -> str:
    return f"{_word(parts['status'])} " if "status" in parts else ""


def _word(value: object) -> str:
    return "" if value is None else visible(value) if isinstance(value, str) else repr(value)


def _labelled(label: str, lines: Sequence[str]) -> list[str]:
    """Return *lines* after *label*: on its line if there is only one and it is not a block, else below."""
    if len(lines) == 1 and not lines[0].startswith(("| ", "- ")):
        return [f"{label} {lines[0]}"]
    return [label, *_indented(lines)]


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _said(value: JSON) -> list[str]:
    """Return a message's content as lines: text bare, anything else as a value."""
    if not isinstance(value, str):
        return _value_lines(value)
    return _text_lines(value) if "\n" in value else [visible(_cut(value))]


def _result_lines(value: JSON) -> list[str]:
    return _text_lines(value) if isinstance(value, str) and "\n" in value else _value_lines(value)


def _text_lines(text: str) -> list[str]:
    return [f"| {visible(line)}".rstrip() for line in _cut(text).split("\n")]


def _cut(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    return f"{text[:_MAX_TEXT]}… ({len(text)} characters, sha256 {digest(text)})"


def _value_lines(value: JSON, depth: int = 0) -> list[str]:
    flat = _flat(value)
    if len(flat) <= _WIDTH or depth > _MAX_DEPTH:
        return [flat]
    if isinstance(value, str) and "\n" in value:
        return _text_lines(value)
    if isinstance(value, Mapping):
        return _mapping_lines(value, depth)
    if isinstance(value, list):
        return [line for item in value for line in _item_lines(_value_lines(item, depth + 1))]
    return [flat]


def _mapping_lines(value: Mapping[str, JSON], depth: int) -> list[str]:
    return [
        line
        for key, each in value.items()
        for line in _labelled(f"{visible(str(key), _WIDTH)}:", _value_lines(each, depth + 1))
    ]


def _item_lines(lines: Sequence[str]) -> list[str]:
    return [f"- {lines[0]}", *_indented(lines[1:])]


def _flat(value: JSON, depth: int = 0) -> str:
    if depth > _MAX_DEPTH:
        return visible(_cut(json.dumps(value, ensure_ascii=False, default=repr)))
    if isinstance(value, Mapping):
        if isinstance(value.get("$type"), str):
            return _flat_typed(value, depth)
        return "{" + ", ".join(f"{str(key)!r}: {_flat(each, depth + 1)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flat(each, depth + 1) for each in value) + "]"
    return visible(repr(_cut(value) if isinstance(value, str) else value))


def _flat_typed(value: Mapping[str, JSON], depth: int) -> str:
    """Return a typed value as the call that would make it: ``datetime('2026-06-17T12:00:00')``, ``Order(id=7)``."""
    name = str(value["$type"]).rpartition(":")[2]
    rest = {key: each for key, each in value.items() if key != "$type"}
    if rest.keys() == {"value"}:
        return f"{visible(name)}({_flat(rest['value'], depth + 1)})"
    fields = rest["fields"] if rest.keys() == {"fields"} and isinstance(rest["fields"], Mapping) else rest
    return f"{visible(name)}({_pairs(fields, depth)})"


def _pairs(arguments: Mapping[str, JSON], depth: int = 0) -> str:
    return ", ".join(f"{visible(str(name))}={_flat(each, depth + 1)}" for name, each in arguments.items())

"""The timeline of a run as a person reads it in a snapshot: calls, arguments, results; no ids, times or headers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import JSON, KINDS, Interaction
from pytest_agenttape.providers import VIEWS, operation_of
from pytest_agenttape.providers.tolerant import payloads
from pytest_agenttape.reading.calls import LLMCall, error_text, in_call_order
from pytest_agenttape.reading.diff import canonical_request
from pytest_agenttape.reading.one_line import visible

FINAL_OUTPUT = "final_output"
# The parts of a step that `only` and `exclude` name, alone or as the beginning of a path.
PARTS = (
    *("args", "instance", "result", "yields", "returns", "complete", "error"),
    *("model", "messages", "text", "asks"),
    *("method", "url", "body", "status"),
)

_WIDTH = 100
_MAX_TEXT = 4_000  # of one text; the digest of the rest still tells a change
_MAX_DEPTH = 12  # of what is laid out over lines
_MAX_NESTING = 150  # of what is looked into at all: the depth is the input's choice, the stack is not
_BODIES = ("json", "form", "events", "text", "body_b64")
_NUMBERED = re.compile(r"(REDACTED|\*{4})[0-9]{4}")
_NO_VALUE: Final = object()


class _Hidden:
    """Stands where a part was left out."""

    def __repr__(self) -> str:
        return "…"


HIDDEN: Final = _Hidden()


@dataclass(frozen=True, slots=True)
class Step:
    """One call: its kind and name, what is shown of it, and the calls that its body made."""

    kind: str
    name: str
    parts: Mapping[str, JSON]
    calls: tuple[Step, ...] = ()


class View:
    """A timeline as text or as plain data.

    No dataclass: snapshot tools show an object by its `repr`, which is the text, but list the fields of a dataclass.
    """

    def __init__(self, steps: Sequence[Step], final_output: object = _NO_VALUE) -> None:
        self.steps = tuple(steps)
        self._final_output = final_output

    def __repr__(self) -> str:
        lines = [line for step in self.steps for line in _step_lines(step)] or ["(no calls)"]
        if self._final_output is not _NO_VALUE:
            lines += _labelled("final output:", _said(self._final_output))
        return "\n".join(lines)

    def data(self) -> list[JSON]:
        """Return the timeline as plain values: one mapping for each call."""
        steps = [_step_data(step) for step in self.steps]
        return steps if self._final_output is _NO_VALUE else [*steps, {FINAL_OUTPUT: _plain(self._final_output)}]


def timeline(
    interactions: Sequence[Interaction],
    *,
    only: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
    final_output: object = _NO_VALUE,
    rules: KeyRules | None = None,
    names: Iterable[str] = (),
) -> View:
    """Return the view of *interactions*.

    Args:
        only: Kinds, boundary names or dotted paths; nothing else is shown.
        exclude: The same, left out. A path (``args.now``, ``get_weather.result.id``, ``messages.*.content``) leaves
            a ``…`` in its place.
        final_output: What the test says came out, in stored form; shown last.
        rules: What of an HTTP request is volatile.
        names: Boundary names that may be named although the run has no call of them.

    Raises:
        ConfigError: A token is no kind, part or known boundary.
    """
    tree = _tree(interactions, rules or KeyRules())
    known = frozenset((*names, *_names(tree)))
    kept, hidden = _tokens(only, "only", known), _tokens(exclude, "exclude", known)
    steps: Iterable[Step] = tree
    if kept:
        steps = _pruned(steps, lambda step: _kept_parts(step, kept))
    if hidden:
        steps = _pruned(steps, lambda step: _left_parts(step, hidden))
    return View(tuple(steps), _final(final_output, kept, hidden))


PartsOf: TypeAlias = Callable[[Step], Mapping[str, JSON] | None]


# From interactions to steps


def _tree(interactions: Sequence[Interaction], rules: KeyRules) -> list[Step]:
    conversations: list[list[dict[str, JSON]]] = []
    parts: dict[int, Mapping[str, JSON]] = {}
    ordered = in_call_order(interactions)
    for each in ordered:  # in the order of the run: a conversation is shown as far as it is new
        parts[each.index] = _parts(each, rules, conversations)
    below: dict[int, list[Step]] = {}
    top: list[Step] = []
    for each in reversed(ordered):  # children come before their parents
        nested = tuple(reversed(below.get(each.index, ())))
        step = Step(each.kind, _name(each, parts[each.index]), parts[each.index], nested)
        parent = each.metadata.get("parent")
        (below.setdefault(parent, []) if parent in parts else top).append(step)
    return top[::-1]


def _name(interaction: Interaction, parts: Mapping[str, JSON]) -> str:
    if interaction.boundary or "url" not in parts:
        return interaction.boundary or interaction.kind
    return f"{parts['method']} {str(parts['url']).partition('?')[0]}"


def _parts(interaction: Interaction, rules: KeyRules, conversations: list[list[dict[str, JSON]]]) -> dict[str, JSON]:
    if operation_of(interaction) is not None and "url" in interaction.request:
        parts = _llm_parts(interaction, conversations)
    elif "url" in interaction.request:
        parts = _http_parts(interaction, rules)
    else:
        parts = _call_parts(interaction)
    return {name: _unnumbered(part) for name, part in parts.items()}


def _llm_parts(interaction: Interaction, conversations: list[list[dict[str, JSON]]]) -> dict[str, JSON]:
    call = LLMCall.of(interaction)
    said = [_message(each) for each in call.messages]
    parts: dict[str, JSON] = {"model": call.model, "messages": _news(said, conversations)}
    conversations.append(said)
    asks = [{each.name: each.arguments} for each in call.tool_calls]
    answer = {"role": "assistant", "content": call.text, **({"asks": asks} if asks else {})}
    conversations[-1] = [*said, answer]
    if call.error:
        return {**parts, "error": call.error}
    if call.text or not asks:
        parts["text"] = call.text
    return {**parts, "asks": asks} if asks else parts


def _message(message: Mapping[str, JSON]) -> dict[str, JSON]:
    shown = {"role": message.get("role", "unknown"), "content": message.get("content", "")}
    asks = [{each["name"]: each["arguments"]} for each in message.get("tool_calls", ()) if "name" in each]
    return {**shown, "asks": asks} if asks else shown


def _news(said: list[dict[str, JSON]], conversations: list[list[dict[str, JSON]]]) -> list[dict[str, JSON]]:
    """Return the messages that go beyond the latest earlier conversation which *said* continues."""
    for earlier in reversed(conversations):
        for known in (earlier, earlier[:-1]):  # with the answer it got, or without
            if known and said[: len(known)] == known:
                return said[len(known) :]
    return said


def _http_parts(interaction: Interaction, rules: KeyRules) -> dict[str, JSON]:
    request = canonical_request(interaction.request, rules)
    parts: dict[str, JSON] = {"method": request.get("method", "GET"), "url": request["url"], **_body(request, "body")}
    if interaction.error is not None:
        return {**parts, "error": error_text(interaction.error)}
    response = interaction.response if isinstance(interaction.response, dict) else {}
    parts["status"] = response.get("status")
    return {**parts, **_body(response, "result"), **_incomplete(response)}


def _body(stored: Mapping[str, JSON], name: str) -> dict[str, JSON]:
    form = next((form for form in _BODIES if form in stored), None)
    if form is None:
        return {}
    if form == "events":
        return {name: payloads(stored) or stored["events"]}
    if form == "body_b64":
        encoded = str(stored[form])
        return {name: f"({len(encoded.rstrip('=')) * 3 // 4} bytes, sha256 {_digest(encoded)})"}
    return {name: stored[form]}


def _call_parts(interaction: Interaction) -> dict[str, JSON]:
    request = interaction.request
    parts: dict[str, JSON] = {"args": request.get("args", {} if "instance" in request else request)}
    if "instance" in request:
        parts["instance"] = request["instance"]
    if interaction.error is not None:
        after = interaction.error.get("after")
        return {**parts, **({"yields": after} if after else {}), "error": error_text(interaction.error)}
    response = interaction.response
    stream = response.get("$stream") if isinstance(response, dict) else None
    if not isinstance(stream, dict):
        return {**parts, "result": response}
    parts["yields"] = stream.get("items") or []
    if stream.get("return") is not None:
        parts["returns"] = stream["return"]
    return {**parts, **_incomplete(stream)}


def _incomplete(stored: Mapping[str, JSON]) -> dict[str, JSON]:
    return {"complete": False} if stored.get("complete") is False else {}


def _unnumbered(node: JSON, depth: int = 0) -> JSON:
    """Return *node* with placeholders less their numbers, which are those of one recording."""
    if isinstance(node, str):
        return _NUMBERED.sub(r"\1", node)
    if depth > _MAX_NESTING:
        return node
    if isinstance(node, dict):
        return {key: _unnumbered(value, depth + 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_unnumbered(value, depth + 1) for value in node]
    return node


# only and exclude


def _names(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        yield step.name
        yield from _names(step.calls)


@dataclass(frozen=True, slots=True)
class _Token:
    """What one word of `only` or `exclude` names: a call (no path), a path in one call, or a path in all (no name)."""

    name: str | None
    path: tuple[str, ...] = ()

    def names(self, step: Step) -> bool:
        return self.name in (None, step.kind, step.name)


def _tokens(given: Iterable[str] | str | None, what: str, known: frozenset[str]) -> list[_Token]:
    listed = [given] if isinstance(given, str) else list(given or ())
    return [_token(each, what, known) for each in listed]


def _token(given: object, what: str, known: frozenset[str]) -> _Token:
    if not isinstance(given, str) or not given:
        raise ConfigError(f"{what} takes kinds, boundary names or dotted paths, found {given!r}")
    boundaries = {*known, *(boundary for view in VIEWS for boundary in view.operations)}
    for name in sorted((*KINDS, *boundaries), key=len, reverse=True):
        if given == name:
            return _Token(name)
        if given.startswith(f"{name}.") and _leads_somewhere(path := _path(given[len(name) + 1 :])):
            return _Token(name, path)
    if _leads_somewhere(path := _path(given)) or path[:1] == (FINAL_OUTPUT,):
        return _Token(None, path)
    raise ConfigError(
        f"{what}={given!r} names no call of this run and no part of one.\n"
        f"  kinds: {', '.join(KINDS)}\n"
        f"  boundaries: {', '.join(sorted(known)) or '(none)'}\n"
        f"  paths begin with: {', '.join((*PARTS, FINAL_OUTPUT))}"
    )


def _leads_somewhere(path: tuple[str, ...]) -> bool:
    return bool(path) and path[0] in PARTS


def _path(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^.\[\]]+", text))


def _pruned(steps: Iterable[Step], parts_of: PartsOf) -> Iterator[Step]:
    """Yield the steps of which something is left; the nested calls of one that goes take its place."""
    for step in steps:
        nested = tuple(_pruned(step.calls, parts_of))
        parts = parts_of(step)
        if parts is None:
            yield from nested
        else:
            yield replace(step, parts=parts, calls=nested)


def _kept_parts(step: Step, tokens: Sequence[_Token]) -> Mapping[str, JSON] | None:
    mine = [token for token in tokens if token.names(step)]
    if any(not token.path for token in mine):
        return step.parts
    picked = _picked(step.parts, [token.path for token in mine])
    return picked if picked else None


def _left_parts(step: Step, tokens: Sequence[_Token]) -> Mapping[str, JSON] | None:
    mine = [token for token in tokens if token.names(step)]
    if any(not token.path for token in mine):
        return None
    left: Mapping[str, JSON] = _covered(step.parts, [token.path for token in mine])
    return left


def _picked(node: JSON, paths: Sequence[tuple[str, ...]]) -> JSON:
    """Return what of *node* the *paths* lead to."""
    if any(not path for path in paths):
        return node
    if isinstance(node, list):
        return [_picked(each, below) for n, each in enumerate(node) if (below := _below(paths, str(n)))]
    if isinstance(node, Mapping):
        return {key: _picked(each, below) for key, each in node.items() if (below := _below(paths, key))}
    return HIDDEN


def _covered(node: JSON, paths: Sequence[tuple[str, ...]]) -> JSON:
    """Return *node* with ``…`` in place of what the *paths* lead to."""
    if not paths:
        return node
    if any(not path for path in paths):
        return HIDDEN
    if isinstance(node, list):
        return [_covered(each, _below(paths, str(n))) for n, each in enumerate(node)]
    if isinstance(node, Mapping):
        return {key: _covered(each, _below(paths, key)) for key, each in node.items()}
    return node


def _below(paths: Sequence[tuple[str, ...]], key: str) -> list[tuple[str, ...]]:
    return [path[1:] for path in paths if path[0] in (key, "*")]


def _final(final_output: object, kept: Sequence[_Token], hidden: Sequence[_Token]) -> object:
    if final_output is _NO_VALUE:
        return _NO_VALUE
    mine = [token.path for token in kept if token.path[:1] == (FINAL_OUTPUT,)]
    if kept and not mine:
        return _NO_VALUE
    covering = [token.path for token in hidden if token.path[:1] == (FINAL_OUTPUT,)]
    return _covered({FINAL_OUTPUT: _unnumbered(final_output)}, covering)[FINAL_OUTPUT]


# From steps to text


def _step_lines(step: Step) -> Iterator[str]:
    yield from _head_lines(step)
    messages = step.parts.get("messages")
    for message in messages if isinstance(messages, list) else ():
        yield from _indented(_message_lines(message))
    for nested in step.calls:
        yield from _indented(_step_lines(nested))
    yield from _indented(_outcome_lines(step))


def _head_lines(step: Step) -> list[str]:
    parts = step.parts
    if step.kind == "http":
        head = f"http {_word(parts.get('method'))} {_word(parts.get('url'))}".rstrip()
        return [head, *_indented(_labelled("body:", _value_lines(parts["body"])))] if "body" in parts else [head]
    head = f"{step.kind} {visible(step.name)}"
    if "model" in parts:
        head += f" {_word(parts['model'])}"
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
    """Return *lines* after *label*: beside it when there is one that is no block, else below."""
    if len(lines) == 1 and not lines[0].startswith(("| ", "- ")):
        return [f"{label} {lines[0]}"]
    return [label, *_indented(lines)]


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _said(value: JSON) -> list[str]:
    """Return what somebody said as lines: text bare, anything else as a value."""
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
    return f"{text[:_MAX_TEXT]}… ({len(text)} characters, sha256 {_digest(text)})"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


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


# From steps to data


def _step_data(step: Step) -> dict[str, JSON]:
    shown = {name: _plain(part) for name, part in step.parts.items() if step.kind != "http" or name != "method"}
    out: dict[str, JSON] = {step.kind: step.name, **shown}
    return {**out, "calls": [_step_data(each) for each in step.calls]} if step.calls else out


def _plain(node: object, depth: int = 0) -> JSON:
    if node is HIDDEN:
        return "…"
    if depth > _MAX_NESTING:
        return node
    if isinstance(node, Mapping):
        return {str(key): _plain(each, depth + 1) for key, each in node.items()}
    return [_plain(each, depth + 1) for each in node] if isinstance(node, list | tuple) else node

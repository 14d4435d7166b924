"""The model behind the stand-in: a few rules, good enough to hold the examples' conversations, always the same."""

from __future__ import annotations

import json
import re

from tests.standin.dialect import Conversation, ToolSpec
from tests.standin.script import JSON, Answer, ToolCall

_WORD = re.compile(r"[a-z0-9]+")
_PLACE = re.compile(r"\b(?:in|for|from|to|and|,)\s+((?:[A-Z][\w'-]+)(?:\s+[A-Z][\w'-]+)*)")
_EXACTLY = re.compile(r"(?:reply|answer|respond) with exactly:?\s*(.+)", re.IGNORECASE | re.DOTALL)
_COMMON_WORDS = """
    a an and are at be by can do does for from get give has have how i in is it me my of on or please return should
    take tell that the this to use we what when where which who will with you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_PLACE_NAMES = ("city", "location", "place", "town")


def think(conversation: Conversation) -> Answer:
    """Return what the model says next."""
    if conversation.results:
        return Answer(_structured(conversation) or " ".join(map(_sentence, conversation.results)))
    tool = _wanted_tool(conversation)
    if tool is not None:
        return Answer(None, _calls(tool, conversation.question))
    return Answer(_structured(conversation) or _plain_answer(conversation.question))


def _wanted_tool(conversation: Conversation) -> ToolSpec | None:
    asked = _words(conversation.question)
    scored = [(len(asked & _words(f"{tool.name} {tool.description}")), tool) for tool in conversation.tools]
    best = max(scored, key=lambda pair: pair[0], default=(0, None))
    if best[0] > 0:
        return best[1]
    return conversation.tools[0] if conversation.must_call and conversation.tools else None


def _calls(tool: ToolSpec, question: str) -> tuple[ToolCall, ...]:
    """Return one call for each place the question names, or a single one."""
    places = _PLACE.findall(question)
    takes_place = any(name in tool.parameters.get("properties", {}) for name in _PLACE_NAMES)
    if takes_place and places:
        return tuple(ToolCall(tool.name, _instance(tool.parameters, question, place)) for place in places)
    return (ToolCall(tool.name, _instance(tool.parameters, question, question)),)


def _structured(conversation: Conversation) -> str | None:
    if conversation.schema is None:
        return None
    places = _PLACE.findall(conversation.question)
    made = _instance(conversation.schema, conversation.question, places[0] if places else conversation.question)
    return json.dumps(made, separators=(",", ":"), ensure_ascii=False)


def _instance(schema: dict[str, JSON], question: str, place: str, name: str = "") -> JSON:
    """Return a value that follows *schema*, taken from the question where it can be."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = str(schema.get("type", "object" if "properties" in schema else "string")).lower()
    if kind == "object":
        wanted = schema.get("required", ())
        properties = schema.get("properties", {})
        return {each: _instance(properties[each], question, place, each) for each in properties if each in wanted}
    if kind == "array":
        return [_instance(schema.get("items", {}), question, place, name)]
    if kind in ("integer", "number"):
        number = re.search(r"\d+", question)
        return int(number[0]) if number else 1
    if kind == "boolean":
        return True
    return place if name in _PLACE_NAMES else question


def _sentence(result: JSON) -> str:
    if not isinstance(result, dict):
        return f"The answer is {result if isinstance(result, str) else json.dumps(result)}."
    if {"city", "temperature_c", "conditions"} <= result.keys():
        return f"It is {result['temperature_c']} °C with {result['conditions']} in {result['city']}."
    return "; ".join(f"{key}: {value}" for key, value in result.items()) + "."


def _plain_answer(question: str) -> str:
    exactly = _EXACTLY.search(question)
    if exactly:
        return exactly[1].strip()
    context, found, asked = question.rpartition("Question:")
    if found:
        return _from_context(context, asked)
    return f"You asked: {' '.join(question.split())}"


def _from_context(context: str, asked: str) -> str:
    """Return the line of the context that has most words in common with the question."""
    lines = [line.strip(" -\t") for line in context.splitlines() if line.strip() and not line.endswith(":")]
    words = _words(asked)
    best = max(lines, key=lambda line: len(words & _words(line)), default="")
    return best if words & _words(best) else "The context does not say."


def _words(words: str) -> frozenset[str]:
    return frozenset(_WORD.findall(words.lower())) - _COMMON

"""The parts of an LLM request in words, for all protocols: its model, its prompts, who said what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.registry import WORDS

TEXTS = frozenset(WORDS.texts)

_SAID_BY = {
    "system": "the system prompt",
    "user": "the user's message",
    "model": "the model's message",
    "tool": "a tool result",
}
_PARTS = (
    (re.compile(rf"json\.(?:{'|'.join(WORDS.system_prompts)})\b"), "the system prompt"),
    (re.compile(r"json\.tools\b"), "the list of tools"),
    (re.compile(r"json\.model$"), "the model"),
)
# Where a message has its text, and which of these can have more such names below them.
_TEXT_OF_MESSAGE = ("text", "content", "parts", "output", *WORDS.result_parts, "response")
_NESTED_TEXTS = frozenset(("text", "content", "parts", "response"))
_TOOL = re.compile(r"json\.tools\b[\w.\[\]]*\[\d+\]$")
_STEP = re.compile(r"\.?(\w+)")
_COUNT = re.compile(rf"response\.json\.(?:{'|'.join(WORDS.counts)})\b")
_IN_CONVERSATION = re.compile(rf"json\.(?P<list>{'|'.join(WORDS.conversations)})\b(?:\[(?P<place>\d+)\])?")
_MODEL_IN_PATH = re.compile(r"/models?/([^/:?]+)")  # as Gemini and Bedrock have it


def model_in_path(url: str) -> str:
    """Return the model that *url* names; empty if it names none."""
    found = _MODEL_IN_PATH.search(url[:2_000])
    return unquote(found[1]) if found else ""


def part_at(path: str) -> str | None:
    """Return the name of the part of a stored request at *path*: ``the system prompt``; None if it has none."""
    return next((thing for pattern, thing in _PARTS if pattern.match(path)), None)


def is_count(path: str) -> bool:
    """Return whether the *path* leads to a count of the tokens of an answer."""
    return _COUNT.match(path) is not None


def tool_at(path: str, request: Mapping[str, JSON]) -> str | None:
    """Return the name of the tool of *request* that *path* leads to; None if it leads elsewhere, or there is none."""
    if not _TOOL.match(path):
        return None
    node: JSON = dict(request)
    for step in _STEP.findall(path):
        if isinstance(node, list) and step.isdigit() and int(step) < len(node):
            node = node[int(step)]
        else:
            node = node.get(step) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        return None
    function = node.get("function")
    name = node.get("name") or (function.get("name") if isinstance(function, dict) else None)
    return name if isinstance(name, str) else None


def message_at(path: str, request: Mapping[str, JSON]) -> tuple[str, str] | None:
    """Return whose message of *request* the *path* leads into, and where that message is.

    ``("the user's message", "messages[1]")``; None if the path leads elsewhere.
    """
    found = _IN_CONVERSATION.match(path)
    if found is None:
        return None
    name, place = found["list"], found["place"]
    return _thing_said(_message(request, name, place)), f"{name}[{place}]" if place else name


def last_words(body: Mapping[str, JSON]) -> tuple[JSON, bool]:
    """Return what the conversation in *body* ends with, a text or data, and whether it is the result of a tool."""
    for name in WORDS.conversations:
        said = body.get(name)
        if isinstance(said, str):
            return said, False
        if isinstance(said, list) and said:
            last = said[-1]
            return (_last_said(last), _is_result(last)) if isinstance(last, str | dict) else ("", False)
    return "", False


def _message(request: Mapping[str, JSON], conversation: str, place: str | None) -> JSON:
    body = request.get("json")
    said = body.get(conversation) if isinstance(body, dict) else None
    if place is None or not isinstance(said, list) or int(place) >= len(said):
        return None
    return said[int(place)]


def _thing_said(message: JSON) -> str:
    if not isinstance(message, dict):
        return "the prompt"
    who = "tool" if _is_result(message) else _speaker(message)
    return _SAID_BY.get(who, "the conversation")


def _is_result(message: JSON) -> bool:
    if not isinstance(message, dict):
        return False
    parts = message.get("content") or message.get("parts")
    parts = [each for each in parts if isinstance(each, dict)] if isinstance(parts, list) else []
    return _speaker(message) == "tool" or any(
        each.get("type") in WORDS.result_parts or any(name in each for name in WORDS.result_parts) for each in parts
    )


def _speaker(message: Mapping[str, JSON]) -> str:
    return WORDS.roles.get(str(message.get("role") or message.get("type")), "")


def _last_said(node: JSON) -> JSON:
    """Return the text of the last part below *node* that has one, or its data: the last thing said."""
    for _ in range(8):
        if isinstance(node, str):
            return node
        if isinstance(node, list) and node:
            node = node[-1]
            continue
        if not isinstance(node, dict):
            return ""
        node = next((node[name] for name in _TEXT_OF_MESSAGE if node.get(name)), None)
        if isinstance(node, dict) and not _NESTED_TEXTS & node.keys():
            return node
    return ""

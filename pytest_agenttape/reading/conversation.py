"""The words that providers have for the parts of an LLM request: its model, its prompts, who said what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from pytest_agenttape.model import JSON
from pytest_agenttape.reading.one_line import shorten

# Where a request has its conversation, a list of messages or one text.
_CONVERSATIONS = ("messages", "input", "contents", "prompt")

# Other parts of a request: a pattern of their path, and what they are.
PARTS = (
    (r"json\.(?:system|instructions|systemInstruction|system_instruction)\b", "the system prompt"),
    (r"json\.tools\b", "the list of tools"),
    (r"json\.model$", "the model"),
)

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

# Where a message has its text, and which of these can have more such names below them.
_TEXTS = ("text", "content", "parts", "output", "functionResponse", "toolResult", "response")
_NESTED_TEXTS = frozenset(("text", "content", "parts", "response"))

_IN_CONVERSATION = re.compile(rf"json\.(?P<list>{'|'.join(_CONVERSATIONS)})(?:\[(?P<place>\d+)\])?")
_MODEL_IN_PATH = re.compile(r"/models?/([^/:?]+)")  # as Gemini and Bedrock have it


def model_in_path(url: str) -> str:
    """Return the model that *url* names; empty where it names none."""
    found = _MODEL_IN_PATH.search(url[:2_000])
    return unquote(found[1]) if found else ""


def last_words(body: Mapping[str, JSON]) -> tuple[str, bool]:
    """Return the last text of the conversation in *body*, and whether it is the result of a tool."""
    for name in _CONVERSATIONS:
        said = body.get(name)
        if isinstance(said, str):
            return said, False
        if isinstance(said, list) and said:
            last = said[-1]
            return (_last_text(last), _is_result(last)) if isinstance(last, str | dict) else ("", False)
    return "", False


def message_at(path: str, request: Mapping[str, JSON]) -> tuple[str, str] | None:
    """Return who or what says the message of *request* that *path* leads into, and where it is.

    ``("the user's message", "messages[1]")``; None where the path leads elsewhere.
    """
    found = _IN_CONVERSATION.match(path)
    if found is None:
        return None
    name, place = found["list"], found["place"]
    return _speaker(_message(request, name, place)), f"{name}[{place}]" if place else name


def _message(request: Mapping[str, JSON], conversation: str, place: str | None) -> JSON:
    body = request.get("json")
    said = body.get(conversation) if isinstance(body, dict) else None
    if place is None or not isinstance(said, list) or int(place) >= len(said):
        return None
    return said[int(place)]


def _speaker(message: JSON) -> str:
    if not isinstance(message, dict):
        return "the prompt"
    if _is_result(message):
        return "a tool result"
    return _ROLES.get(str(message.get("role") or message.get("type")), "the conversation")


def _is_result(message: JSON) -> bool:
    if not isinstance(message, dict):
        return False
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
        node = next((node[name] for name in _TEXTS if node.get(name)), None)
        if isinstance(node, dict) and not _NESTED_TEXTS & node.keys():
            return shorten(node)
    return ""

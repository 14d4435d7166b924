"""How requests of all protocols are spoken of: who says what in them, and what their parts are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.registry import WORDS

CONVERSATIONS = WORDS.conversations
TEXTS = frozenset(WORDS.texts)

_SAID_BY = {
    "system": "the system prompt",
    "user": "the user's message",
    "model": "the model's message",
    "tool": "a tool result",
}
_PARTS = (
    (re.compile(rf"(?:{'|'.join(WORDS.system_prompts)})\b"), "the system prompt"),
    (re.compile(r"tools\b"), "the list of tools"),
    (re.compile(r"model$"), "the model"),
)
_LAST_SAID = ("text", "content", "parts", "output", *WORDS.result_parts, "response")  # where a text is, likeliest first
_MODEL_IN_PATH = re.compile(r"/models?/([^/:?]+)")


def part_named(path: str) -> str | None:
    """Return what is at *path* of a request body in words: ``the system prompt``; None when it has no name."""
    return next((thing for pattern, thing in _PARTS if pattern.match(path)), None)


def thing_said(message: JSON) -> str:
    """Return what a message of a request is in words: ``the user's message``."""
    if not isinstance(message, Mapping):
        return "the prompt"
    if is_result(message):
        return _SAID_BY["tool"]
    return _SAID_BY.get(_speaker(message), "the conversation")


def is_result(message: Mapping[str, JSON]) -> bool:
    """Say whether a message of a request hands a tool's result to the model."""
    if _speaker(message) == "tool":
        return True
    parts = message.get("content") or message.get("parts")
    return isinstance(parts, list) and any(
        each.get("type") in WORDS.result_parts or any(name in each for name in WORDS.result_parts)
        for each in parts
        if isinstance(each, Mapping)
    )


def _speaker(message: Mapping[str, JSON]) -> str:
    return WORDS.roles.get(str(message.get("role") or message.get("type")), "")


def last_said(message: JSON) -> JSON:
    """Return the text of the last part of *message* that has one, or its data: it is what was said last."""
    node = message
    for _ in range(8):
        if isinstance(node, list) and node:
            node = node[-1]
            continue
        if not isinstance(node, Mapping):
            return node if isinstance(node, str) else ""
        node = next((node[name] for name in _LAST_SAID if node.get(name)), None)
        if isinstance(node, Mapping) and not any(name in node for name in ("text", "content", "parts", "response")):
            return node
    return ""


def model_in_path(url: str) -> str | None:
    """Return the model that *url* names in its path, as those of Gemini and Bedrock do."""
    found = _MODEL_IN_PATH.search(url[:2_000])
    return unquote(found[1]) if found else None

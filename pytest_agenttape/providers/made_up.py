"""What providers generate for each exchange and never send twice: ids, times, fingerprints, serving headers."""

from __future__ import annotations

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.registry import WORDS
from pytest_agenttape.providers.tolerant import MAX_DEPTH

_MADE_UP = frozenset(WORDS.made_up) | {"data_layout"}  # how one event was spaced, next to it in the stored form
_USERS_OWN = frozenset(WORDS.users_own)
_SERVING_HEADERS = frozenset(WORDS.serving_headers)
_SERVING_PREFIXES = tuple(name for name in WORDS.serving_headers if name.endswith("-"))


def without_made_up(node: JSON, depth: int = 0) -> JSON:
    """Return a stored request or response of an LLM call without what its provider made up for it."""
    if depth > MAX_DEPTH:
        return node
    if isinstance(node, list):
        return [without_made_up(each, depth + 1) for each in node]
    if isinstance(node, dict):
        return {
            key: value if is_the_users(key, value) else without_made_up(value, depth + 1)
            for key, value in node.items()
            if not is_made_up(key)
        }
    return node


def is_made_up(key: str) -> bool:
    """Return whether what stands under *key* is made up for each exchange."""
    return key in _MADE_UP


def is_the_users(key: str, value: JSON) -> bool:
    """Return whether what stands under *key* is the user's, whatever the keys in it are called."""
    # `input` is the arguments of a tool in Anthropic's words, the conversation (a list) in those of OpenAI.
    return key in _USERS_OWN or (key == "input" and isinstance(value, dict))


def is_about_serving(name: str) -> bool:
    """Return whether the response header *name* (lower-case) is a provider's, and about who served what and when."""
    return name in _SERVING_HEADERS or name.startswith(_SERVING_PREFIXES)

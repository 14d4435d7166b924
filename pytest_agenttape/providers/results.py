"""The tokens that the result of a function tells of, where it stands for an LLM: an SDK's own object, or plain data."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON
from pytest_agenttape.providers import anthropic, gemini, openai_chat, openai_responses
from pytest_agenttape.providers.tolerant import at, usage
from pytest_agenttape.providers.view import Answer


def usage_in(result: JSON) -> dict[str, int] | None:
    """Return the tokens that a stored *result* tells of; None if it tells of none."""
    items = at(result, "$stream", "items")
    if isinstance(items, list):
        return next(filter(None, map(usage_in, reversed(items))), None)
    if isinstance(counts := _part(result, "usage"), Mapping):
        if "prompt_tokens" in counts:
            return openai_chat.read_answer([{"usage": counts}]).usage
        is_anthropic = any(name.startswith("cache_") for name in counts)
        of_provider = anthropic if is_anthropic else openai_responses
        answer: Answer = of_provider.read_answer([{"usage": counts}])
        return answer.usage
    if isinstance(counts := _part(result, "usageMetadata"), Mapping):
        return gemini.read_answer([{"usageMetadata": counts}]).usage
    if isinstance(counts := _part(result, "usage_metadata"), Mapping):  # google-genai, LangChain
        names = ("input_tokens", "prompt_token_count"), ("output_tokens", "candidates_token_count")
        given, taken = (next((counts[each] for each in either if each in counts), None) for either in names)
        return usage(given, taken, counts.get("total_tokens", counts.get("total_token_count")))
    return None


def _part(result: JSON, name: str) -> JSON:
    """Return a field of a stored mapping or object, its own fields as a plain mapping."""
    found = at(result, name) or at(result, "fields", name)
    fields = at(found, "fields")
    return fields if isinstance(fields, Mapping) and "$type" in found else found

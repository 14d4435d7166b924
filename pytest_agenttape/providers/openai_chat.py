"""OpenAI chat completions, and the many servers that speak the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.openai import (
    FAILURE_SAYINGS,
    FAILURES,
    SDK_HEADERS,
    SERVING_HEADERS,
    completion_usage,
    openai_operation,
    refusal,
)
from pytest_agenttape.providers.tolerant import (
    arguments,
    at,
    joined_text,
    mappings,
    message,
    number,
    text,
    text_or_none,
    tool_message,
)
from pytest_agenttape.providers.view import Answer, Operation, RequestedTool, View, Words


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a chat completion by its list of messages."""
    if not isinstance(at(body, "messages", 0, "role"), str):
        return None
    return openai_operation(url, body, "chat", "openai.chat")


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the messages of a request, tool calls decoded."""
    return [_message(each) for each in mappings(body.get("messages"))]


def _message(each: Mapping[str, JSON]) -> dict[str, JSON]:
    if each.get("role") == "tool":
        return tool_message(each.get("tool_call_id"), each.get("content"))
    return message(each.get("role"), each.get("content") or each.get("refusal"), _assemble(_fragments(each)))


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read the first choice of a completion, whole or in chunks."""
    choices = [choice for each in objects for choice in mappings(each.get("choices")) if not choice.get("index")]
    # Perplexity sends both: with the pieces of a stream the text so far, with a whole answer an empty piece.
    first, second = ("message", "delta") if len(objects) == 1 else ("delta", "message")
    said = mappings([choice.get(first) or choice.get(second) for choice in choices])
    models = [each["model"] for each in objects if text_or_none(each.get("model"))]
    reasons = [choice["finish_reason"] for choice in choices if text_or_none(choice.get("finish_reason"))]
    return Answer(
        text="".join(map(_text, said)),
        tool_calls=_assemble(fragment for part in said for fragment in _fragments(part)),
        usage=completion_usage(objects),
        model=models[-1] if models else None,
        finish_reason=reasons[-1] if reasons else None,
    )


def _text(part: Mapping[str, JSON]) -> str:
    return joined_text(part.get("content")) or text(part.get("refusal")) or text(at(part, "audio", "transcript"))


@dataclass(slots=True)
class _Fragment:
    """A tool call, or a piece of one; pieces with one index are one call."""

    index: int | None
    id: str
    name: str
    arguments: JSON


def _fragments(part: Mapping[str, JSON]) -> list[_Fragment]:
    found = [_fragment(call) for call in mappings(part.get("tool_calls"))]
    if isinstance(part.get("function_call"), Mapping):  # the form before there were tools
        found.append(_Fragment(-1, "", text(part["function_call"].get("name")), part["function_call"].get("arguments")))
    return found


def _fragment(call: Mapping[str, JSON]) -> _Fragment:
    body = call.get("function") or call.get("custom")
    sent = at(body, "arguments")
    return _Fragment(
        index=number(call.get("index")),
        id=text(call.get("id")),
        name=text(at(body, "name")),
        arguments=at(body, "input") if sent is None else sent,
    )


def _assemble(fragments: Iterable[_Fragment]) -> tuple[RequestedTool, ...]:
    calls: list[_Fragment] = []
    unfinished: dict[int | None, _Fragment] = {}
    for piece in fragments:
        call = unfinished.get(piece.index)
        if call is None or _is_another(piece, call):
            unfinished[piece.index] = piece
            calls.append(piece)
            continue
        call.id, call.name = call.id or piece.id, call.name or piece.name
        call.arguments = _extended(call.arguments, piece.arguments)
    return tuple(RequestedTool(call.id or None, call.name, arguments(call.arguments)) for call in calls)


def _is_another(piece: _Fragment, call: _Fragment) -> bool:
    # Some servers send whole calls without an index, or all under index 0.
    return bool(piece.id and call.id and piece.id != call.id) or (piece.index is None and bool(piece.name))


def _extended(present: JSON, more: JSON) -> JSON:
    if isinstance(more, str) and (present is None or isinstance(present, str)):
        return (present or "") + more
    return present if more is None else more


VIEW = View(
    provider="openai",
    operations={"openai.chat": "chat"},
    suffixes=("/chat/completions",),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        labels=("object", "created", "system_fingerprint"),
        pieces=("arguments", "refusal", "reasoning", "reasoning_content", "transcript"),
        made_up=(
            *("created", "system_fingerprint", "tool_call_id", "obfuscation", "expires_at"),
            *("queue_time", "prompt_time", "completion_time", "total_time"),  # of Groq and Cerebras
            *("tokens_per_second", "time_to_first_token", "generation_time"),  # of LM Studio
            "timings",  # of llama.cpp
        ),
        users_own=("json_schema",),
        serving_headers=SERVING_HEADERS,
        sdk_headers=SDK_HEADERS,
        asking_headers=("openai-beta",),
        texts=("reasoning_content", "refusal", "transcript"),
        error_fields=("choices.0.error",),
        failures=FAILURES,
        failed_reasons={
            "error": 500,  # of OpenRouter, where the provider behind it failed
            "insufficient_system_resource": 503,  # of DeepSeek
        },
        failure_sayings=FAILURE_SAYINGS,
    ),
    refusal=refusal,
)

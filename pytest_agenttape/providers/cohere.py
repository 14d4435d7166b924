"""Cohere chat, version 2."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON
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
    usage,
)
from pytest_agenttape.providers.view import Answer, Operation, RequestedTool, View, Words

SERVING_HEADERS = (
    *("x-debug-trace-id", "x-endpoint-monthly-call-limit", "x-trial-endpoint-call-limit"),
    "x-trial-endpoint-call-remaining",
)
SDK_HEADERS = ("x-fern-",)


def identify(_url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a chat request by its model and its list of messages."""
    model = text_or_none(body.get("model"))
    if model is None or not isinstance(at(body, "messages", 0, "role"), str):
        return None
    return Operation("cohere", "chat", "cohere.chat", model)


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the messages of a request, tool calls and documents decoded."""
    return [_message(each) for each in mappings(body.get("messages"))]


def _message(each: Mapping[str, JSON]) -> dict[str, JSON]:
    if each.get("role") == "tool":
        return tool_message(each.get("tool_call_id"), _with_plain_documents(each.get("content")))
    calls = [_requested(call) for call in mappings(each.get("tool_calls"))]
    return message(each.get("role"), each.get("content"), calls)


def _with_plain_documents(content: JSON) -> JSON:
    if not isinstance(content, list):
        return content
    found = [(part, at(part, "document", "data")) for part in content]
    return [{"type": "text", "text": said} if isinstance(said, str) else part for part, said in found]


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read an answer, whole or from its events."""
    if any(isinstance(each.get("type"), str) for each in objects):
        return _read_stream(objects)
    body = objects[0] if objects else {}
    return Answer(
        text=joined_text(at(body, "message", "content")),
        tool_calls=tuple(_requested(call) for call in mappings(at(body, "message", "tool_calls"))),
        usage=_usage(body.get("usage")),
        finish_reason=text_or_none(body.get("finish_reason")),
    )


def _read_stream(events: list[Mapping[str, JSON]]) -> Answer:
    ends = [at(event, "delta") for event in events if event.get("type") == "message-end"]
    end = ends[-1] if ends else None
    return Answer(
        text="".join(text(at(event, "delta", "message", "content", "text")) for event in events),
        tool_calls=_assembled(events),
        usage=_usage(at(end, "usage")),
        finish_reason=text_or_none(at(end, "finish_reason")),
    )


def _assembled(events: list[Mapping[str, JSON]]) -> tuple[RequestedTool, ...]:
    """Assemble the tool calls from their fragments; those with one index are one call."""
    calls: dict[int, Mapping[str, JSON]] = {}
    sent: dict[int, str] = {}
    for event in events:
        call = at(event, "delta", "message", "tool_calls")
        if not isinstance(call, Mapping):
            continue
        place = number(event.get("index")) or 0
        calls.setdefault(place, call)
        sent[place] = sent.get(place, "") + text(at(call, "function", "arguments"))
    return tuple(_requested(calls[place], sent[place]) for place in sorted(calls))


def _requested(call: Mapping[str, JSON], sent: str | None = None) -> RequestedTool:
    given = at(call, "function", "arguments") if sent is None else sent
    return RequestedTool(text_or_none(call.get("id")), text(at(call, "function", "name")), arguments(given))


def _usage(counts: JSON) -> dict[str, int] | None:
    # The billed units leave out what Cohere itself adds to a prompt.
    counted = at(counts, "tokens") or at(counts, "billed_units")
    cached = at(counts, "cached_tokens")
    return usage(at(counted, "input_tokens"), at(counted, "output_tokens"), cached=cached)


def billed(objects: list[Mapping[str, JSON]]) -> dict[str, int] | None:
    """Return the usage of an embedding or reranking, which is in its metadata."""
    return _usage(objects[0].get("meta")) if objects else None


VIEW = View(
    provider="cohere",
    operations={"cohere.chat": "chat"},
    suffixes=("/v2/chat",),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        last_events=("message-end",),
        pieces=("arguments", "thinking", "tool_plan"),
        made_up=("tool_call_id",),
        serving_headers=SERVING_HEADERS,
        sdk_headers=SDK_HEADERS,
        texts=("thinking", "tool_plan"),
        error_fields=("delta.error",),
        failed_reasons={"error": 500, "timeout": 504},
    ),
)

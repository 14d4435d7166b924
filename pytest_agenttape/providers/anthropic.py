"""Anthropic messages, from Anthropic or from Google's Vertex AI."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

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
from pytest_agenttape.providers.view import Answer, Operation, Refusal, RequestedTool, View, Words, retried_at_once

_ON_VERTEX = (":rawPredict", ":streamRawPredict")
_FAILURES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a messages request by its list of messages and its model, which Vertex AI has in the path."""
    path, is_vertex, _ = url.rpartition(":") if url.endswith(_ON_VERTEX) else ("", "", "")
    model = unquote(path.rpartition("/")[2]) if is_vertex else text_or_none(body.get("model"))
    if not model or not isinstance(at(body, "messages", 0, "role"), str):
        return None
    if is_vertex and "anthropic_version" not in body:  # other publishers' models share these paths
        return None
    return Operation("gcp.vertex_ai" if is_vertex else "anthropic", "chat", "anthropic.messages", model)


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the system prompt and the messages of a request; tool results become separate messages."""
    out = [message("system", body["system"])] if body.get("system") else []
    for each in mappings(body.get("messages")):
        out += _messages(each)
    return out


def _messages(each: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    content = each.get("content")
    if not isinstance(content, list):
        return [message(each.get("role"), content)]
    blocks = mappings(content)
    results = [block for block in blocks if block.get("type") == "tool_result"]
    calls = [_requested(block) for block in blocks if block.get("type") == "tool_use"]
    rest = [block for block in content if at(block, "type") not in ("tool_result", "tool_use")]
    out = [tool_message(block.get("tool_use_id"), block.get("content")) for block in results]
    return [*out, message(each.get("role"), rest, calls)] if rest or calls or not out else out


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read a message, whole or from its events."""
    starts = [each["message"] for each in objects if isinstance(each.get("message"), Mapping)]
    if any(text(each.get("type")).startswith(("message_", "content_block_")) for each in objects):
        return _read_stream(starts[0] if starts else {}, objects)
    return read_message(objects[0]) if objects else Answer()


def read_message(body: Mapping[str, JSON]) -> Answer:
    """Read a whole message."""
    content = body.get("content")
    return Answer(
        text=joined_text(content),
        tool_calls=tuple(_requested(block) for block in mappings(content) if block.get("type") == "tool_use"),
        usage=_usage(body.get("usage")),
        model=text_or_none(body.get("model")),
        finish_reason=text_or_none(body.get("stop_reason")),
    )


def _read_stream(start: Mapping[str, JSON], events: list[Mapping[str, JSON]]) -> Answer:
    counts, reason = dict(start["usage"]) if isinstance(start.get("usage"), Mapping) else {}, start.get("stop_reason")
    for event in events:
        if isinstance(event.get("usage"), Mapping):
            counts |= event["usage"]
        reason = at(event, "delta", "stop_reason") or reason
    return read_message({**start, "content": _blocks(events), "usage": counts, "stop_reason": reason})


def _blocks(events: list[Mapping[str, JSON]]) -> list[dict[str, JSON]]:
    """Assemble the content blocks from their fragments."""
    blocks: dict[int, dict[str, JSON]] = {}
    sent: dict[int, str] = {}
    for event in events:
        place = number(event.get("index")) or 0
        if isinstance(event.get("content_block"), Mapping):
            blocks[place] = dict(event["content_block"])
        said, asked = text(at(event, "delta", "text")), text(at(event, "delta", "partial_json"))
        if said:
            block = blocks.setdefault(place, {"type": "text"})
            block["text"] = text(block.get("text")) + said
        if asked:
            sent[place] = sent.get(place, "") + asked
    for place, fragments in sent.items():
        blocks.setdefault(place, {"type": "tool_use"})["input"] = fragments
    return [blocks[place] for place in sorted(blocks)]


def _requested(block: Mapping[str, JSON]) -> RequestedTool:
    return RequestedTool(text_or_none(block.get("id")), text(block.get("name")), arguments(block.get("input")))


def refusal(status: int, said: str) -> Refusal:
    """Return Anthropic's answer to a request that fails."""
    other = "api_error" if status >= 500 else "invalid_request_error"
    kind = next((name for name, means in _FAILURES.items() if means == status), other)
    return {"type": "error", "error": {"type": kind, "message": said}}, retried_at_once(status)


def _usage(counts: JSON) -> dict[str, int] | None:
    # Anthropic counts cached input separately; the conventions count it as input.
    read, written = (number(at(counts, f"cache_{how}_input_tokens")) or 0 for how in ("read", "creation"))
    fresh = number(at(counts, "input_tokens"))
    consumed = None if fresh is None and not read and not written else (fresh or 0) + read + written
    for_long = at(counts, "cache_creation", "ephemeral_1h_input_tokens")
    return usage(consumed, at(counts, "output_tokens"), cached=read, written=(written, for_long))


VIEW = View(
    provider="anthropic",
    operations={"anthropic.messages": "chat"},
    suffixes=("/messages", *_ON_VERTEX),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        last_events=("message_stop",),
        keep_alives=("ping",),
        pieces=("partial_json", "thinking"),
        made_up=("tool_use_id", "signature", "encrypted_index"),
        users_own=("input_schema",),
        serving_headers=("anthropic-organization-id", "anthropic-ratelimit-"),
        sdk_headers=("x-stainless-",),
        asking_headers=("anthropic-beta", "anthropic-version"),
        system_prompts=("system",),
        result_parts=("tool_result",),
        texts=("system", "thinking", "partial_json"),
        failures=_FAILURES,
        failure_sayings={
            "credit balance is too low": 402,
            "reached your specified API usage limits": 402,
            "organization has been disabled": 403,
        },
    ),
    refusal=refusal,
)

"""Anthropic messages, with the blank padding its events have on the wire."""

from __future__ import annotations

from collections.abc import Iterator

from tests.standin.dialect import (
    Call,
    Conversation,
    Dialect,
    ToolSpec,
    answer_tokens,
    argument_pieces,
    compact,
    count_tokens,
    decoded,
    function_spec,
    named_event,
    pieces,
    text_of,
)
from tests.standin.script import JSON, Answer, Failure, Headers, ToolCall

_SNAPSHOTS = {
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
}
_ERRORS = {
    400: ("invalid_request_error", "messages: Field required"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: no such model"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit of 50 requests per minute."),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}


def _read(call: Call) -> Conversation:
    question, results = "", list[JSON]()
    for message in call.body["messages"]:
        if message["role"] != "user":
            continue
        returned = list(_tool_results(message["content"]))
        if not returned:
            question, results = text_of(message["content"]), []
        results += returned
    choice = (call.body.get("tool_choice") or {}).get("type", "auto")
    tools = () if choice == "none" else tuple(map(_tool_spec, call.body.get("tools") or ()))
    output_format = (call.body.get("output_config") or {}).get("format") or call.body.get("output_format") or {}
    return Conversation(question, tools, tuple(results), output_format.get("schema"), choice in ("any", "tool"))


def _tool_results(content: JSON) -> Iterator[JSON]:
    if isinstance(content, str):
        return
    for block in content:
        if block["type"] == "tool_result":
            yield decoded(text_of(block.get("content", "")))


def _tool_spec(tool: dict[str, JSON]) -> ToolSpec:
    return function_spec(tool, ("input_schema",))


def _complete(call: Call, answer: Answer) -> bytes:
    message = _message(call, [_block(call, each) for each in _contents(answer)])
    usage = {**message["usage"], "output_tokens": answer_tokens(answer)}
    return compact({**message, "stop_reason": _stop_reason(answer), "usage": usage})


def _message(call: Call, content: list[JSON]) -> dict[str, JSON]:
    return {
        "model": _SNAPSHOTS.get(call.model, call.model),
        "id": call.ids.letters("msg_01", 22),
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": count_tokens([call.body["messages"], call.body.get("system"), call.body.get("tools")]),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 1,
            "service_tier": "standard",
        },
    }


def _contents(answer: Answer) -> list[str | ToolCall]:
    spoken: list[str | ToolCall] = [] if answer.text is None else [answer.text]
    return [*spoken, *answer.tool_calls]


def _block(call: Call, content: str | ToolCall) -> JSON:
    if isinstance(content, str):
        return {"type": "text", "text": content}
    return {
        "type": "tool_use",
        "id": call.ids.letters("toolu_01", 22),
        "name": content.name,
        "input": dict(content.arguments),
    }


def _events(call: Call, answer: Answer) -> list[bytes]:
    usage = {"output_tokens": answer_tokens(answer)}
    events: list[JSON] = [{"type": "message_start", "message": _message(call, [])}]
    for index, content in enumerate(_contents(answer)):
        inner = list(_block_events(call, content))
        if index == 0:
            inner.insert(1, {"type": "ping"})
        events += [event if event["type"] == "ping" else {**event, "index": index} for event in inner]
    stop = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
    events += [{"type": "message_delta", "delta": stop, "usage": usage}, {"type": "message_stop"}]
    return [_event(call, event) for event in events]


def _block_events(call: Call, content: str | ToolCall) -> Iterator[JSON]:
    block = _block(call, content)
    if isinstance(content, str):
        yield {"type": "content_block_start", "content_block": {**block, "text": ""}}
        deltas: list[JSON] = [{"type": "text_delta", "text": piece} for piece in pieces(content)]
    else:
        yield {"type": "content_block_start", "content_block": {**block, "input": {}}}
        fragments = ["", *argument_pieces(content.arguments_json)]
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in fragments]
    for delta in deltas:
        yield {"type": "content_block_delta", "delta": delta}
    yield {"type": "content_block_stop"}


def _event(call: Call, value: JSON) -> bytes:
    if value["type"] == "ping":
        return b'event: ping\ndata: {"type": "ping"}\n\n'
    return named_event(value, padding=call.ids.number(0, 15))


def _stop_reason(answer: Answer) -> str:
    return "tool_use" if answer.tool_calls else "end_turn"


def _refuse(call: Call, failure: Failure) -> bytes:
    kind, message = _ERRORS.get(failure.status, ("api_error", "Something went wrong"))
    told = {"type": kind, "message": failure.message or message}
    return compact({"type": "error", "error": told, "request_id": call.ids.letters("req_011C", 20)})


def _headers(call: Call) -> Headers:
    ids = call.ids
    limits = tuple(
        (f"anthropic-ratelimit-{name}-{field}", value)
        for name, limit in (("requests", 4000), ("input-tokens", 2_000_000), ("output-tokens", 400_000))
        for field, value in (
            ("limit", str(limit)),
            ("remaining", str(limit - ids.number(1, 9))),
            ("reset", "2025-11-24T16:00:01Z"),
        )
    )
    return (
        *limits,
        ("request-id", ids.letters("req_011C", 20)),
        ("anthropic-organization-id", "3f2b7c1e-90ad-4c55-8e61-5d2f6a7b8c90"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("via", "1.1 google"),
        ("cf-cache-status", "DYNAMIC"),
        ("x-robots-tag", "none"),
        ("server", "cloudflare"),
        ("cf-ray", ids.hexadecimal("", 16) + "-SJC"),
        (
            "set-cookie",
            f"_cfuvid={ids.letters('', 43)}-1764000000.0-1.0.1.1-{ids.letters('', 43)}; HttpOnly; SameSite=None; "
            "Secure; Path=/; Domain=api.anthropic.com",
        ),
    )


DIALECT = Dialect(
    route="/{prefix:.*}messages",
    required=("model", "max_tokens", "messages"),
    read=_read,
    complete=_complete,
    events=_events,
    refuse=_refuse,
    headers=_headers,
)

"""How the APIs that the stand-in does not speak ask for the tool of the matrix, and then answer."""

from __future__ import annotations

import json
from typing import Any

from tests.frameworks.framework import ANSWER
from tests.standin import Reply, raw
from tests.transports import amazon

_TOKENS = {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12}
_COHERE = {"tokens": {"input_tokens": 5, "output_tokens": 7}}


def bedrock(*, streamed: bool) -> tuple[Reply, Reply]:
    """Return the replies of Converse."""
    return (_conversed_in_pieces if streamed else _conversed)("tool_use"), (
        _conversed_in_pieces if streamed else _conversed
    )("end_turn")


def _conversed(stop: str) -> Reply:
    used = {"toolUse": {"name": "get_weather", "toolUseId": "tooluse_1", "input": {"city": "London"}}}
    content = [used] if stop == "tool_use" else [{"text": ANSWER}]
    return amazon.whole(
        {
            "metrics": {"latencyMs": 100},
            "output": {"message": {"content": content, "role": "assistant"}},
            "stopReason": stop,
            "usage": _TOKENS,
        }
    )


def _conversed_in_pieces(stop: str) -> Reply:
    used = {"toolUse": {"name": "get_weather", "toolUseId": "tooluse_1"}}
    deltas: list[Any] = [{"toolUse": {"input": '{"city":'}}, {"toolUse": {"input": '"London"}'}}]
    begun = [amazon.event("contentBlockStart", {"contentBlockIndex": 0, "start": used})]
    if stop == "end_turn":
        begun, deltas = [], [{"text": "It is mild "}, {"text": "in London."}]
    return amazon.streamed(
        [
            amazon.event("messageStart", {"role": "assistant"}),
            *begun,
            *(amazon.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta}) for delta in deltas),
            amazon.event("contentBlockStop", {"contentBlockIndex": 0}),
            amazon.event("messageStop", {"stopReason": stop}),
            amazon.event("metadata", {"metrics": {"latencyMs": 100}, "usage": _TOKENS}),
        ]
    )


def cohere(*, streamed: bool) -> tuple[Reply, Reply]:
    """Return the replies of chat, version 2."""
    return (_cohere_events if streamed else _cohere)("TOOL_CALL"), (_cohere_events if streamed else _cohere)("COMPLETE")


def _cohere(reason: str) -> Reply:
    message = {"role": "assistant", "content": [{"type": "text", "text": ANSWER}]}
    if reason == "TOOL_CALL":
        message = {"role": "assistant", "tool_calls": [_asked('{"city":"London"}')]}
    return _json({"id": "m1", "message": message, "finish_reason": reason, "usage": _COHERE})


def _cohere_events(reason: str) -> Reply:
    said = [
        ("content-start", {"index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}}),
        *(
            ("content-delta", {"index": 0, "delta": {"message": {"content": {"text": piece}}}})
            for piece in ("It is mild ", "in London.")
        ),
        ("content-end", {"index": 0}),
    ]
    called = [
        ("tool-call-start", {"index": 0, "delta": {"message": {"tool_calls": _asked("")}}}),
        *(
            ("tool-call-delta", {"index": 0, "delta": {"message": {"tool_calls": {"function": {"arguments": piece}}}}})
            for piece in ('{"city":', '"London"}')
        ),
        ("tool-call-end", {"index": 0}),
    ]
    listed: list[tuple[str, Any]] = [
        ("message-start", {"id": "m1", "delta": {"message": {"role": "assistant", "content": [], "tool_calls": []}}}),
        *(called if reason == "TOOL_CALL" else said),
        ("message-end", {"delta": {"finish_reason": reason, "usage": _COHERE}}),
    ]
    events = [f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode() for name, data in listed]
    return raw(events, {"content-type": "text/event-stream"})


def _asked(arguments: str) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def ollama(*, streamed: bool) -> tuple[Reply, Reply]:
    """Return the replies of chat."""
    call = {"function": {"name": "get_weather", "arguments": {"city": "London"}}}
    return (
        _ollama(({"content": "", "tool_calls": [call]},), streamed=streamed),
        _ollama(({"content": "It is mild "}, {"content": "in London."}), streamed=streamed),
    )


def _ollama(messages: tuple[dict[str, Any], ...], *, streamed: bool) -> Reply:
    head = {"model": "llama3.2", "created_at": "2026-01-01T10:00:00.123456Z"}
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 7}
    if not streamed:
        whole = {**messages[0], "role": "assistant", "content": "".join(each["content"] for each in messages)}
        return _json({**head, "message": whole, **end})
    lines: list[Any] = [{**head, "message": {"role": "assistant", **each}, "done": False} for each in messages]
    lines.append({**head, "message": {"role": "assistant", "content": ""}, **end})
    return raw([json.dumps(each).encode() + b"\n" for each in lines], {"content-type": "application/x-ndjson"})


def mistral_events() -> tuple[Reply, Reply]:
    """Return the replies of chat as streams: as OpenAI's, but with each tool call in one piece."""
    function = {"name": "get_weather", "arguments": '{"city":"London"}'}
    return (
        _mistral({"content": "", "tool_calls": [{"id": "call00001", "index": 0, "function": function}]}),
        _mistral({"content": "It is mild "}, {"content": "in London."}),
    )


def _mistral(*deltas: dict[str, Any]) -> Reply:
    events = [
        json.dumps(
            {
                "id": "m1",
                "object": "chat.completion.chunk",
                "created": 1764000000,
                "model": "mistral-small",
                "choices": [{"index": 0, "delta": delta, "finish_reason": "stop" if delta is deltas[-1] else None}],
            }
        )
        for delta in deltas
    ]
    return raw([f"data: {each}\n\n".encode() for each in (*events, "[DONE]")], {"content-type": "text/event-stream"})


def _json(value: Any) -> Reply:
    return raw(json.dumps(value).encode(), {"content-type": "application/json"})

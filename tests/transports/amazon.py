"""Amazon's services as a test has them: messages of an event stream, and clients of the stand-in provider."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterable
from typing import Any

from tests.standin import Reply, raw

MODEL = "anthropic.claude-sonnet-5-v1:0"
EVENT_STREAM = {"content-type": "application/vnd.amazon.eventstream"}
ASKED: Any = [{"role": "user", "content": [{"text": "What is the weather in London?"}]}]
CLAUDE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}


def message(headers: Iterable[tuple[str, str]], payload: bytes) -> bytes:
    """Return one message of an event stream."""
    packed = b"".join(
        bytes([len(name)]) + name.encode() + b"\7" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def event(name: str, data: Any, kind: str = "event") -> bytes:
    """Return a message as Bedrock sends it."""
    headers = ((f":{kind}-type", name), (":content-type", "application/json"), (":message-type", kind))
    return message(headers, json.dumps(data, separators=(",", ":")).encode())


def chunk(data: Any) -> bytes:
    """Return a message of an invocation: JSON in base64."""
    encoded = base64.b64encode(json.dumps(data, separators=(",", ":")).encode()).decode()
    return event("chunk", {"bytes": encoded, "p": "abcdefg"})


CONVERSED = [
    event("messageStart", {"p": "abc", "role": "assistant"}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Let me "}, "p": "abcdef"}),
    event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "look."}, "p": "ab"}),
    event("contentBlockStop", {"contentBlockIndex": 0, "p": "abcd"}),
    event(
        "contentBlockStart",
        {"contentBlockIndex": 1, "p": "a", "start": {"toolUse": {"name": "weather", "toolUseId": "tooluse_1"}}},
    ),
    event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"city":'}}, "p": "ab"}),
    event("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '"London"}'}}, "p": "ab"}),
    event("contentBlockStop", {"contentBlockIndex": 1, "p": "abcd"}),
    event("messageStop", {"p": "abcde", "stopReason": "tool_use"}),
    event(
        "metadata",
        {
            "metrics": {"latencyMs": 638},
            "p": "ab",
            "usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12},
        },
    ),
]
WHOLE = {
    "metrics": {"latencyMs": 100},
    "output": {"message": {"content": [{"text": "Mild."}], "role": "assistant"}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 5, "outputTokens": 7, "totalTokens": 12},
}
MESSAGE = {
    "content": [{"text": "Mild.", "type": "text"}],
    "id": "msg_1",
    "model": "claude-sonnet-5",
    "role": "assistant",
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "type": "message",
    "usage": {"input_tokens": 3, "output_tokens": 4},
}
METRICS = {"firstByteLatency": 9, "inputTokenCount": 3, "invocationLatency": 20, "outputTokenCount": 4}
INVOKED = [
    chunk({"message": {**MESSAGE, "content": [], "stop_reason": None}, "type": "message_start"}),
    chunk({"content_block": {"text": "", "type": "text"}, "index": 0, "type": "content_block_start"}),
    chunk({"delta": {"text": "Mi", "type": "text_delta"}, "index": 0, "type": "content_block_delta"}),
    chunk({"delta": {"text": "ld.", "type": "text_delta"}, "index": 0, "type": "content_block_delta"}),
    chunk({"index": 0, "type": "content_block_stop"}),
    chunk(
        {
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "type": "message_delta",
            "usage": {"output_tokens": 4},
        }
    ),
    chunk({"amazon-bedrock-invocationMetrics": METRICS, "type": "message_stop"}),
]


def streamed(messages: list[bytes], **options: Any) -> Reply:
    """Return a reply that sends *messages* one by one."""
    return raw(messages, EVENT_STREAM, **options)


def whole(data: Any, status: int = 200, **options: Any) -> Reply:
    """Return a reply with JSON."""
    return raw(json.dumps(data).encode(), {"content-type": "application/json"}, status=status, **options)


def path_of(operation: str) -> str:
    """Return the path under which the stand-in hears *operation*."""
    return f"/model/{MODEL}/{operation}"

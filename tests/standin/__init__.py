"""A stand-in for the providers of LLM APIs: it speaks as they do, on the loopback interface."""

from tests.standin.script import Delivery, Reply, ToolCall, error, hang_up, raw, text, tool_call, tool_calls
from tests.standin.server import RecordedRequest, StandInProvider

__all__ = [
    "Delivery",
    "RecordedRequest",
    "Reply",
    "StandInProvider",
    "ToolCall",
    "error",
    "hang_up",
    "raw",
    "text",
    "tool_call",
    "tool_calls",
]

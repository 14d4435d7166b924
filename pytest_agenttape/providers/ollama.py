"""Ollama's own API: chat, generate and embed, whole or as lines of JSON."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.tolerant import (
    arguments,
    at,
    mappings,
    message,
    text,
    text_or_none,
    tool_message,
    usage,
)
from pytest_agenttape.providers.view import Answer, Operation, RequestedTool, View, Words


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a request by its model, and by its messages, prompt or input."""
    model, path = text_or_none(body.get("model")), url.rpartition("/")[2]
    if model is None:
        return None
    if path == "chat" and isinstance(at(body, "messages", 0, "role"), str):
        return Operation("ollama", "chat", "ollama.chat", model)
    if path == "generate" and isinstance(body.get("prompt"), str):
        return Operation("ollama", "text_completion", "ollama.generate", model)
    if isinstance(body.get("input" if path == "embed" else "prompt"), str | list) and path in ("embed", "embeddings"):
        return Operation("ollama", "embeddings", "ollama.embed", model)
    return None


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the messages of a request; a prompt or an input is one message."""
    if "messages" in body:
        return [_message(each) for each in mappings(body["messages"])]
    system = [message("system", body["system"])] if body.get("system") else []
    return [*system, *(message("user", body[key]) for key in ("prompt", "input") if key in body)]


def _message(each: Mapping[str, JSON]) -> dict[str, JSON]:
    if each.get("role") == "tool":
        return tool_message(each.get("tool_call_id"), each.get("content"))
    return message(each.get("role"), each.get("content"), _calls(each))


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read an answer, whole or from its lines."""
    last = objects[-1] if objects else {}
    models = [found for each in objects if (found := text_or_none(each.get("model")))]
    return Answer(
        text="".join(text(at(each, "message", "content")) or text(each.get("response")) for each in objects),
        tool_calls=tuple(call for each in objects for call in _calls(each.get("message"))),
        usage=usage(last.get("prompt_eval_count"), last.get("eval_count")),
        model=models[-1] if models else None,
        finish_reason=text_or_none(last.get("done_reason")),
    )


def _calls(said: JSON) -> tuple[RequestedTool, ...]:
    calls = mappings(at(said, "tool_calls"))
    return tuple(
        RequestedTool(
            text_or_none(call.get("id")),
            text(at(call, "function", "name")),
            arguments(at(call, "function", "arguments")),
        )
        for call in calls
    )


def is_finished(objects: list[Mapping[str, JSON]]) -> bool:
    """Return whether the last line is marked as such, or is an error."""
    return bool(objects) and (objects[-1].get("done") is True or "error" in objects[-1])


VIEW = View(
    provider="ollama",
    operations={"ollama.chat": "chat", "ollama.generate": "text_completion", "ollama.embed": "embeddings"},
    suffixes=("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        pieces=("response", "thinking"),
        made_up=("created_at", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration"),
        conversations=("prompt", "input"),
        system_prompts=("system",),
        texts=("system", "response", "thinking"),
    ),
    is_finished=is_finished,
)

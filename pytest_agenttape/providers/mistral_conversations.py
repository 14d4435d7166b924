"""Mistral conversations, kept by the server: started, continued and restarted."""

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

_LAST_EVENTS = ("conversation.response.done", "conversation.response.error")
_ENTRIES = r"/conversations/[^/]+(?:/restart)?"


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a new conversation by its inputs and its model or agent, a continued one by its inputs or entry."""
    model, is_start = text_or_none(body.get("model")), url.endswith("/conversations")
    is_asking = isinstance(body.get("inputs"), str | list) or isinstance(body.get("from_entry_id"), str)
    is_agents = isinstance(body.get("agent_id"), str)
    if not is_asking or (is_start and not model and not is_agents):
        return None
    return Operation("mistral_ai", "invoke_agent" if is_agents else "chat", "mistral.conversations", model)


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the instructions and the new entries of a request; the server keeps earlier ones."""
    asked = body.get("inputs")
    out = [message("system", body["instructions"])] if body.get("instructions") else []
    if isinstance(asked, str):
        return [*out, message("user", asked)]
    return out + [_message(entry) for entry in mappings(asked)]


def _message(entry: Mapping[str, JSON]) -> dict[str, JSON]:
    kind = entry.get("type")
    if kind == "function.result":
        return tool_message(entry.get("tool_call_id"), entry.get("result"))
    if kind == "function.call":
        return message("assistant", None, [_requested(entry)])
    return message(entry.get("role") or kind, entry.get("content"))


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read the entries of an answer, whole or from its events."""
    body = objects[0] if objects else {}
    is_whole = isinstance(body.get("outputs"), list)
    entries = mappings(body["outputs"]) if is_whole else _entries(objects)
    counts = [found for each in objects if (found := _usage(each.get("usage")))]
    models = [named for each in entries if (named := text_or_none(each.get("model")))]
    return Answer(
        text="".join(_said(each.get("content")) for each in entries if each.get("type") == "message.output"),
        tool_calls=tuple(_requested(each) for each in entries if each.get("type") == "function.call"),
        usage=counts[-1] if counts else None,
        model=models[-1] if models else None,
    )


def _entries(events: list[Mapping[str, JSON]]) -> list[Mapping[str, JSON]]:
    """Assemble the entries of a stream; pieces with the same id and index belong to one entry."""
    entries: dict[tuple[str, int], dict[str, JSON]] = {}
    for event in events:
        kind = text(event.get("type"))
        if kind not in ("message.output.delta", "function.call.delta"):
            continue
        place = (text(event.get("id")), number(event.get("output_index")) or 0)
        entry = entries.setdefault(
            place, {**event, "type": kind.removesuffix(".delta"), "content": "", "arguments": ""}
        )
        entry["content"] += _said(event.get("content"))
        entry["arguments"] += text(event.get("arguments"))
    return list(entries.values())


def _said(content: JSON) -> str:
    return joined_text([content] if isinstance(content, Mapping) else content)


def _requested(entry: Mapping[str, JSON]) -> RequestedTool:
    given = arguments(entry.get("arguments"))
    return RequestedTool(text_or_none(entry.get("tool_call_id")), text(entry.get("name")), given)


def _usage(counts: JSON) -> dict[str, int] | None:
    return usage(at(counts, "prompt_tokens"), at(counts, "completion_tokens"), at(counts, "total_tokens"))


VIEW = View(
    provider="mistral_ai",
    operations={"mistral.conversations": "chat"},
    suffixes=("/conversations",),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        last_events=_LAST_EVENTS,
        pieces=("arguments",),
        places=("output_index", "content_index"),
        made_up=("conversation_id", "from_entry_id", "tool_call_id", "created_at", "completed_at"),
        conversations=("inputs",),
        system_prompts=("instructions",),
        roles={"message.input": "user", "message.output": "model", "function.call": "model", "function.result": "tool"},
        texts=("inputs", "instructions"),
    ),
    below=_ENTRIES,
)

"""OpenAI responses."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.openai import (
    FAILURES,
    SDK_HEADERS,
    SERVING_HEADERS,
    of_named_model,
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
    usage,
)
from pytest_agenttape.providers.view import Answer, Operation, RequestedTool, View, Words

_ASKING = ("input", "prompt", "instructions", "previous_response_id", "conversation")
_LAST_EVENTS = ("response.completed", "response.incomplete", "response.failed")
_ABOUT_THE_REQUEST = (
    *("bio_policy", "misalignment_policy_violation", "data_residency_mismatch", "image_content_policy_violation"),
    *("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url", "invalid_image_mode"),
    *("image_too_large", "image_too_small", "image_parse_error", "image_file_too_large", "image_file_not_found"),
    *("unsupported_image_media_type", "empty_image_file", "failed_to_download_image"),
)
# Built in, but run by the client.
_CLIENTS_OWN = ("shell_call", "local_shell_call", "apply_patch_call", "computer_call")
_TOOL_ITEMS = ("function_call", "custom_tool_call", *_CLIENTS_OWN)
_RESULT_ITEMS = tuple(f"{kind}_output" for kind in _TOOL_ITEMS)


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a response request by its model, which a stored prompt names, and by a field with what is asked."""
    if not any(body.get(key) for key in _ASKING):
        return None
    operation = openai_operation(url, body, "chat", "openai.responses")
    return operation if isinstance(at(body, "prompt", "id"), str) else of_named_model(operation)


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the instructions and the input items of a request."""
    asked = body.get("input")
    out = [message("system", body["instructions"])] if body.get("instructions") else []
    if isinstance(asked, str):
        return [*out, message("user", asked)]
    return out + [_message(item) for item in mappings(asked)]


def _message(item: Mapping[str, JSON]) -> dict[str, JSON]:
    kind = item.get("type")
    if kind in _TOOL_ITEMS:
        return message("assistant", None, [_requested(item)])
    if kind in _RESULT_ITEMS:
        return tool_message(item.get("call_id"), item.get("output"))
    if "role" in item:
        return message(item["role"], item.get("content"))
    return message(kind, dict(item))


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read a response: whole, from the last event that carries it, or from the part that arrived."""
    responses = [each["response"] for each in objects if _has_response(each)]
    finished = [each["response"] for each in objects if each.get("type") in _LAST_EVENTS and _has_response(each)]
    if finished:
        # Some servers that speak this protocol leave the output out of the last event.
        return _read({**finished[-1], "output": finished[-1].get("output") or _items(objects)})
    if any(text(each.get("type")).startswith("response.") for each in objects):
        return _read({**(responses[-1] if responses else {}), "output": _items(objects)})
    return _read(objects[0]) if objects else Answer()


def _has_response(event: Mapping[str, JSON]) -> bool:
    return isinstance(event.get("response"), Mapping)


def _read(response: Mapping[str, JSON]) -> Answer:
    items = mappings(response.get("output"))
    counts = response.get("usage")
    return Answer(
        text="".join(joined_text(item.get("content")) for item in items if item.get("type") == "message"),
        tool_calls=_calls(items),
        usage=usage(
            at(counts, "input_tokens"),
            at(counts, "output_tokens"),
            at(counts, "total_tokens"),
            cached=at(counts, "input_tokens_details", "cached_tokens"),
            reasoning=at(counts, "output_tokens_details", "reasoning_tokens"),
        ),
        model=text_or_none(response.get("model")),
        finish_reason=text_or_none(at(response, "incomplete_details", "reason"))
        or text_or_none(response.get("status")),
    )


def _calls(items: list[Mapping[str, JSON]]) -> tuple[RequestedTool, ...]:
    # A shell may also be OpenAI's own: then its output is in the same answer.
    answered = [item.get("call_id") for item in items if item.get("type") in _RESULT_ITEMS]
    asked = (item for item in items if item.get("type") in _TOOL_ITEMS)
    return tuple(_requested(item) for item in asked if item.get("call_id") not in answered)


def _requested(item: Mapping[str, JSON]) -> RequestedTool:
    kind, call = text(item.get("type")), text_or_none(item.get("call_id"))
    if kind in _CLIENTS_OWN:
        sent = next(filter(None, (item.get(name) for name in ("action", "actions", "operation"))), None)
        return RequestedTool(call, kind.removesuffix("_call"), sent)
    return RequestedTool(call, text(item.get("name")), arguments(item.get("arguments", item.get("input"))))


def _items(events: list[Mapping[str, JSON]]) -> list[JSON]:
    """Assemble the output items of a stream that was cut before its last event."""
    items: dict[int, dict[str, JSON]] = {}
    for event in events:
        kind, place = event.get("type"), number(event.get("output_index")) or 0
        if kind in ("response.output_item.added", "response.output_item.done") and isinstance(
            at(event, "item"), Mapping
        ):
            items[place] = dict(event["item"])
        elif kind in ("response.output_text.delta", "response.refusal.delta"):
            item = items.setdefault(place, {})
            item["type"] = "message"
            item["content"] = joined_text(item.get("content")) + text(event.get("delta"))
        elif kind == "response.function_call_arguments.delta":
            item = items.setdefault(place, {"type": "function_call"})
            item["arguments"] = text(item.get("arguments")) + text(event.get("delta"))
    return [items[place] for place in sorted(items)]


VIEW = View(
    provider="openai",
    operations={"openai.responses": "chat"},
    suffixes=("/responses",),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        last_events=_LAST_EVENTS,
        pieces=("delta",),
        places=("output_index", "content_index", "summary_index", "item_id"),
        labels=("item_id", "status"),
        made_up=(
            *("created_at", "completed_at", "call_id", "item_id", "response_id", "previous_response_id"),
            *("obfuscation", "sequence_number", "encrypted_content", "container_id", "approval_request_id"),
        ),
        serving_headers=SERVING_HEADERS,
        sdk_headers=SDK_HEADERS,
        asking_headers=("openai-beta",),
        conversations=("input",),
        system_prompts=("instructions",),
        roles={
            "developer": "system",
            **dict.fromkeys(_TOOL_ITEMS, "model"),
            **dict.fromkeys(_RESULT_ITEMS, "tool"),
        },
        texts=("instructions",),
        error_fields=("response.error",),
        failures={
            **FAILURES,
            **dict.fromkeys(_ABOUT_THE_REQUEST, 400),
            "vector_store_timeout": 504,
        },
        failed_reasons={"failed": 500},
        unfinished=("in_progress", "queued"),
    ),
    refusal=refusal,
)

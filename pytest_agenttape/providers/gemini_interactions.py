"""Google Gemini interactions: the steps of a model or an agent, kept by the server."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.gemini import google_provider, refusal
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

_LAST_EVENTS = ("interaction.completed", "interaction.complete", "interaction.cancelled")
_ROLES = {"user_input": "user", "model_output": "assistant", "model": "assistant"}


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a request by its input, and by its model or agent."""
    model, agent = text_or_none(body.get("model")), text_or_none(body.get("agent"))
    if not (model or agent) or not isinstance(body.get("input"), str | list | Mapping):
        return None
    operation = "generate_content" if model else "invoke_agent"
    return Operation(google_provider(url), operation, "gemini.interactions", model)


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the system instruction and the input of a request: a text, contents, steps or turns."""
    asked = body.get("input")
    out = [message("system", body["system_instruction"])] if body.get("system_instruction") else []
    if isinstance(asked, str):
        return [*out, message("user", asked)]
    return out + [_message(each) for each in ([asked] if isinstance(asked, Mapping) else mappings(asked))]


def _message(step: Mapping[str, JSON]) -> dict[str, JSON]:
    kind = text(step.get("type"))
    if kind == "function_result":
        return tool_message(step.get("call_id"), step.get("result"))
    if kind == "function_call":
        return message("assistant", None, [_requested(step)])
    if "content" not in step:  # a bare content
        return message("user", [dict(step)])
    said_by = text(step.get("role")) or kind
    return message(_ROLES.get(said_by, said_by), step.get("content"))


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read an interaction, whole or from its events."""
    if not any(isinstance(each.get("event_type"), str) for each in objects):
        return _read(objects[0] if objects else {})
    carried = [each["interaction"] for each in objects if isinstance(each.get("interaction"), Mapping)]
    merged = {name: value for each in carried for name, value in each.items()}
    return _read({**merged, "steps": _steps(objects) or merged.get("steps")})


def _read(interaction: Mapping[str, JSON]) -> Answer:
    # Earlier versions of the API list contents instead of steps.
    steps = mappings(interaction.get("steps")) or mappings(interaction.get("outputs"))
    said = [step for step in steps if step.get("type") in ("model_output", "text")]
    return Answer(
        text="".join(text(step.get("text")) or joined_text(step.get("content")) for step in said),
        tool_calls=tuple(_requested(step) for step in steps if step.get("type") == "function_call"),
        usage=_usage(interaction.get("usage")),
        model=text_or_none(interaction.get("model")),
        finish_reason=text_or_none(interaction.get("status")),
    )


def _steps(events: list[Mapping[str, JSON]]) -> list[dict[str, JSON]]:
    """Assemble the steps from their fragments."""
    steps: dict[int, dict[str, JSON]] = {}
    for event in events:
        place, delta = number(event.get("index")) or 0, event.get("delta")
        if isinstance(event.get("step"), Mapping):
            steps[place] = {**event["step"], "text": joined_text(event["step"].get("content"))}
        if not isinstance(delta, Mapping):
            continue
        step = steps.setdefault(place, {"type": delta.get("type")})
        if delta.get("type") == "text":
            step["text"] = text(step.get("text")) + text(delta.get("text"))
        elif delta.get("type") == "arguments_delta":
            step["arguments"] = text(step.get("arguments")) + text(delta.get("arguments"))
        elif delta.get("type") == "function_call":
            step.update(delta)
    return [steps[place] for place in sorted(steps)]


def _requested(step: Mapping[str, JSON]) -> RequestedTool:
    given = arguments(step.get("arguments"))
    return RequestedTool(text_or_none(step.get("id")), text(step.get("name")), given)


def _usage(counts: JSON) -> dict[str, int] | None:
    # Thoughts and the results of built-in tools are counted separately, but are output and input.
    asked, said = number(at(counts, "total_input_tokens")), number(at(counts, "total_output_tokens"))
    results = number(at(counts, "total_tool_use_tokens")) or 0
    thoughts = number(at(counts, "total_thought_tokens")) or 0
    return usage(
        asked if asked is None else asked + results,
        said if said is None and not thoughts else (said or 0) + thoughts,
        at(counts, "total_tokens"),
        cached=at(counts, "total_cached_tokens"),
        reasoning=thoughts,
    )


def is_finished(objects: list[Mapping[str, JSON]]) -> bool:
    """Return whether the last event completes an interaction, or is an error."""
    return bool(objects) and text(objects[-1].get("event_type")) in (*_LAST_EVENTS, "error")


VIEW = View(
    provider="gcp.gemini",
    operations={"gemini.interactions": "generate_content"},
    suffixes=("/interactions",),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        last_events=_LAST_EVENTS,
        places=("index",),
        labels=("event_type", "event_id"),
        made_up=(
            *("event_id", "created", "updated", "signature", "call_id", "continuation_token"),
            *("interaction_id", "previous_interaction_id"),
        ),
        conversations=("input",),
        system_prompts=("system_instruction",),
        roles={"user_input": "user", "model_output": "model", "function_result": "tool"},
        result_parts=("function_result",),
        texts=("system_instruction",),
        failed_reasons={"failed": 500},
        unfinished=("in_progress",),
    ),
    is_finished=is_finished,
    refusal=refusal,
)

"""OpenAI images, created or edited with a prompt; a multipart request is plain HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.openai import SDK_HEADERS, SERVING_HEADERS, openai_operation, refusal
from pytest_agenttape.providers.tolerant import at, mappings, message, text_or_none, usage
from pytest_agenttape.providers.view import Answer, Operation, View, Words

_BOUNDARY, _OPERATION = "openai.images", "generate_content"
_LAST_EVENTS = ("image_generation.completed", "image_edit.completed")


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a request by its prompt; the model is optional."""
    if not isinstance(body.get("prompt"), str):
        return None
    return openai_operation(url, body, _OPERATION, _BOUNDARY)


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the prompt as one message."""
    return [message("user", body["prompt"])] if "prompt" in body else []


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read the usage and, as the text, the prompts as revised by the model."""
    body = objects[-1] if objects else {}
    revised = [text_or_none(each.get("revised_prompt")) for each in mappings(body.get("data"))]
    counts = body.get("usage")
    return Answer(
        text="\n".join(filter(None, revised)),
        usage=usage(at(counts, "input_tokens"), at(counts, "output_tokens"), at(counts, "total_tokens")),
    )


VIEW = View(
    provider="openai",
    operations={_BOUNDARY: _OPERATION},
    suffixes=("/images/generations", "/images/edits"),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        last_events=_LAST_EVENTS,
        made_up=("created", "created_at"),
        serving_headers=SERVING_HEADERS,
        sdk_headers=SDK_HEADERS,
        conversations=("prompt",),
    ),
    refusal=refusal,
)

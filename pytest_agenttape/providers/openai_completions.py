"""OpenAI's legacy completions, and the many servers that speak the same protocol."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.openai import (
    FAILURE_SAYINGS,
    FAILURES,
    SDK_HEADERS,
    SERVING_HEADERS,
    completion_usage,
    of_named_model,
    openai_operation,
    refusal,
)
from pytest_agenttape.providers.tolerant import at, mappings, message, text, text_or_none
from pytest_agenttape.providers.view import Answer, Operation, View, Words


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a completion by its prompt and its model."""
    if not isinstance(body.get("prompt"), str | list):
        return None
    return of_named_model(openai_operation(url, body, "text_completion", "openai.completions"))


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the prompt as one message."""
    return [message("user", body["prompt"])] if "prompt" in body else []


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read the first choice of a completion, whole or in chunks."""
    choices = [choice for each in objects for choice in mappings(each.get("choices")) if not choice.get("index")]
    # Mistral's fill-in-the-middle takes a prompt on the same path, but answers like a chat.
    said = [text(each.get("text")) or _said_in_chat(each) for each in choices]
    models = [found for each in objects if (found := text_or_none(each.get("model")))]
    reasons = [found for each in choices if (found := text_or_none(each.get("finish_reason")))]
    return Answer(
        text="".join(said),
        usage=completion_usage(objects),
        model=models[-1] if models else None,
        finish_reason=reasons[-1] if reasons else None,
    )


def _said_in_chat(choice: Mapping[str, JSON]) -> str:
    return text(at(choice, "message", "content")) or text(at(choice, "delta", "content"))


VIEW = View(
    provider="openai",
    operations={"openai.completions": "text_completion"},
    suffixes=("/completions",),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        labels=("object", "created", "system_fingerprint"),
        made_up=("created", "system_fingerprint"),
        serving_headers=SERVING_HEADERS,
        sdk_headers=SDK_HEADERS,
        conversations=("prompt",),
        texts=("suffix",),
        failures=FAILURES,
        failure_sayings=FAILURE_SAYINGS,
    ),
    refusal=refusal,
)

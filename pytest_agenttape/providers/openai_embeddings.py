"""OpenAI embeddings."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.openai import SDK_HEADERS, SERVING_HEADERS, of_named_model, openai_operation, refusal
from pytest_agenttape.providers.tolerant import at, message, text_or_none, usage
from pytest_agenttape.providers.view import Answer, Operation, View, Words


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise an embeddings request by its input and its model."""
    if not isinstance(body.get("input"), str | list):
        return None
    return of_named_model(openai_operation(url, body, "embeddings", "openai.embeddings"))


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return what is to be embedded as one message."""
    return [message("user", body["input"])] if "input" in body else []


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read the model and the usage; vectors have no text."""
    body = objects[0] if objects else {}
    counts = body.get("usage")
    return Answer(
        usage=usage(at(counts, "prompt_tokens"), at(counts, "completion_tokens"), at(counts, "total_tokens")),
        model=text_or_none(body.get("model")),
    )


VIEW = View(
    provider="openai",
    operations={"openai.embeddings": "embeddings"},
    suffixes=("/embeddings",),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(serving_headers=SERVING_HEADERS, sdk_headers=SDK_HEADERS),
    refusal=refusal,
)

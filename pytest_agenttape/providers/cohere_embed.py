"""Cohere embeddings, version 2."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.cohere import SDK_HEADERS, SERVING_HEADERS, billed
from pytest_agenttape.providers.tolerant import message, text_or_none
from pytest_agenttape.providers.view import Answer, Operation, View, Words

_ASKING = ("texts", "images", "inputs")


def identify(_url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a request by its model and its texts or images."""
    model = text_or_none(body.get("model"))
    if model is None or not any(isinstance(body.get(key), list) for key in _ASKING):
        return None
    return Operation("cohere", "embeddings", "cohere.embed", model)


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the texts, the images and the mixed inputs, each as a message."""
    return [message("user", body[key]) for key in _ASKING if body.get(key)]


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read the usage; vectors have no text."""
    return Answer(usage=billed(objects))


VIEW = View(
    provider="cohere",
    operations={"cohere.embed": "embeddings"},
    suffixes=("/v2/embed",),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(serving_headers=SERVING_HEADERS, sdk_headers=SDK_HEADERS, conversations=("texts",), texts=("texts",)),
)

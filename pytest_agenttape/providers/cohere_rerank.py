"""Cohere rerank, version 2: documents ordered by their relevance to a query."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.cohere import SDK_HEADERS, SERVING_HEADERS, billed
from pytest_agenttape.providers.tolerant import message, text_or_none
from pytest_agenttape.providers.view import Answer, Operation, View, Words


def identify(_url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a request by its model, its query and its documents."""
    model = text_or_none(body.get("model"))
    if model is None or not isinstance(body.get("query"), str) or not isinstance(body.get("documents"), list):
        return None
    return Operation("cohere", "rerank", "cohere.rerank", model)


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the query and the documents as one message."""
    return [message("user", {"query": body.get("query"), "documents": body.get("documents")})]


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read the usage if it is in tokens; searches are billed instead, and ranks have no text."""
    return Answer(usage=billed(objects))


VIEW = View(
    provider="cohere",
    operations={"cohere.rerank": "rerank"},
    suffixes=("/v2/rerank",),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(serving_headers=SERVING_HEADERS, sdk_headers=SDK_HEADERS, texts=("query", "documents")),
)

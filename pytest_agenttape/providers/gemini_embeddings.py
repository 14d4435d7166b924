"""Google Gemini embeddings: of one content, of several, and Vertex AI's predict."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.gemini import google_provider, read_content, refusal
from pytest_agenttape.providers.tolerant import at, mappings, message, number, usage
from pytest_agenttape.providers.view import Answer, Operation, View, Words


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a request by its contents; the path names the model."""
    if not _contents(body) or "/models/" not in url:  # endpoints of custom models share the method
        return None
    model = unquote(url.rpartition(":")[0].rpartition("/")[2])
    return Operation(google_provider(url), "embeddings", "gemini.embeddings", model or None)


def _contents(body: Mapping[str, JSON]) -> list[JSON]:
    found = [body.get("content"), *(each.get("content") for each in mappings(body.get("requests")))]
    instances = [each.get("content") for each in mappings(body.get("instances"))]
    return [each for each in found if isinstance(each, Mapping)] + [each for each in instances if isinstance(each, str)]


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return each content as a message."""
    return [message("user", read_content(each)) for each in _contents(body)]


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read the usage if it is counted, for all contents or for each; vectors have no text."""
    body = objects[0] if objects else {}
    counts = [at(each, "embeddings", "statistics", "token_count") for each in mappings(body.get("predictions"))]
    counted = [int(each) for each in counts if isinstance(each, int | float)]
    whole = number(at(body, "usageMetadata", "promptTokenCount"))
    return Answer(usage=usage(sum(counted) if counted else whole, None, at(body, "usageMetadata", "totalTokenCount")))


VIEW = View(
    provider="gcp.gemini",
    operations={"gemini.embeddings": "embeddings"},
    suffixes=(":embedContent", ":batchEmbedContents", ":predict"),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(),
    refusal=refusal,
)

"""Google Gemini: generateContent, whole or streamed, as events or as one JSON array."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.openai import provider_of
from pytest_agenttape.providers.tolerant import (
    at,
    mappings,
    message,
    number,
    plain,
    text,
    text_or_none,
    tool_message,
    usage,
)
from pytest_agenttape.providers.view import Answer, Operation, Refusal, RequestedTool, View, Words

_CODES = {  # of google.rpc
    "invalid_argument": 400,
    "failed_precondition": 400,
    "out_of_range": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "resource_exhausted": 429,
    "internal": 500,
    "unknown": 500,
    "unavailable": 503,
    "deadline_exceeded": 504,
}
_REASONS = {  # among the details of an error
    "api_key_invalid": 401,
    "service_disabled": 403,
    "billing_disabled": 403,
}


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a request by its contents; the model is named in the path."""
    if not body.get("contents"):
        return None
    model = unquote(url.rpartition(":")[0].rpartition("/")[2])
    return Operation(google_provider(url), "generate_content", "gemini.generate_content", model or None)


def google_provider(url: str) -> str:
    """Return which of Google's two services *url* belongs to: by its path, or else by its host."""
    is_vertex = "/publishers/" in url or provider_of(url) == "gcp.vertex_ai"
    return "gcp.vertex_ai" if is_vertex else "gcp.gemini"


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the system instruction and the contents of a request."""
    system = body.get("systemInstruction") or body.get("system_instruction")
    contents = body.get("contents")
    out = [message("system", read_content(system))] if system else []
    for each in contents if isinstance(contents, list) else [contents]:
        out += _messages(each)
    return out


def read_content(content: JSON) -> JSON:
    """Return the parts of a content, as a string if they are all text."""
    return plain(content.get("parts")) if isinstance(content, Mapping) else plain(content)


def _messages(content: JSON) -> list[dict[str, JSON]]:
    if not isinstance(content, Mapping):
        return [message("user", content)] if content else []
    parts = mappings(content.get("parts"))
    results = [part["functionResponse"] for part in parts if isinstance(part.get("functionResponse"), Mapping)]
    calls = read_calls(parts)
    rest = [part for part in parts if "functionResponse" not in part and "functionCall" not in part]
    role = "assistant" if content.get("role") == "model" else text(content.get("role")) or "user"
    out = [tool_message(each.get("id"), each.get("response")) for each in results]
    return [*out, message(role, rest, calls)] if rest or calls or not out else out


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read the first candidate, its thoughts left out."""
    candidates = [found for each in objects if (found := at(each, "candidates", 0))]
    parts = [part for each in candidates for part in mappings(at(each, "content", "parts"))]
    counts = [found for each in objects if (found := read_usage(each.get("usageMetadata")))]
    models = [found for each in objects if (found := text_or_none(each.get("modelVersion")))]
    reasons = [found for each in candidates if (found := text_or_none(at(each, "finishReason")))]
    blocked = [found for each in objects if (found := text_or_none(at(each, "promptFeedback", "blockReason")))]
    return Answer(
        text="".join(text(part.get("text")) for part in parts if not part.get("thought")),
        tool_calls=read_calls(parts),
        usage=counts[-1] if counts else None,
        model=models[-1] if models else None,
        finish_reason=next(iter((*reversed(reasons), *blocked)), None),
    )


def read_calls(parts: list[Mapping[str, JSON]]) -> tuple[RequestedTool, ...]:
    """Return the tool calls in the parts of a content."""
    calls = [part["functionCall"] for part in parts if isinstance(part.get("functionCall"), Mapping)]
    return tuple(
        RequestedTool(text_or_none(call.get("id")), text(call.get("name")), call.get("args")) for call in calls
    )


def read_usage(counts: JSON) -> dict[str, int] | None:
    """Return the tokens of an answer; those of a realtime answer have another name."""
    # Thoughts and the results of built-in tools are counted separately, but are output and input.
    thoughts = number(at(counts, "thoughtsTokenCount")) or 0
    results = number(at(counts, "toolUsePromptTokenCount")) or 0
    asked, said = number(at(counts, "promptTokenCount")), number(at(counts, "candidatesTokenCount"))
    said = number(at(counts, "responseTokenCount")) if said is None else said
    return usage(
        asked if asked is None else asked + results,
        said if said is None and not thoughts else (said or 0) + thoughts,
        at(counts, "totalTokenCount"),
        cached=at(counts, "cachedContentTokenCount"),
        reasoning=thoughts,
        audio=(
            _audio(at(counts, "promptTokensDetails")),
            _audio(at(counts, "responseTokensDetails") or at(counts, "candidatesTokensDetails")),
            _audio(at(counts, "cacheTokensDetails")),
        ),
    )


def _audio(details: JSON) -> int:
    """Return the tokens of audio among those that *details* lists by their modality."""
    return sum(number(each.get("tokenCount")) or 0 for each in mappings(details) if each.get("modality") == "AUDIO")


def refusal(status: int, said: str) -> Refusal:
    """Return Google's answer to a request that fails, with the code of google.rpc that the HTTP status means."""
    code = next((name for name, means in _CODES.items() if means == status), "unknown")
    return {"error": {"code": status, "message": said, "status": code.upper()}}, {}


def is_finished(objects: list[Mapping[str, JSON]]) -> bool:
    """Return whether each candidate has a finish reason in its last chunk, and in no earlier one.

    Some models send a reason with every chunk, which then does not mark the end.
    """
    reasons: dict[int, list[bool]] = {}
    for each in objects:
        for candidate in mappings(each.get("candidates")):
            ended = text_or_none(candidate.get("finishReason")) is not None
            reasons.setdefault(number(candidate.get("index")) or 0, []).append(ended)
    if not reasons:
        return any(text_or_none(at(each, "promptFeedback", "blockReason")) for each in objects)
    return all(given[-1] and not any(given[:-1]) for given in reasons.values())


VIEW = View(
    provider="gcp.gemini",
    operations={"gemini.generate_content": "generate_content"},
    suffixes=(":generateContent", ":streamGenerateContent"),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        made_up=("createTime", "responseId", "thoughtSignature"),
        users_own=("args", "functionResponse"),
        conversations=("contents",),
        system_prompts=("systemInstruction", "system_instruction"),
        roles={"model": "model"},
        result_parts=("functionResponse",),
        failures={**_CODES, **_REASONS},
        failure_sayings={
            "API key not valid": 401,
            "API key expired": 401,
            "API key not found": 401,
            "User location is not supported": 403,
            "free tier is not available": 403,
        },
    ),
    is_finished=is_finished,
    refusal=refusal,
)

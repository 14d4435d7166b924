"""Answer a request in a provider's dialect: check it, ask the script or the rules, write the reply."""

from __future__ import annotations

import json

from aiohttp import web

from tests.standin import anthropic_messages, gemini, openai_chat, openai_embeddings, openai_responses
from tests.standin.delivery import Payload
from tests.standin.dialect import Call, Dialect
from tests.standin.ids import Ids
from tests.standin.rules import think
from tests.standin.script import JSON, Answer, Failure, Headers, Raw

DIALECTS: tuple[Dialect, ...] = (
    openai_chat.DIALECT,
    openai_responses.DIALECT,
    openai_embeddings.DIALECT,
    anthropic_messages.DIALECT,
    gemini.DIALECT,
)
HOLDS_NO_CONVERSATION = (openai_embeddings.DIALECT,)
_JSON_TYPE = "application/json"


def to_call(request: web.Request, body: bytes, ids: Ids, history: dict[str, list[JSON]]) -> Call:
    """Return the request as its dialect sees it; a body that is no JSON object is an empty one."""
    try:
        decoded = json.loads(body)
    except ValueError:
        decoded = None
    fields = decoded if isinstance(decoded, dict) else {}
    streamed = fields.get("stream") is True or request.match_info.get("operation", "").startswith("stream")
    model = request.match_info.get("model") or str(fields.get("model", ""))
    return Call(fields, model, streamed, ids, history, as_sse="model" not in request.match_info or _wants_sse(request))


def problem_with(request: web.Request, dialect: Dialect, call: Call) -> Failure | None:
    """Return the error that the real API answers to such a request, None for a good one."""
    if "invalid" in _api_key(request):
        return Failure(401)
    missing = [name for name in dialect.required if name not in call.body]
    if missing:
        return Failure(400, f"{missing[0]}: Field required")
    if call.model.startswith("no-such"):
        return Failure(404)
    return None


def payload_for(dialect: Dialect, call: Call, content: Answer | Failure | Raw | None) -> Payload:
    """Return the response that carries *content*, or what the rules say when there is none."""
    if isinstance(content, Raw):
        return raw_payload(content)
    headers = dialect.headers(call)
    if isinstance(content, Failure):
        return Payload(
            (dialect.refuse(call, content),), _JSON_TYPE, content.status, (*retry_headers(content), *headers)
        )
    answer = think(dialect.read(call)) if content is None else content
    if not call.streamed:
        return Payload((dialect.complete(call, answer),), _JSON_TYPE, headers=headers)
    content_type = "text/event-stream; charset=utf-8" if call.as_sse else _JSON_TYPE
    return Payload(dialect.events(call, answer), content_type, headers=headers, streamed=True)


def raw_payload(content: Raw) -> Payload:
    """Return the response made of exactly these bytes and headers."""
    return Payload(content.chunks, None, content.status, content.headers, streamed=len(content.chunks) != 1)


def retry_headers(failure: Failure) -> Headers:
    """Return the header that tells the client when to come back."""
    return () if failure.retry_after is None else (("retry-after", f"{failure.retry_after:g}"),)


def _wants_sse(request: web.Request) -> bool:
    return request.query.get("alt") == "sse"


def _api_key(request: web.Request) -> str:
    found = request.headers
    return found.get("authorization") or found.get("x-api-key") or found.get("x-goog-api-key") or ""

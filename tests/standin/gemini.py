"""Gemini generateContent and streamGenerateContent; the stream is SSE, or a JSON array without ``alt=sse``."""

from __future__ import annotations

from tests.standin.dialect import (
    Call,
    Conversation,
    Dialect,
    ToolSpec,
    answer_tokens,
    compact,
    count_tokens,
    function_spec,
    pieces,
    pretty,
    text_of,
)
from tests.standin.script import JSON, Answer, Failure, Headers

_PIECES_PER_EVENT = 4  # Gemini's events are coarse: several words each
_ERRORS = {
    400: ("INVALID_ARGUMENT", "Invalid JSON payload received."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "Permission denied on resource project."),
    404: ("NOT_FOUND", "The model is not found for API version v1beta, or is not supported for generateContent."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details."),
    500: ("INTERNAL", "An internal error has occurred. Please retry."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
}


def _read(call: Call) -> Conversation:
    question, results = "", list[JSON]()
    for content in _contents(call):
        returned = [_result(part) for part in content["parts"] if "functionResponse" in part]
        if content.get("role", "user") == "user" and not returned:
            question, results = text_of(content["parts"]), []
        results += returned
    mode = ((call.body.get("toolConfig") or {}).get("functionCallingConfig") or {}).get("mode", "AUTO")
    declared = [] if mode == "NONE" else [each for tool in call.body.get("tools") or () for each in _declared(tool)]
    settings = call.body.get("generationConfig") or {}
    schema = settings.get("responseJsonSchema") or settings.get("responseSchema")
    return Conversation(question, tuple(map(_tool_spec, declared)), tuple(results), schema, mode == "ANY")


def _contents(call: Call) -> list[JSON]:
    contents = call.body["contents"]
    return contents if isinstance(contents, list) else [contents]


def _result(part: JSON) -> JSON:
    response = part["functionResponse"].get("response", {})
    return response.get("result", response.get("output", response))


def _declared(tool: JSON) -> list[JSON]:
    return tool.get("functionDeclarations") or tool.get("function_declarations") or []


def _tool_spec(function: dict[str, JSON]) -> ToolSpec:
    return function_spec(function, ("parameters", "parametersJsonSchema", "parameters_json_schema"))


def _complete(call: Call, answer: Answer) -> bytes:
    return pretty(_response(call, _parts(call, answer), answer, call.ids.letters("", 23), last=True))


def _parts(call: Call, answer: Answer) -> list[JSON]:
    spoken: list[JSON] = [] if answer.text is None else [{"text": answer.text}]
    return spoken + [
        {"functionCall": {"name": each.name, "args": dict(each.arguments), "id": call.ids.letters("", 8).lower()}}
        for each in answer.tool_calls
    ]


def _response(call: Call, parts: list[JSON], answer: Answer, identifier: str, *, last: bool) -> JSON:
    asked, answered = count_tokens([call.body["contents"], call.body.get("tools")]), answer_tokens(answer)
    candidate: dict[str, JSON] = {"content": {"parts": parts, "role": "model"}}
    if last:
        candidate["finishReason"] = "STOP"
    return {
        "candidates": [{**candidate, "index": 0}],
        "usageMetadata": {
            "promptTokenCount": asked,
            "candidatesTokenCount": answered,
            "totalTokenCount": asked + answered,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": asked}],
        },
        "modelVersion": call.model,
        "responseId": identifier,
    }


def _events(call: Call, answer: Answer) -> list[bytes]:
    identifier = call.ids.letters("", 23)
    words = pieces(answer.text or "")
    spoken = ["".join(words[at : at + _PIECES_PER_EVENT]) for at in range(0, len(words), _PIECES_PER_EVENT)]
    batches = [[{"text": each}] for each in spoken]
    batches += [[part] for part in _parts(call, Answer(None, answer.tool_calls))]
    batches = batches or [[{"text": ""}]]
    responses = [
        _response(call, batch, answer, identifier, last=number == len(batches))
        for number, batch in enumerate(batches, start=1)
    ]
    if call.as_sse:
        return [b"data: " + compact(each) + b"\r\n\r\n" for each in responses]
    separators = [b"[", *[b",\r\n"] * (len(responses) - 1)]
    array = [before + pretty(each)[:-1] for before, each in zip(separators, responses, strict=True)]
    return [*array, b"\n]\n"]


def _refuse(_call: Call, failure: Failure) -> bytes:
    name, message = _ERRORS.get(failure.status, ("UNKNOWN", "Something went wrong."))
    told: dict[str, JSON] = {"code": failure.status, "message": failure.message or message, "status": name}
    if failure.retry_after is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        told["details"] = [{"@type": kind, "retryDelay": f"{failure.retry_after:g}s"}]
    return pretty({"error": told})


def _headers(call: Call) -> Headers:
    return (
        ("vary", "Origin"),
        ("vary", "X-Origin"),
        ("vary", "Referer"),
        ("server", "scaffolding on HTTPServer2"),
        ("x-xss-protection", "0"),
        ("x-frame-options", "SAMEORIGIN"),
        ("x-content-type-options", "nosniff"),
        ("server-timing", f"gfet4t7; dur={call.ids.number(300, 1900)}"),
        ("alt-svc", 'h3=":443"; ma=2592000,h3-29=":443"; ma=2592000'),
    )


DIALECT = Dialect(
    route="/{prefix:.*}models/{model}:{operation:generateContent|streamGenerateContent}",
    required=("contents",),
    read=_read,
    complete=_complete,
    events=_events,
    refuse=_refuse,
    headers=_headers,
)

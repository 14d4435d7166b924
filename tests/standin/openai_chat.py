"""OpenAI chat completions, also as Azure, OpenRouter and vLLM serve them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.standin import openai_common
from tests.standin.dialect import (
    STARTED_AT,
    Call,
    Conversation,
    Dialect,
    answer_tokens,
    argument_pieces,
    compact,
    count_tokens,
    decoded,
    function_spec,
    pieces,
    pretty,
    text_of,
)
from tests.standin.script import JSON, Answer


def _read(call: Call) -> Conversation:
    question, results = "", list[JSON]()
    for message in call.body["messages"]:
        if message["role"] == "user":
            question, results = text_of(message["content"]), []
        elif message["role"] == "tool":
            results.append(decoded(text_of(message["content"])))
    choice = call.body.get("tool_choice", "auto")
    tools = [] if choice == "none" else [each["function"] for each in call.body.get("tools") or ()]
    return Conversation(
        question,
        tuple(map(function_spec, tools)),
        tuple(results),
        openai_common.schema_of(call.body.get("response_format")),
        must_call=choice not in ("auto", "none"),
    )


def _complete(call: Call, answer: Answer) -> bytes:
    message: dict[str, JSON] = {"role": "assistant", "content": answer.text}
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.ids.letters("call_", 24),
                "type": "function",
                "function": {"name": each.name, "arguments": each.arguments_json},
            }
            for each in answer.tool_calls
        ]
    message |= {"refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(answer)}
    return pretty(
        {
            "id": call.ids.letters("chatcmpl-", 29),
            "object": "chat.completion",
            "created": STARTED_AT,
            "model": openai_common.snapshot_of(call.model),
            "choices": [choice],
            "usage": _usage(call, answer),
            "service_tier": "default",
            "system_fingerprint": "fp_51db84afab",
        }
    )


def _events(call: Call, answer: Answer) -> list[bytes]:
    head = {
        "id": call.ids.letters("chatcmpl-", 29),
        "object": "chat.completion.chunk",
        "created": STARTED_AT,
        "model": openai_common.snapshot_of(call.model),
        "service_tier": "default",
        "system_fingerprint": "fp_51db84afab",
    }
    counts_usage = (call.body.get("stream_options") or {}).get("include_usage", False)
    usage_field: dict[str, JSON] = {"usage": None} if counts_usage else {}
    events = [
        {**head, "choices": [_choice(delta)], **usage_field, "obfuscation": call.ids.letters("", 6)}
        for delta in _deltas(call, answer)
    ]
    events.append({**head, "choices": [_choice({}, _finish_reason(answer))], **usage_field})
    if counts_usage:
        events.append({**head, "choices": [], "usage": _usage(call, answer)})
    return [*(b"data: " + compact(event) + b"\n\n" for event in events), b"data: [DONE]\n\n"]


def _deltas(call: Call, answer: Answer) -> Iterator[JSON]:
    opening = {"role": "assistant", "content": None if answer.text is None else "", "refusal": None}
    yield opening
    for piece in pieces(answer.text or ""):
        yield {"content": piece}
    for index, each in enumerate(answer.tool_calls):
        function = {"name": each.name, "arguments": ""}
        opened = {"index": index, "id": call.ids.letters("call_", 24), "type": "function", "function": function}
        yield {"tool_calls": [opened]}
        for piece in argument_pieces(each.arguments_json):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _choice(delta: JSON, finish_reason: str | None = None) -> JSON:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _finish_reason(answer: Answer) -> str:
    return "tool_calls" if answer.tool_calls else "stop"


def _usage(call: Call, answer: Answer) -> JSON:
    asked, answered = count_tokens([call.body["messages"], call.body.get("tools")]), answer_tokens(answer)
    return {
        "prompt_tokens": asked,
        "completion_tokens": answered,
        "total_tokens": asked + answered,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


DIALECT = Dialect(
    route="/{prefix:.*}chat/completions",
    required=("messages",),
    read=_read,
    complete=_complete,
    events=_events,
    refuse=openai_common.refuse,
    headers=openai_common.headers,
)

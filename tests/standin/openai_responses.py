"""OpenAI responses, with the events of its stream numbered as the real API numbers them."""

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
    count_tokens,
    decoded,
    function_spec,
    named_event,
    pieces,
    pretty,
    text_of,
)
from tests.standin.script import JSON, Answer


def _read(call: Call) -> Conversation:
    question, results = "", list[JSON]()
    for item in _conversation_items(call):
        if item.get("type") == "function_call_output":
            results.append(decoded(item["output"]))
        elif item.get("role") == "user":
            question, results = text_of(item["content"]), []
    choice = call.body.get("tool_choice", "auto")
    tools = [] if choice == "none" else [each for each in call.body.get("tools") or () if each["type"] == "function"]
    return Conversation(
        question,
        tuple(map(function_spec, tools)),
        tuple(results),
        openai_common.schema_of((call.body.get("text") or {}).get("format")),
        must_call=choice not in ("auto", "none"),
    )


def _conversation_items(call: Call) -> list[JSON]:
    """Return this request's items after those of the response it continues."""
    given = call.body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return [*call.history.get(call.body.get("previous_response_id") or "", ()), *items]


def _complete(call: Call, answer: Answer) -> bytes:
    response, _ = _finished(call, answer)
    return pretty(response)


def _finished(call: Call, answer: Answer) -> tuple[JSON, list[JSON]]:
    identifier = call.ids.hexadecimal("resp_", 50)
    output = list(_output(call, answer))
    call.history[identifier] = [*_conversation_items(call), *output]
    asked, answered = count_tokens([call.body["input"], call.body.get("tools")]), answer_tokens(answer)
    usage = {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + answered,
    }
    return _response(call, identifier, "completed", output, usage), output


def _response(call: Call, identifier: str, status: str, output: list[JSON], usage: JSON) -> JSON:
    body = call.body
    return {
        "id": identifier,
        "object": "response",
        "created_at": STARTED_AT,
        "status": status,
        "background": False,
        "completed_at": STARTED_AT + 1 if usage else None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": None,
        "model": openai_common.snapshot_of(call.model),
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default" if usage else "auto",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_logprobs": 0,
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": usage,
        "user": None,
        "metadata": body.get("metadata") or {},
    }


def _output(call: Call, answer: Answer) -> Iterator[JSON]:
    if answer.text is not None:
        yield {
            "id": call.ids.hexadecimal("msg_", 50),
            "type": "message",
            "status": "completed",
            "content": [_text_part(answer.text)],
            "role": "assistant",
        }
    for each in answer.tool_calls:
        yield {
            "id": call.ids.hexadecimal("fc_", 50),
            "type": "function_call",
            "status": "completed",
            "arguments": each.arguments_json,
            "call_id": call.ids.letters("call_", 24),
            "name": each.name,
        }


def _events(call: Call, answer: Answer) -> list[bytes]:
    response, output = _finished(call, answer)
    opening = _response(call, response["id"], "in_progress", [], None)
    events: list[JSON] = [
        {"type": "response.created", "response": opening},
        {"type": "response.in_progress", "response": opening},
    ]
    for index, item in enumerate(output):
        inner = _message_events if item["type"] == "message" else _call_events
        events += [{**event, "output_index": index} for event in inner(call, item)]
    events.append({"type": "response.completed", "response": response})
    return [named_event({**event, "sequence_number": number}) for number, event in enumerate(events)]


def _message_events(call: Call, item: JSON) -> Iterator[JSON]:
    part = item["content"][0]
    place = {"content_index": 0, "item_id": item["id"]}
    yield {"type": "response.output_item.added", "item": {**item, "status": "in_progress", "content": []}}
    yield {"type": "response.content_part.added", **place, "part": _text_part("")}
    for piece in pieces(part["text"]):
        hidden = call.ids.letters("", max(1, 16 - len(piece)))
        yield {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": [], "obfuscation": hidden}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}
    yield {"type": "response.output_item.done", "item": item}


def _call_events(call: Call, item: JSON) -> Iterator[JSON]:
    place = {"item_id": item["id"]}
    yield {"type": "response.output_item.added", "item": {**item, "status": "in_progress", "arguments": ""}}
    for piece in argument_pieces(item["arguments"]):
        hidden = call.ids.letters("", max(1, 16 - len(piece)))
        yield {"type": "response.function_call_arguments.delta", **place, "delta": piece, "obfuscation": hidden}
    yield {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
    yield {"type": "response.output_item.done", "item": item}


def _text_part(words: str) -> JSON:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": words}


DIALECT = Dialect(
    route="/{prefix:.*}responses",
    required=("input",),
    read=_read,
    complete=_complete,
    events=_events,
    refuse=openai_common.refuse,
    headers=openai_common.headers,
)

"""AWS Bedrock: converse and invoke, whole or streamed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote

from pytest_agenttape.model import JSON
from pytest_agenttape.providers import anthropic, openai_chat, openai_completions
from pytest_agenttape.providers.tolerant import (
    arguments,
    at,
    joined_text,
    mappings,
    message,
    number,
    text,
    text_or_none,
    tool_message,
    usage,
)
from pytest_agenttape.providers.view import Answer, Operation, Refusal, RequestedTool, View, Words

_PATH = re.compile(r"/model/([^/]+)/(converse|invoke)(?:-stream|-with-response-stream)?$")
_PROMPTS = ("prompt", "inputText")
_METRICS = "amazon-bedrock-invocationMetrics"
_CONVERSE_EVENTS = ("contentBlockIndex", "stopReason")  # fields of which a stream of converse has at least one
_NOVA_EVENTS = (
    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata",
)  # fmt: skip

_EXCEPTIONS = {
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelTimeoutException": 408,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "ServiceQuotaExceededException": 429,
    "InternalServerException": 500,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ServiceUnavailableException": 503,
}


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a request by its path, and by its messages or prompt."""
    found = _PATH.search(url)
    if found is None or not (mappings(body.get("messages")) or any(text(body.get(key)) for key in _PROMPTS)):
        return None
    return Operation("aws.bedrock", "chat", f"bedrock.{found[2]}", unquote(found[1]))


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the messages of a converse request, or of the model's own format."""
    prompts = [message("user", body[key]) for key in _PROMPTS if text(body.get(key))]
    if prompts:
        return prompts
    if any("tool_calls" in each or each.get("role") == "tool" for each in mappings(body.get("messages"))):
        return openai_chat.read_messages(body)
    if any("type" in block for each in mappings(body.get("messages")) for block in mappings(each.get("content"))):
        return anthropic.read_messages(body)
    out = [message("system", body["system"])] if body.get("system") else []
    for each in mappings(body.get("messages")):
        out += _messages(each)
    return out


def _messages(each: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    content = each.get("content")
    if not isinstance(content, list):
        return [message(each.get("role"), content)]
    results = [block["toolResult"] for block in mappings(content) if isinstance(block.get("toolResult"), Mapping)]
    rest = [block for block in content if at(block, "toolResult") is None and at(block, "toolUse") is None]
    calls = _calls(content)
    out = [tool_message(result.get("toolUseId"), result.get("content")) for result in results]
    return [*out, message(each.get("role"), rest, calls)] if rest or calls or not out else out


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read a converse answer, or the formats of Anthropic, OpenAI, Llama, Titan, Mistral and Nova behind invoke."""
    bodies = [_unwrapped(each) for each in objects]
    if not bodies:
        return Answer()
    if isinstance(at(bodies[0], "output", "message"), Mapping):
        return _read_converse(bodies[0])
    if any(name in each for each in bodies for name in _CONVERSE_EVENTS):
        return _read_converse_stream(bodies)
    if "content" in bodies[0] or isinstance(bodies[0].get("type"), str):
        answer = anthropic.read_answer(bodies)
    elif choices := [choice for each in bodies for choice in mappings(each.get("choices"))]:
        form = openai_completions if "text" in choices[0] else openai_chat
        answer = form.read_answer(bodies)
    else:
        answer = _read_completion(bodies)
    return answer if answer.usage else replace(answer, usage=_metered(bodies))


def _unwrapped(body: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return an event of Nova's, which are those of converse below their name, as converse has it."""
    named = next((name for name in _NOVA_EVENTS if isinstance(body.get(name), Mapping)), None)
    return body if named is None else {"start": {}, **body[named]} if named == "contentBlockStart" else body[named]


def _read_converse_stream(events: list[Mapping[str, JSON]]) -> Answer:
    blocks: dict[int, dict[str, JSON]] = {}
    whole: dict[str, JSON] = {}
    for event in events:
        whole |= {name: event[name] for name in ("stopReason", "usage") if event.get(name)}
        if "start" in event or "delta" in event:
            _add_to_block(blocks.setdefault(number(event.get("contentBlockIndex")) or 0, {}), event)
    content = [_with_input(blocks[place]) for place in sorted(blocks)]
    return _read_converse({**whole, "output": {"message": {"content": content}}})


def _add_to_block(block: dict[str, JSON], event: Mapping[str, JSON]) -> None:
    started, asked = at(event, "start", "toolUse"), at(event, "delta", "toolUse", "input")
    said = at(event, "delta", "text")
    if isinstance(started, Mapping):
        block["toolUse"] = {**started, "input": ""}
    if isinstance(asked, str):
        call = block.setdefault("toolUse", {"input": ""})
        block["toolUse"] = {**call, "input": call["input"] + asked}
    if isinstance(said, str):
        block["text"] = text(block.get("text")) + said


def _with_input(block: dict[str, JSON]) -> dict[str, JSON]:
    call = block.get("toolUse")
    return block if call is None else {**block, "toolUse": {**call, "input": arguments(call["input"] or "{}")}}


def _read_completion(bodies: list[Mapping[str, JSON]]) -> Answer:
    """Read the models that complete a prompt, of which each event has a piece of the text."""
    reasons = [
        found
        for each in bodies
        for part in (each, *mappings(each.get("results")), *mappings(each.get("outputs")))
        if (found := text_or_none(part.get("stop_reason") or part.get("completionReason")))
    ]
    return Answer(
        text="".join(map(_completed, bodies)),
        usage=_counted(bodies),
        finish_reason=reasons[-1] if reasons else None,
    )


def _completed(body: Mapping[str, JSON]) -> str:
    results = "".join(text(each.get("outputText")) for each in mappings(body.get("results")))
    outputs = "".join(text(each.get("text")) for each in mappings(body.get("outputs")))
    return text(body.get("generation")) or text(body.get("outputText")) or results or outputs


def _counted(bodies: list[Mapping[str, JSON]]) -> dict[str, int] | None:
    """Return the tokens that Llama and Titan count."""
    last: dict[str, JSON] = {}
    for body in bodies:
        last |= {name: count for name, count in body.items() if count is not None}
    produced = [number(each.get("tokenCount")) or 0 for each in mappings(last.get("results"))]
    return usage(
        last.get("prompt_token_count", last.get("inputTextTokenCount")),
        last.get("generation_token_count", last.get("totalOutputTextTokenCount", sum(produced) or None)),
    )


def _metered(bodies: list[Mapping[str, JSON]]) -> dict[str, int] | None:
    """Return the tokens that Bedrock itself counts at the end of a stream."""
    counts = next((each[_METRICS] for each in reversed(bodies) if isinstance(each.get(_METRICS), Mapping)), None)
    return usage(at(counts, "inputTokenCount"), at(counts, "outputTokenCount"))


def _read_converse(body: Mapping[str, JSON]) -> Answer:
    content = at(body, "output", "message", "content")
    return Answer(
        text="".join(map(_said, mappings(content))),
        tool_calls=_calls(content),
        usage=_converse_usage(body.get("usage")),
        finish_reason=text_or_none(body.get("stopReason")),
    )


def _said(block: Mapping[str, JSON]) -> str:
    return joined_text([block]) or joined_text(at(block, "citationsContent", "content"))


def _converse_usage(counts: JSON) -> dict[str, int] | None:
    # Like Anthropic, Bedrock counts cached input separately.
    read, written = (number(at(counts, f"cache{how}InputTokens")) or 0 for how in ("Read", "Write"))
    fresh = number(at(counts, "inputTokens"))
    consumed = None if fresh is None and not read and not written else (fresh or 0) + read + written
    details = mappings(at(counts, "cacheDetails"))
    for_long = next((each.get("inputTokens") for each in details if each.get("ttl") == "1h"), None)
    return usage(
        consumed,
        at(counts, "outputTokens"),
        at(counts, "totalTokens"),
        cached=read,
        written=(written, for_long),
    )


def refusal(status: int, said: str) -> Refusal:
    """Return Bedrock's answer to a request that fails; botocore makes its exception of the header."""
    other = "InternalServerException" if status >= 500 else "ValidationException"
    kind = next((name for name, means in _EXCEPTIONS.items() if means == status), other)
    return {"message": said}, {"x-amzn-errortype": kind}


def _calls(content: JSON) -> tuple[RequestedTool, ...]:
    calls = [block["toolUse"] for block in mappings(content) if isinstance(block.get("toolUse"), Mapping)]
    return tuple(
        RequestedTool(text_or_none(call.get("toolUseId")), text(call.get("name")), call.get("input")) for call in calls
    )


VIEW = View(
    provider="aws.bedrock",
    operations={"bedrock.converse": "chat", "bedrock.invoke": "chat"},
    suffixes=("/converse", "/converse-stream", "/invoke", "/invoke-with-response-stream"),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        last_fields=(_METRICS, "metrics.latencyMs"),
        pieces=("input",),
        places=("contentBlockIndex",),
        made_up=("toolUseId", "signature", "p", "beside", "latencyMs", "guardrailProcessingLatency", _METRICS),
        users_own=("inputSchema",),
        serving_headers=("x-amzn-",),
        asking_headers=("x-amzn-bedrock-",),
        conversations=("prompt",),
        system_prompts=("system",),
        result_parts=("toolResult",),
        texts=("system",),
        error_headers=("x-amzn-errortype",),
        failures={name.lower(): status for name, status in _EXCEPTIONS.items()},
    ),
    refusal=refusal,
)

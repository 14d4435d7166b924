"""AWS Bedrock: converse and invoke. Its binary event streams are kept as bytes, without text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from pytest_agenttape.model import JSON
from pytest_agenttape.providers import anthropic
from pytest_agenttape.providers.tolerant import (
    at,
    joined_text,
    mappings,
    message,
    text,
    text_or_none,
    tool_message,
    usage,
)
from pytest_agenttape.providers.view import Answer, Operation, RequestedTool, View, Words

_PATH = re.compile(r"/model/([^/]+)/(converse|invoke)(?:-stream|-with-response-stream)?$")
_PROMPTS = ("prompt", "inputText")


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
    """Read a converse answer, or the formats of Anthropic, Llama and Titan behind invoke."""
    if not objects:
        return Answer()
    body = objects[0]
    if isinstance(at(body, "output", "message"), Mapping):
        return _read_converse(body)
    if "content" in body:
        return anthropic.read_message(body)
    results = mappings(body.get("results"))
    return Answer(
        text=text(body.get("generation")) or "".join(text(each.get("outputText")) for each in results),
        usage=usage(body.get("prompt_token_count"), body.get("generation_token_count")),
        finish_reason=text_or_none(body.get("stop_reason")),
    )


def _read_converse(body: Mapping[str, JSON]) -> Answer:
    content, counts = at(body, "output", "message", "content"), body.get("usage")
    return Answer(
        text=joined_text(content),
        tool_calls=_calls(content),
        usage=usage(
            at(counts, "inputTokens"),
            at(counts, "outputTokens"),
            at(counts, "totalTokens"),
            cached=at(counts, "cacheReadInputTokens"),
        ),
        finish_reason=text_or_none(body.get("stopReason")),
    )


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
        made_up=("toolUseId", "signature"),
        serving_headers=("x-amzn-",),
        conversations=("prompt",),
        system_prompts=("system",),
        result_parts=("toolResult",),
        texts=("system",),
    ),
)

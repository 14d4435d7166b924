"""The calls of a test as spans, in the words of OpenTelemetry's conventions for generative AI."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.plugin.report.test_record import Span
from pytest_agenttape.reading.calls import LLMCall, error_text
from pytest_agenttape.reading.summary import call_name

_Attributes: TypeAlias = Mapping[str, JSON]


def spans_of(timeline: Iterable[tuple[Interaction, bool]]) -> tuple[Span, ...]:
    """Return a span for each call, given with whether it was live."""
    return tuple(_span(each, is_live) for each, is_live in timeline)


def _span(call: Interaction, is_live: bool) -> Span:
    name, attributes = _words_for(call)
    error = _error(call)
    own: _Attributes = {
        "agenttape.index": call.index,
        "agenttape.kind": call.kind,
        "agenttape.live": is_live,
        "error.type": error[0] if error else None,
    }
    return {
        "index": call.index,
        "parent": call.parent,
        "name": name,
        "leaves": call.kind in ("llm", "http"),
        "start_ms": call.start_ms,
        "latency_ms": call.latency_ms,
        "attributes": {key: value for key, value in (attributes | dict(own)).items() if value not in (None, "", [])},
        "error": error[1] if error else None,
    }


def _words_for(call: Interaction) -> tuple[str, dict[str, JSON]]:
    """Return the name of the span of *call* and its attributes."""
    if call.kind == "llm":
        return _of_a_model(call)
    if call.kind == "tool":
        return _of_a_tool(call)
    if "url" in call.request:
        method = str(call.request.get("method", "GET"))
        return method, {
            "http.request.method": method,
            "http.response.status_code": call.status,
            **_address(call, "url.full"),
        }
    name = call_name(call)
    operation = (
        {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": name} if call.kind == "retrieval" else {}
    )
    said = {"agenttape.arguments": _arguments(call), "agenttape.result": _as_json(call.response)}
    return f"{call.kind} {name}", {**operation, **said}


def _of_a_model(call: Interaction) -> tuple[str, dict[str, JSON]]:
    read = LLMCall.of(call)
    operation = read.operation or "chat"
    return f"{operation} {read.model or ''}".rstrip(), {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": read.provider,
        "gen_ai.request.model": read.model,
        "gen_ai.response.model": read.answered_by,
        "gen_ai.response.finish_reasons": [each.finish_reason for each in read.answers if each.finish_reason],
        "gen_ai.usage.input_tokens": read.usage["input_tokens"],
        "gen_ai.usage.output_tokens": read.usage["output_tokens"],
        "gen_ai.input.messages": _as_json([_message(each) for each in read.messages]),
        "gen_ai.output.messages": _as_json([*_answers(read)]),
        **_address(call),
    }


def _of_a_tool(call: Interaction) -> tuple[str, dict[str, JSON]]:
    name = call_name(call)
    return f"execute_tool {name}", {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.arguments": _arguments(call),
        "gen_ai.tool.call.result": _as_json(call.response),
    }


def _message(said: Mapping[str, JSON]) -> JSON:
    content = said.get("content")
    if said.get("role") == "tool":
        parts = [{"type": "tool_call_response", "id": said.get("tool_call_id"), "response": content}]
    else:
        parts = [_part(content)] if content else []
    calls = said.get("tool_calls")
    parts += (
        [{"type": "tool_call", **each} for each in calls if isinstance(each, dict)] if isinstance(calls, list) else []
    )
    return {"role": said.get("role"), "parts": parts}


def _answers(read: LLMCall) -> Iterator[JSON]:
    for each in read.answers:
        asked = [{"id": tool.id, "name": tool.name, "arguments": tool.arguments} for tool in each.tool_calls]
        said = _message({"role": "assistant", "content": each.text, "tool_calls": asked})
        if said["parts"]:
            yield {**said, "finish_reason": each.finish_reason or ("error" if each.error else "stop")}


def _part(content: JSON) -> JSON:
    return {"type": "text", "content": content if isinstance(content, str) else _as_json(content)}


def _arguments(call: Interaction) -> JSON:
    return _as_json(call.request.get("args", call.request))


def _address(call: Interaction, *names: str) -> dict[str, JSON]:
    """Return where *call* was sent, with its whole URL under *names*."""
    url = str(call.request.get("url", ""))
    try:
        split = urlsplit(url)
        host, port = split.hostname, split.port or {"https": 443, "http": 80}.get(split.scheme)
    except ValueError:  # hand-edited
        return dict.fromkeys(names, url)
    return {"server.address": host, "server.port": port if host else None, **dict.fromkeys(names, url)}


def _error(call: Interaction) -> tuple[str, str] | None:
    """Return the type of the failure of *call* and what it says."""
    if call.error is not None:
        return str(call.error.get("type", "_OTHER")), error_text(call.error)
    said = LLMCall.of(call).error if call.kind == "llm" else None
    if call.has_failed:
        return str(call.status), said or f"status {call.status}"
    return None if said is None else ("_OTHER", said)


def _as_json(value: JSON) -> JSON:
    """Return *value* as the conventions want structures to be: a text of JSON; None if there is none."""
    return None if value in (None, []) else json.dumps(value, default=str)

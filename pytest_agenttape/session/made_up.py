"""What a faulted call gets, in the form of a recording, so that every transport serves it as it serves any other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from pytest_agenttape import bodies
from pytest_agenttape.bodies.messages import header, listed, standard_phrase
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import JSON, Call, Interaction
from pytest_agenttape.providers import claude_code, mcp, refusal_of
from pytest_agenttape.settings.faults import ABSENT, Fault
from pytest_agenttape.transports.grpc import calls as grpc
from pytest_agenttape.transports.websocket import tape as websocket

SAID = "a fault from the tape"
_OTHER_PHRASES = {529: "Overloaded"}  # Anthropic's
_RETRIED = (429, 503)  # with `retry-after`
_LEFT_OUT = frozenset({"content-length", "content-encoding"})
# What a transport raises as its library's own; the words are those of `fault`.
_BROKEN: Mapping[str, dict[str, JSON]] = {
    "timeout": {"message": f"timed out ({SAID})"},
    "connection": {"message": f"connection refused ({SAID})"},
    "reset": {"message": f"connection reset by peer ({SAID})", "errno": 104},
}
_PYTHONS = {"timeout": "TimeoutError", "connection": "ConnectionRefusedError", "reset": "ConnectionResetError"}


def made_up(fault: Fault, call: Call, recorded: Interaction | None, metadata: Mapping[str, JSON]) -> Interaction:
    """Return what *call* gets instead of *recorded*, which it would have got.

    Raises:
        ConfigError: *fault* is none that such a call can have.
    """
    request = dict(call.request if recorded is None else recorded.request)  # whose numbers the recorded answer has
    returns = {} if recorded is None or recorded.returns is None else {"returns": recorded.returns}
    return Interaction(
        index=-1,
        kind=call.kind,
        boundary=call.boundary,
        request=request,
        latency_ms=fault.delay * 1000,
        metadata={**metadata, **returns, "fault": str(fault)},
        **_maker(call)(fault, call, recorded),
    )


def _maker(call: Call) -> Callable[[Fault, Call, Interaction | None], dict[str, Any]]:
    if call.boundary == claude_code.QUERY:
        return _of_program
    if "url" not in call.request:
        return _of_function
    if call.request.get("method") == grpc.METHOD:
        return _of_grpc
    return _of_socket if str(call.request["url"]).startswith(("ws://", "wss://")) else _of_http


# -- over HTTP


def _of_http(fault: Fault, call: Call, recorded: Interaction | None) -> dict[str, Any]:
    if call.kind == "tool" and (fault.raised is not None or fault.result is not ABSENT):
        return {"response": _of_mcp(fault, (recorded or call).request)}
    _refuse_functions(fault, call)
    if fault.after_events is not None:
        events = _recorded_part(recorded, "events")
        return {"response": {**_answer(recorded), **_cut(fault, call, events)}}
    if fault.broken is not None:
        return {"error": _broken(fault.broken)}
    if fault.status is None:
        return {"response": _with_body(fault, _answer(recorded) or {"status": 200})}
    said = f"{standard_phrase(fault.status) or _OTHER_PHRASES.get(fault.status, 'Error')} ({SAID})"
    refused = refusal_of(call.boundary if call.kind == "llm" else None, fault.status, said)
    headers = {**refused["headers"], **({"retry-after": "0"} if fault.status in _RETRIED else {}), **fault.headers}
    refused["headers"] = headers
    return {"response": refused if fault.body is ABSENT else _with_body(fault, {**refused, "headers": headers})}


def _of_mcp(fault: Fault, request: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return what a server says whose tool raised, or returned another result."""
    result = fault.result if fault.raised is None else str(fault.raised["message"])
    return mcp.answer_over_http(request, mcp.tool_result(result, is_error=fault.raised is not None))


def _cut(fault: Fault, call: Call, events: list[JSON] | None) -> dict[str, JSON]:
    """Return the events of a stream up to where it breaks, and how."""
    count = _events_before(fault, call, events)
    return {"events": (events or [])[:count], "complete": False, "stream_error": _broken(fault.broken or "reset")}


def _with_body(fault: Fault, answer: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return *answer* with the body of *fault*; what is not JSON keeps the type of the body that it replaces."""
    kept = {name: answer[name] for name in ("status", "reason", "http_version") if name in answer}
    headers = {name: value for name, value in (answer.get("headers") or {}).items() if name.lower() not in _LEFT_OUT}
    headers |= fault.headers
    named = {name.lower(): name for name in headers}
    content_type = named.get("content-type", "content-type")
    body = fault.body
    if isinstance(body, str | bytes):
        headers.setdefault(content_type, "text/plain")
        raw = body.encode() if isinstance(body, str) else body
    else:
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        headers[content_type] = fault.headers.get(content_type, "application/json")
    return {**kept, "headers": headers, **bodies.encode_body(raw, header(listed(headers), "content-type"))}


def _broken(how: str) -> dict[str, JSON]:
    return {"type": how, "module": "", **_BROKEN[how]}


# -- functions, and what is recorded like them


def _of_function(fault: Fault, call: Call, recorded: Interaction | None) -> dict[str, Any]:
    if fault.status is not None or fault.body is not ABSENT:
        _refuse(fault, call, "is no call over HTTP: give it an error or a result")
    items = _items(recorded)
    if fault.result is not ABSENT:
        is_stream = items is not None and isinstance(fault.result, list)
        return {"response": {"$stream": {"items": fault.result}} if is_stream else fault.result}
    how = fault.broken or "reset"
    error = fault.raised or {"type": _PYTHONS[how], "module": "builtins", "message": _BROKEN[how]["message"]}
    if fault.after_events is None:
        return {"error": error}
    count = _events_before(fault, call, items)
    return {"error": {**error, "after": (items or [])[:count]}}


def _of_program(fault: Fault, call: Call, recorded: Interaction | None) -> dict[str, Any]:
    if (fault.broken is None and fault.raised is None) or fault.after_events is not None:
        _refuse(fault, call, "is a conversation with a program: give it an error")
    return _of_function(fault, call, recorded)


def _items(recorded: Interaction | None) -> list[JSON] | None:
    """Return what a recorded generator yielded; None of any other function."""
    if recorded is None:
        return None
    if recorded.error is not None:
        after = recorded.error.get("after")
        return after if isinstance(after, list) else None
    stream = _recorded_part(recorded, "$stream")
    found = stream.get("items") if isinstance(stream, dict) else None
    return found if isinstance(found, list) else None


# -- gRPC, WebSockets


_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def _of_grpc(fault: Fault, call: Call, recorded: Interaction | None) -> dict[str, Any]:
    _refuse_functions(fault, call)
    if fault.body is not ABSENT:
        _refuse(fault, call, "is a call over gRPC, which has no body: give it a status or an error")
    code = "DEADLINE_EXCEEDED" if fault.broken == "timeout" else "UNAVAILABLE"
    if fault.status is not None:
        code = _CODES.get(fault.status, "UNKNOWN")
    ended = {"code": code, "details": SAID}
    if fault.after_events is None:
        return {"response": ended}
    messages = _recorded_part(recorded, "messages")
    return {"response": {"messages": (messages or [])[: _events_before(fault, call, messages)], **ended}}


def _of_socket(fault: Fault, call: Call, recorded: Interaction | None) -> dict[str, Any]:
    _refuse_functions(fault, call)
    if fault.status is not None:
        return _of_http(fault, call, recorded)
    if fault.body is not ABSENT:
        _refuse(fault, call, "is a WebSocket, which has no body: give it a status or an error")
    if fault.after_events is None:
        how = fault.broken or "reset"
        return {"error": {"type": _PYTHONS[how], "module": "builtins", "message": _BROKEN[how]["message"]}}
    messages = _recorded_part(recorded, "messages") or []
    received = [at for at, each in enumerate(messages) if isinstance(each, dict) and "received" in each]
    end = received[_events_before(fault, call, received)]
    lost = {"code": websocket.ABNORMAL, "reason": SAID, "by": "server"}
    return {"response": {**_answer(recorded), "messages": messages[:end], "closed": lost}}


# -- what they share


def _answer(recorded: Interaction | None) -> dict[str, JSON]:
    return dict(recorded.response) if recorded is not None and isinstance(recorded.response, dict) else {}


def _recorded_part(recorded: Interaction | None, name: str) -> Any:  # a part of the recorded answer, if it has it
    return _answer(recorded).get(name)


def _events_before(fault: Fault, call: Call, events: object) -> int:
    """Return after how many of *events* the stream breaks; it must go on there."""
    assert fault.after_events is not None
    if not isinstance(events, list):
        _refuse(fault, call, "was recorded without a stream of events that could break")
    if fault.after_events >= len(events):
        _refuse(fault, call, f"was recorded with {len(events)} events, and can break before the last of them only")
    return fault.after_events


def _refuse_functions(fault: Fault, call: Call) -> None:
    if fault.raised is not None:
        _refuse(fault, call, "is no function: give it error='timeout', 'connection' or 'reset'")
    if fault.result is not ABSENT:
        _refuse(fault, call, "is no function: give it a body")


def _refuse(fault: Fault, call: Call, why: str) -> NoReturn:
    raise ConfigError(f"{fault}: {call.boundary or call.request.get('url') or call.kind} {why}")

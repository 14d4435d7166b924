"""MCP, the protocol of tools: what its JSON-RPC messages say, over whatever they come; and its calls over HTTP.

A call of a tool over HTTP is recorded as the exchange that it is. It is read as the call of a tool: `as_tool_call`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from pytest_agenttape.bodies import stored_json
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers.tolerant import at, payloads, text_or_none

CALL_TOOL = "tools/call"
# What the client's own make and version decide: said at the start, and with each message of newer protocols.
HANDSHAKES = ("initialize", "server/discover")
_SERVER_INFO = "io.modelcontextprotocol/serverInfo"
# Parts of `_meta` that say what the library is, and how its requests are numbered.
_LIBRARYS_META = re.compile(r"progressToken$|io\.modelcontextprotocol/|traceparent$|tracestate$|baggage$")
_NAMELESS = frozenset({"mcp", "sse", "message", "messages", "api", "rpc"})  # parts of a path that name no server


def server_name(handshake: str, result: JSON) -> str | None:
    """Return the name that a server gives itself in the *result* of a handshake."""
    path = ("serverInfo",) if handshake == "initialize" else ("_meta", _SERVER_INFO)
    return text_or_none(at(result, *path, "name"))


def compared_params(params: JSON) -> dict[str, JSON]:
    """Return what of the *params* of a request is compared: not what the library says about itself and its numbers."""
    kept = dict(params) if isinstance(params, Mapping) else {} if params is None else {"params": params}
    meta = kept.pop("_meta", None)
    if isinstance(meta, Mapping):
        meta = {name: each for name, each in meta.items() if not _LIBRARYS_META.match(name)}
    return {**kept, "_meta": meta} if meta else kept


def compared_body(body: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return what of the decoded *body* of an HTTP request is compared, if it is a JSON-RPC request; else all of it."""
    if body.get("jsonrpc") != "2.0" or not isinstance(body.get("method"), str):
        return body
    kept = {name: each for name, each in body.items() if name not in ("id", "params")}
    params = {} if body["method"] in HANDSHAKES else compared_params(body.get("params"))
    return {**kept, "params": params} if params else kept


def renumbered(response: Mapping[str, JSON], recorded: JSON, asked: JSON) -> Mapping[str, JSON]:
    """Return a stored response to the JSON-RPC request *recorded* as the one to *asked*; both are decoded bodies."""
    before, now = at(recorded, "id"), at(asked, "id")
    if before == now or at(recorded, "jsonrpc") != "2.0" or now is None:
        return response

    def changed(message: JSON) -> JSON:
        is_answer = isinstance(message, Mapping) and "method" not in message and message.get("id") == before
        return {**message, "id": now} if is_answer else message

    if "json" in response:
        return {**response, "json": changed(response["json"])}
    events = response.get("events")
    if not isinstance(events, list):
        return response
    return {
        **response,
        "events": [
            {**each, "data": changed(each["data"])} if isinstance(each, Mapping) and "data" in each else each
            for each in events
        ],
    }


def method_of(method: str, body: JSON) -> str | None:
    """Return the JSON-RPC method that an HTTP request with the decoded *body* calls, None if it is no such request."""
    is_call = method == "POST" and isinstance(body, dict) and body.get("jsonrpc") == "2.0"
    return text_or_none(body.get("method")) if is_call else None


def tool_of(body: JSON) -> str | None:
    """Return the tool that the decoded *body* of a request calls."""
    return text_or_none(at(body, "params", "name")) if at(body, "method") == CALL_TOOL else None


def name_in_answer(request: Mapping[str, JSON], response: JSON) -> str | None:
    """Return the name of the server that answered a stored request, which is a handshake, over HTTP."""
    return server_name(str(at(stored_json(request), "method")), _answer(request, response).get("result"))


def name_in_url(url: str) -> str:
    """Return what a server is called whose handshake nobody has seen: the last telling part of its path, or host."""
    parts = urlsplit(url)
    named = [part for part in parts.path.split("/") if part and part.lower() not in _NAMELESS]
    return named[-1] if named else parts.hostname or "mcp"


def as_tool_call(recorded: Interaction) -> Interaction:
    """Return the recording of a tool's call over HTTP in the form that other tools have; any other as it is."""
    if recorded.kind != "tool" or "url" not in recorded.request:
        return recorded
    body = stored_json(recorded.request)
    if tool_of(body) is None:
        return recorded
    request = {"args": at(body, "params", "arguments") or {}}
    answer = _answer(recorded.request, recorded.response)
    error = recorded.error
    if error is None and "error" in answer:
        error = error_of(answer["error"])
    response = None if error is not None else answer.get("result")
    return replace(recorded, request=request, response=response, error=error)


def error_of(error: JSON) -> dict[str, JSON]:
    """Return the error of a JSON-RPC answer as a recording holds that of a tool."""
    about = error if isinstance(error, dict) else {"message": str(error)}
    kept = {name: about[name] for name in ("code", "data") if name in about}
    return {"type": "JSONRPCError", "module": "", "message": str(about.get("message", "")), **kept}


def tool_result(value: JSON, *, is_error: bool = False) -> JSON:
    """Return *value* as the result of a tool, in which it is a text unless it is such a result already."""
    if isinstance(value, Mapping) and isinstance(value.get("content"), list):
        return value
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"content": [{"type": "text", "text": said}], "isError": is_error}


def answer_over_http(request: Mapping[str, JSON], result: JSON) -> dict[str, JSON]:
    """Return the stored answer to a stored request, with the *result* of what it called."""
    answer = {"jsonrpc": "2.0", "id": at(stored_json(request), "id"), "result": result}
    return {"status": 200, "headers": {"content-type": "application/json"}, "json": answer}


def _answer(request: Mapping[str, JSON], response: JSON) -> Mapping[str, JSON]:
    """Return the JSON-RPC answer in a stored response to a stored request; an empty one if it is not there."""
    number = at(stored_json(request), "id")
    found = payloads(response) if isinstance(response, Mapping) else ()
    return next((each for each in found if "method" not in each and each.get("id") == number), {})

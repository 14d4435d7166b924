"""AgentTape 0.1.x, which recorded SDK calls above HTTP and large values as assets."""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_agenttape import bodies, values
from pytest_agenttape.cassettes.imported.body import Body, header_list, unbase64
from pytest_agenttape.cassettes.imported.exchange import exchange, request_of, response_of
from pytest_agenttape.cassettes.imported.tool import OBSERVED, UNPLAYABLE, ReadAsset, Tool
from pytest_agenttape.errors import CassetteCorruptError, SchemaVersionError
from pytest_agenttape.model import JSON, KINDS, SCHEMA_VERSION, SECRET_PLACEHOLDER, Interaction, require_mapping

_REDACTED = "***REDACTED***"  # what AgentTape writes instead of a secret
_ENDPOINTS = {"chat.completions": "chat/completions", "responses": "responses", "embeddings": "embeddings"}
_OPENAI = "https://api.openai.com/v1/"


def _is_agenttape(root: Mapping[str, JSON]) -> bool:
    listed, meta = root.get("interactions"), root.get("meta")
    if not isinstance(listed, list):
        return False
    if isinstance(meta, dict) and "agenttape_version" in meta:
        return True
    keys = (each.get("match_key") for each in listed if isinstance(each, dict))
    return any(isinstance(key, str) and key.startswith("sha256:") for key in keys)


def _meta(root: Mapping[str, JSON]) -> dict[str, JSON]:
    if str(root.get("version")) != SCHEMA_VERSION:
        raise SchemaVersionError(f"AgentTape's schema version {root.get('version')!r} is not supported")
    frozen = (root.get("meta") or {}).get("freeze") if isinstance(root.get("meta"), dict) else None
    if not isinstance(frozen, dict):
        return {}
    kept = {"clock": frozen.get("base_iso"), "seed": frozen.get("random_seed")}
    freeze = {name: value for name, value in kept.items() if isinstance(value, str if name == "clock" else int)}
    return {"freeze": freeze} if freeze else {}


def _translated(raw: dict[str, JSON], read_asset: ReadAsset) -> dict[str, JSON]:
    raw = _with_assets(raw, read_asset)
    kind = raw.get("kind")
    if kind not in KINDS:
        raise CassetteCorruptError(f"unknown kind {kind!r}; valid: {', '.join(KINDS)}")
    request = require_mapping(raw.get("request") or {}, "its request")
    out = _call(str(kind), raw, request)
    out["latency_ms"] = raw.get("latency_ms")
    if raw.get("tags"):
        out["tags"] = raw["tags"]
    return out


def _call(kind: str, raw: Mapping[str, JSON], request: dict[str, JSON]) -> dict[str, JSON]:
    if raw.get("error") is None and "response" not in raw:
        raise CassetteCorruptError("it has neither 'response' nor 'error'")
    response = raw.get("response")
    if kind == "http" and isinstance(response, dict) and "status_code" in response:
        return _http_call(request, response)
    endpoint = request.get("endpoint")
    if kind == "llm" and isinstance(endpoint, str) and endpoint in _ENDPOINTS:
        return _openai_call(raw, request)
    return _boundary_call(kind, raw, request)


def _http_call(request: dict[str, JSON], response: dict[str, JSON]) -> dict[str, JSON]:
    asked = request_of(request.get("method"), request.get("url"), header_list(request.get("headers")), _body(request))
    answer = response_of(
        response.get("status_code"),
        header_list(response.get("headers")),
        _body(response),
        reason=response.get("reason_phrase") or response.get("reason"),
        version=response.get("http_version"),
    )
    return exchange(_settled(asked), answer)


def _body(message: Mapping[str, JSON]) -> Body:
    for key in ("raw_b64", "body_b64"):
        if key in message:
            return Body(unbase64(message[key]))
    if "json" in message:
        return Body(json.dumps(message["json"], ensure_ascii=False, default=_unwritable).encode("utf-8", "replace"))
    if "form" in message:
        return Body(b"".join(bodies.decode_chunks({"form": message["form"]})))
    return Body.of(message.get("text", message.get("content")))


def _unwritable(value: object) -> JSON:
    raise CassetteCorruptError(f"its body holds a value of type {type(value).__name__}")


def _openai_call(raw: Mapping[str, JSON], request: dict[str, JSON]) -> dict[str, JSON]:
    """Rebuild the exchange that an SDK call makes: the tool recorded arguments and the parsed answer."""
    body = _settled({name: value for name, value in request.items() if name != "endpoint"})
    url = _OPENAI + _ENDPOINTS[request["endpoint"]]
    asked = {"method": "POST", "url": url, "headers": {"content-type": "application/json"}, "json": body}
    answer = {"status": 200, "headers": {"content-type": "application/json"}, "json": raw.get("response")}
    out = exchange(asked, answer)
    if raw.get("error") is not None:
        out = {**out, "error": raw["error"]}
        out["metadata"] = {
            **out.get("metadata", {}),
            UNPLAYABLE: "an SDK's exception does not show what came over HTTP",
        }
        del out["response"]
    return out


def _boundary_call(kind: str, raw: Mapping[str, JSON], request: dict[str, JSON]) -> dict[str, JSON]:
    boundary = None if raw.get("boundary") is None else str(raw["boundary"])
    out: dict[str, JSON] = {"kind": kind, "boundary": boundary, "request": _settled(_arguments(request))}
    if raw.get("error") is not None:
        error = require_mapping(raw["error"], "its error")
        out["error"] = _error(error)
        if "response" in error:
            out["metadata"] = {UNPLAYABLE: "an SDK's exception was recorded without its response"}
    else:
        out["response"] = values.encode(raw.get("response"))
    if isinstance(raw.get("usage"), dict):
        out["usage"] = raw["usage"]
    if _is_observation(request):
        out["metadata"] = {OBSERVED: True}
    return out


def _error(recorded: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return an exception in our form; its arguments are in its repr, where they are not its text."""
    out = {name: recorded.get(name) for name in ("type", "module", "message")}
    attributes = recorded.get("attrs")
    if isinstance(attributes, dict) and attributes:
        out["attributes"] = values.encode(attributes)
    called = re.fullmatch(r"[\w.]+\((.*)\)", str(recorded.get("repr")), re.DOTALL)
    try:
        arguments = list(ast.literal_eval(f"({called[1]},)" if called and called[1] else "()"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # not literals
        return out
    if arguments in ([], [out["message"]]):
        return out
    return _of_python(out, arguments) or {**out, "args": values.encode(arguments)}


def _of_python(error: Mapping[str, JSON], arguments: list[Any]) -> dict[str, JSON] | None:
    """Return one of Python's own exceptions with all that it keeps of its arguments; None if it is none of these."""
    cls = vars(builtins).get(str(error["type"])) if error["module"] == "builtins" else None
    if not (isinstance(cls, type) and issubclass(cls, Exception)):
        return None
    try:
        made = cls(*arguments)
    except TypeError:
        return None
    return {**values.encode_error(made), **error} if str(made) == error["message"] else None


def _arguments(request: dict[str, JSON]) -> dict[str, JSON]:
    arguments = request.get("args")
    if request.keys() != {"name", "args"} or not isinstance(arguments, dict):
        return require_mapping(values.encode(request), "its request")
    if arguments.keys() == {"args", "kwargs"} and isinstance(arguments["kwargs"], dict):
        arguments = {"args": arguments["args"], **arguments["kwargs"]}
    return {"args": {name: values.encode(each) for name, each in arguments.items()}}


def is_rebuilt(recorded: Interaction) -> bool:
    """Return whether the request of *recorded* was rebuilt from the arguments of an SDK's method."""
    url, headers = recorded.request.get("url"), recorded.request.get("headers")
    is_ours = recorded.imported_from == AGENTTAPE.name and headers == {"content-type": "application/json"}
    return is_ours and isinstance(url, str) and url.startswith(_OPENAI)


def _is_observation(request: Mapping[str, JSON]) -> bool:
    """Return whether a callback recorded the request, so nothing asks for it in replay."""
    return request.keys() in ({"prompts"}, {"name", "input"}, {"query"}) or request.get("node") == "__graph__"


def _settled(value: JSON) -> JSON:
    """Return *value* with the tool's placeholder replaced by ours, so it equals what is redacted here."""
    if isinstance(value, str):
        return value.replace(_REDACTED, f"{SECRET_PLACEHOLDER}0000")
    if isinstance(value, dict):
        return {name: _settled(each) for name, each in value.items()}
    return [_settled(each) for each in value] if isinstance(value, list) else value


def _with_assets(value: JSON, read_asset: ReadAsset) -> JSON:
    """Return *value* with its assets inlined, text as text and binary as bytes."""
    if isinstance(value, list):
        return [_with_assets(each, read_asset) for each in value]
    if not isinstance(value, dict):
        return value
    digest = value.get("__agenttape_asset__")
    if isinstance(digest, str):
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise CassetteCorruptError(f"asset reference {digest[:80]!r} is not a digest")
        content = read_asset(digest.replace(":", "-"))
        return content if value.get("encoding") == "base64" else content.decode("utf-8", "replace")
    if value.keys() == {"__agenttape_bytes__"}:
        return unbase64(value["__agenttape_bytes__"])
    return {name: _with_assets(each, read_asset) for name, each in value.items()}


def _notes(translated: Sequence[Mapping[str, JSON]]) -> Iterator[str]:
    yield "tuples and sets were recorded as lists, objects as mappings; they come back as such"
    rebuilt = [each for each in translated if each["kind"] == "llm" and "url" in each["request"]]
    if any(each["request"]["url"].startswith(_OPENAI) for each in rebuilt):
        yield f"calls of the OpenAI SDK were recorded above HTTP; they answer requests to {_OPENAI}"
    observed = [f"#{each['index']}" for each in translated if OBSERVED in each["metadata"]]
    if observed:
        yield f"{', '.join(observed)}: recorded by a callback, so nothing asks for it in replay"


AGENTTAPE = Tool(
    name="AgentTape",
    wrote=_is_agenttape,
    listed=lambda root: root["interactions"],
    translate=_translated,
    notes=_notes,
    meta=_meta,
)

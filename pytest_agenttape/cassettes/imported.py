"""Cassettes of other tools (AgentTape 0.1.x, agentcassette, vcrpy and its kin) in the words of this project.

Adding a tool is adding an entry to `_TOOLS`. What a tool did not record faithfully is kept and marked
``unplayable`` with the reason, so that nothing is served that is not what the code once got.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

from pytest_agenttape import bodies, providers, values
from pytest_agenttape.bodies.messages import CONNECTION_HEADERS, Headers, grouped, header, standard_phrase
from pytest_agenttape.errors import AgentTapeError, CassetteCorruptError, SchemaVersionError
from pytest_agenttape.matching.canonical import KeyRules, canonical_text, is_transport_header
from pytest_agenttape.matching.matchers import PredicateMatcher, Request
from pytest_agenttape.model import BOUNDARY_KINDS, JSON, KINDS, SCHEMA_VERSION, Cassette, Interaction
from pytest_agenttape.redaction import Redactor
from pytest_agenttape.redaction.names import Rule, parameter_rule

IMPORTED, UNPLAYABLE, OBSERVED = "imported", "unplayable", "observed"  # keys of an interaction's metadata
MATCHER = "imported"

ReadAsset: TypeAlias = Callable[[str], bytes]  # (name in the cassette's folder of assets) -> content

DefaultsOf: TypeAlias = Callable[[str | None], Mapping[str, object]]  # (boundary) -> defaults of its arguments

_REDACTED_BY_AGENTTAPE = "***REDACTED***"
# A default ``repr``, which is what is left of an object that a tool could not record.
_REPR = re.compile(r"<[^<>]{1,200}(?:<locals>[^<>]{1,200}){0,4} at 0x[0-9a-fA-F]+>")
_ENDPOINTS = {"chat.completions": "chat/completions", "responses": "responses", "embeddings": "embeddings"}
_OPENAI = "https://api.openai.com/v1/"


def _no_assets(name: str) -> bytes:
    raise CassetteCorruptError(f"it refers to the asset {name!r}, and there is no folder of assets")


def translate(root: JSON, read_asset: ReadAsset = _no_assets) -> dict[str, JSON] | None:
    """Return the file form of another tool's cassette in this project's schema; None when *root* is none.

    Raises:
        CassetteCorruptError: It is another tool's and cannot be read; the message says where and why.
        SchemaVersionError: It is of a version of that tool's format that is not known.
    """
    tool = next((each for each in _TOOLS if isinstance(root, dict) and each.wrote(root)), None)
    if tool is None:
        return None
    listed = tool.listed(root)
    if not isinstance(listed, list):
        raise CassetteCorruptError(f"this {tool.name} cassette has no list of interactions")
    translated = [_translated(tool, each, position, read_asset) for position, each in enumerate(listed)]
    notes = [
        *tool.notes(translated),
        *(f"#{each['index']}: {each['metadata'][UNPLAYABLE]}" for each in translated if UNPLAYABLE in each["metadata"]),
    ]
    about: dict[str, JSON] = {"from": tool.name}
    if notes:
        about["problems"] = notes
    return {
        "version": SCHEMA_VERSION,
        "created_at": str(root.get("created_at") or root.get("recorded_at") or ""),
        "run_id": str(root.get("run_id") or ""),
        "meta": {IMPORTED: about, **tool.meta(root)},
        "interactions": translated,
    }


def is_imported(recordings: Sequence[Interaction]) -> bool:
    """Say whether any of *recordings* was made by another tool."""
    return any(IMPORTED in each.metadata for each in recordings)


def redacted(cassette: Cassette, redactor: Redactor) -> Cassette:
    """Return *cassette* with the recordings of other tools, and what is noted of them, as if redacted here."""
    recordings = [redactor.interaction(each) if IMPORTED in each.metadata else each for each in cassette.interactions]
    return replace(cassette, meta=redactor.value(cassette.meta), interactions=recordings)


def matchers(
    recordings: Sequence[Interaction], rules: KeyRules, defaults_of: DefaultsOf = lambda _: {}
) -> tuple[PredicateMatcher, ...]:
    """Return what finds the recordings of other tools among *recordings*, after every other matcher; else nothing.

    Those tools leave out or blank headers and query parameters that hold credentials, so no header and no such
    parameter is compared; agentcassette does not record the names of positional arguments, nor defaults.
    """
    foreign = {id(each.request): each for each in recordings if IMPORTED in each.metadata}
    if not foreign:
        return ()
    texts = {key: _loose_text(each.request, rules) for key, each in foreign.items()}
    last: list[tuple[Request, str]] = []  # one question is compared to many recordings

    def matches(asked: Request, recorded: Request) -> bool:
        found = foreign.get(id(recorded))
        if found is None or found.request is not recorded:
            return False
        if "positional" in recorded:
            named = _by_name(asked, recorded, defaults_of(found.boundary))
            return named is not None and _loose_text({"args": asked["args"]}, rules) == _loose_text(named, rules)
        if not last or last[0][0] is not asked:
            last[:] = [(asked, _loose_text(asked, rules))]
        if texts[id(recorded)] == last[0][1]:
            return True
        return "args" in recorded and texts[id(recorded)] == _loose_text(_spread(asked, recorded), rules)

    return (PredicateMatcher(MATCHER, matches),)


def shown_rules(recordings: Sequence[Interaction], rules: KeyRules) -> KeyRules:
    """Return *rules* with what is not compared of recordings of other tools, for messages."""
    return replace(rules, paths=(*rules.paths, ("headers",))) if is_imported(recordings) else rules


def _loose_text(request: Request, rules: KeyRules) -> str:
    url = request.get("url")
    if not isinstance(url, str):
        return canonical_text(request, rules)
    names = {name.lower() for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    secret = frozenset(name for name in names if parameter_rule(name) is not Rule.NONE)
    # The multipart boundary in the content type is needed to normalise the body; the header itself is not compared.
    kept = {name: value for name, value in (request.get("headers") or {}).items() if name.lower() == "content-type"}
    without_content_type = replace(rules, names=rules.names | secret | {"content-type"})
    return canonical_text({**request, "headers": kept}, without_content_type)


def _by_name(asked: Request, recorded: Request, defaults: Mapping[str, object]) -> Request | None:
    """Return *recorded*, whose arguments stand by position, with their names; None where they are not those asked.

    What the recording does not have was left to its default, so that is what has to be asked.
    """
    given, positional, named = asked.get("args"), recorded["positional"], recorded["args"]
    if not isinstance(given, dict) or len(given) < len(positional):
        return None
    args = {**dict(zip(given, positional, strict=False)), **named}
    if not all(name in args or _is_default(value, name, defaults) for name, value in given.items()):
        return None
    return {"args": {**given, **args}}


def _is_default(stored: JSON, name: str, defaults: Mapping[str, object]) -> bool:
    try:
        return name in defaults and bool(values.encode(defaults[name]) == stored)
    except AgentTapeError:
        return False


def _spread(asked: Request, recorded: Request) -> Request:
    """Return *asked* as AgentTape writes it: ``**kwargs`` among the other arguments, ``*args`` also where empty."""
    given, kept = asked.get("args"), recorded.get("args")
    if not isinstance(given, dict) or not isinstance(kept, dict):
        return asked
    args = {name: value for name, value in kept.items() if value == [] and name not in given}
    for name, value in given.items():
        args.update(value if name not in kept and isinstance(value, dict) and value else {name: value})
    return {**asked, "args": args}


# What the tools share


def _translated(tool: _Tool, raw: JSON, position: int, read_asset: ReadAsset) -> dict[str, JSON]:
    try:
        out = tool.translate(_mapping_of(raw, "it"), read_asset)
        _refuse_bytes(out)
    except CassetteCorruptError as error:
        raise type(error)(f"interaction #{position} of this {tool.name} cassette: {error.problem}") from error
    except AgentTapeError as error:
        raise CassetteCorruptError(f"interaction #{position} of this {tool.name} cassette: {error}") from error
    out["metadata"] = {**out.get("metadata", {}), IMPORTED: tool.name}
    ordered = {"index": position, **out}
    problem = _lossy_part(ordered)
    if problem and UNPLAYABLE not in ordered["metadata"]:
        ordered["metadata"][UNPLAYABLE] = problem
    return ordered


def _mapping_of(value: JSON, what: str) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise CassetteCorruptError(f"{what} must be a mapping, found {type(value).__name__}")
    return value


def _refuse_bytes(value: JSON) -> None:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, bytes):
            raise CassetteCorruptError("!!binary where text is expected")
        if isinstance(each, dict | list):
            waiting += each.values() if isinstance(each, dict) else each


def _lossy_part(interaction: Mapping[str, JSON]) -> str | None:
    """Return what is wrong with an interaction that holds the text of an object in place of the object."""
    if "url" in interaction["request"]:
        return None
    for side in ("request", "response"):
        for where, value in _leaves(interaction.get(side), side):
            if isinstance(value, str) and _REPR.fullmatch(value):
                return f"{where} is only the text of an object, {value!r}; record it again"
    return None


def _leaves(value: JSON, where: str) -> Iterator[tuple[str, JSON]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{where}.{key}")
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from _leaves(each, f"{where}[{position}]")
    else:
        yield where, value


def _exchange(request: dict[str, JSON], response: dict[str, JSON]) -> dict[str, JSON]:
    """Return an interaction for an HTTP exchange, seen through its provider's view where there is one."""
    operation = providers.identify(request["method"], request["url"], bodies.stored_json(request))
    if operation is None:
        return {"kind": "http", "request": request, "response": response}
    out: dict[str, JSON] = {"kind": "llm", "boundary": operation.boundary, "request": request, "response": response}
    usage = providers.read_answer(operation, response).usage
    if usage:
        out["usage"] = dict(usage)
    out["metadata"] = {"provider": operation.provider, "operation": operation.operation}
    if operation.model is not None:
        out["metadata"]["model"] = operation.model
    return out


def _request(method: JSON, url: JSON, headers: Headers, body: _Body) -> dict[str, JSON]:
    if not isinstance(url, str) or not isinstance(method, str):
        raise CassetteCorruptError("its request has no method and URL")
    kept = tuple((name, value) for name, value in headers if not is_transport_header(name.lower()))
    stored: dict[str, JSON] = {"method": method.upper(), "url": url, "headers": grouped(kept)}
    return stored | body.stored(header(headers, "content-type"))


def _response(status: JSON, headers: Headers, body: _Body, *, reason: JSON, version: JSON) -> dict[str, JSON]:
    if not isinstance(status, int) or isinstance(status, bool):
        raise CassetteCorruptError(f"its response has no status, found {status!r}")
    dropped = set(CONNECTION_HEADERS)
    encoding = header(headers, "content-encoding")
    if encoding:
        decoded = body.without_encoding(encoding)
        if decoded is not None:  # else kept as it came, header and all
            body, dropped = decoded, dropped | {"content-encoding", "content-length"}
    kept = tuple((name, value) for name, value in headers if name.lower() not in dropped)
    stored: dict[str, JSON] = {"status": status, "headers": grouped(kept)}
    if isinstance(version, str) and version and version != "HTTP/1.1":
        stored["http_version"] = version
    if isinstance(reason, str) and reason and reason != standard_phrase(status):
        stored["reason"] = reason
    return stored | body.stored(header(headers, "content-type"))


def _header_list(headers: JSON) -> Headers:
    """Return headers in any of the spellings that tools use: mappings to a value or values, or pairs."""
    if isinstance(headers, dict):
        pairs: list[tuple[JSON, JSON]] = list(headers.items())
    else:
        pairs = (
            [(each[0], each[1]) for each in headers or () if isinstance(each, list) and len(each) == 2]
            if isinstance(headers, list | None)
            else []
        )
    return tuple(
        (_header_text(name), _header_text(each))
        for name, value in pairs
        for each in (value if isinstance(value, list) else [value])
    )


def _header_text(value: JSON) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True, slots=True)
class _Body:
    """A body as a tool has it: bytes, or the value that it decoded from JSON."""

    raw: bytes = b""
    value: JSON = None
    is_parsed: bool = False

    @classmethod
    def of(cls, found: JSON) -> _Body:
        """Read a body in any of the spellings that tools use.

        Raises:
            CassetteCorruptError: It is damaged.
        """
        if found is None:
            return cls()
        if isinstance(found, bytes):
            return cls(found)
        if isinstance(found, str):
            return cls(found.encode("utf-8", "surrogatepass"))
        if isinstance(found, dict) and "base64_string" in found:
            return cls(_unbase64(found["base64_string"]))
        if isinstance(found, dict) and found.keys() <= {"string", "encoding"}:
            return cls.of(found.get("string"))
        return cls(value=found, is_parsed=True)

    def stored(self, content_type: str | None) -> dict[str, JSON]:
        return {"json": self.value} if self.is_parsed else bodies.encode_body(self.raw, content_type)

    def without_encoding(self, encoding: str) -> _Body | None:
        """Return the body with its content encoding undone; None when that cannot be done."""
        if self.is_parsed:
            return self
        try:
            return _Body(bodies.decode_content(self.raw, encoding))
        except ValueError:
            return self if _is_text(self.raw) else None  # many recorders decode the body and keep the header


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True  # no compressed stream is valid UTF-8 beyond a few bytes


def _unbase64(text: JSON) -> bytes:
    if not isinstance(text, str | bytes):
        raise CassetteCorruptError(f"its body is no base64 text, found {type(text).__name__}")
    try:
        return base64.b64decode("".join(_header_text(text).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CassetteCorruptError(f"its body is no valid base64: {error}") from error


# vcrpy, pytest-recording and what else writes interactions of `request` and `response`


def _is_vcr(root: Mapping[str, JSON]) -> bool:
    listed = root.get("interactions")
    return isinstance(listed, list) and bool(listed) and _is_vcr_interaction(listed[0])


def _is_vcr_interaction(raw: JSON) -> bool:
    if not isinstance(raw, dict) or "kind" in raw or "index" in raw:
        return False
    return isinstance(raw.get("request"), dict) and isinstance(raw.get("response"), dict)


def _is_single_exchange(root: Mapping[str, JSON]) -> bool:
    return "interactions" not in root and _is_vcr_interaction(root)


def _from_vcr(raw: dict[str, JSON], _read_asset: ReadAsset) -> dict[str, JSON]:
    asked = _mapping_of(raw.get("request"), "its request")
    answer = _mapping_of(raw.get("response"), "its response")
    url = asked.get("uri", asked.get("url"))
    request = _request(asked.get("method"), url, _header_list(asked.get("headers")), _vcr_body(asked))
    status, reason = _vcr_status(answer)
    response = _response(
        status,
        _header_list(answer.get("headers")),
        _vcr_body(answer),
        reason=reason,
        version=answer.get("http_version"),
    )
    return _exchange(request, response)


def _vcr_body(message: Mapping[str, JSON]) -> _Body:
    if "parsed_body" in message:
        return _Body(value=message["parsed_body"], is_parsed=True)
    return _Body.of(next((message[key] for key in ("body", "content", "text") if key in message), None))


def _vcr_status(answer: Mapping[str, JSON]) -> tuple[JSON, JSON]:
    status = answer.get("status", answer.get("status_code"))
    if not isinstance(status, dict):
        return status, None
    message = status.get("message")
    return status.get("code"), message.decode("latin-1") if isinstance(message, bytes) else message


# AgentTape 0.1.x


def _is_agenttape(root: Mapping[str, JSON]) -> bool:
    listed, meta = root.get("interactions"), root.get("meta")
    if not isinstance(listed, list):
        return False
    if isinstance(meta, dict) and "agenttape_version" in meta:
        return True
    keys = (each.get("match_key") for each in listed if isinstance(each, dict))
    return any(isinstance(key, str) and key.startswith("sha256:") for key in keys)


def _agenttape_meta(root: Mapping[str, JSON]) -> dict[str, JSON]:
    if str(root.get("version")) != SCHEMA_VERSION:
        raise SchemaVersionError(f"AgentTape's schema version {root.get('version')!r} is not supported")
    frozen = (root.get("meta") or {}).get("freeze") if isinstance(root.get("meta"), dict) else None
    if not isinstance(frozen, dict):
        return {}
    kept = {"clock": frozen.get("base_iso"), "seed": frozen.get("random_seed")}
    freeze = {name: value for name, value in kept.items() if isinstance(value, str if name == "clock" else int)}
    return {"freeze": freeze} if freeze else {}


def _from_agenttape(raw: dict[str, JSON], read_asset: ReadAsset) -> dict[str, JSON]:
    raw = _with_assets(raw, read_asset)
    kind = raw.get("kind")
    if kind not in KINDS:
        raise CassetteCorruptError(f"unknown kind {kind!r}; valid: {', '.join(KINDS)}")
    request = _mapping_of(raw.get("request") or {}, "its request")
    out = _agenttape_call(str(kind), raw, request)
    out["latency_ms"] = raw.get("latency_ms")
    if raw.get("tags"):
        out["tags"] = raw["tags"]
    return out


def _agenttape_call(kind: str, raw: Mapping[str, JSON], request: dict[str, JSON]) -> dict[str, JSON]:
    if raw.get("error") is None and "response" not in raw:
        raise CassetteCorruptError("it has neither 'response' nor 'error'")
    response = raw.get("response")
    if kind == "http" and isinstance(response, dict) and "status_code" in response:
        return _agenttape_http(request, response)
    if kind == "llm" and request.get("endpoint") in _ENDPOINTS:
        return _agenttape_openai(raw, request)
    return _agenttape_boundary(kind, raw, request)


def _agenttape_http(request: dict[str, JSON], response: dict[str, JSON]) -> dict[str, JSON]:
    asked = _request(
        request.get("method"), request.get("url"), _header_list(request.get("headers")), _agenttape_body(request)
    )
    answer = _response(
        response.get("status_code"),
        _header_list(response.get("headers")),
        _agenttape_body(response),
        reason=response.get("reason_phrase") or response.get("reason"),
        version=response.get("http_version"),
    )
    return _exchange(_settled(asked), answer)


def _agenttape_body(message: Mapping[str, JSON]) -> _Body:
    for key in ("raw_b64", "body_b64"):
        if key in message:
            return _Body(_unbase64(message[key]))
    if "json" in message:
        return _Body(json.dumps(message["json"], ensure_ascii=False, default=_unwritable).encode("utf-8", "replace"))
    if "form" in message:
        return _Body(b"".join(bodies.decode_chunks({"form": message["form"]})))
    return _Body.of(message.get("text", message.get("content")))


def _unwritable(value: object) -> JSON:
    raise CassetteCorruptError(f"its body holds a value of type {type(value).__name__}")


def _agenttape_openai(raw: Mapping[str, JSON], request: dict[str, JSON]) -> dict[str, JSON]:
    """Rebuild the exchange that an SDK call makes: the tool recorded arguments and the parsed answer."""
    body = _settled({name: value for name, value in request.items() if name != "endpoint"})
    url = _OPENAI + _ENDPOINTS[request["endpoint"]]
    asked = {"method": "POST", "url": url, "headers": {"content-type": "application/json"}, "json": body}
    answer = {"status": 200, "headers": {"content-type": "application/json"}, "json": raw.get("response")}
    out = _exchange(asked, answer)
    if raw.get("error") is not None:
        out = {**out, "error": raw["error"]}
        out["metadata"] = {
            **out.get("metadata", {}),
            UNPLAYABLE: "an SDK's exception does not tell what came over HTTP",
        }
        del out["response"]
    return out


def _agenttape_boundary(kind: str, raw: Mapping[str, JSON], request: dict[str, JSON]) -> dict[str, JSON]:
    boundary = None if raw.get("boundary") is None else str(raw["boundary"])
    out: dict[str, JSON] = {"kind": kind, "boundary": boundary, "request": _settled(_agenttape_args(request))}
    if raw.get("error") is not None:
        error = _mapping_of(raw["error"], "its error")
        out["error"] = {name: value for name, value in error.items() if name != "repr"}
    else:
        out["response"] = values.encode(raw.get("response"))
    if isinstance(raw.get("usage"), dict):
        out["usage"] = raw["usage"]
    if _is_observation(request):
        out["metadata"] = {OBSERVED: True}
    return out


def _agenttape_args(request: dict[str, JSON]) -> dict[str, JSON]:
    arguments = request.get("args")
    if request.keys() != {"name", "args"} or not isinstance(arguments, dict):
        return _mapping_of(values.encode(request), "its request")
    if arguments.keys() == {"args", "kwargs"} and isinstance(arguments["kwargs"], dict):
        arguments = {"args": arguments["args"], **arguments["kwargs"]}
    return {"args": {name: values.encode(each) for name, each in arguments.items()}}


def _is_observation(request: Mapping[str, JSON]) -> bool:
    """Say whether the request is one that callbacks write; in replay nothing asks for it."""
    return request.keys() in ({"prompts"}, {"name", "input"}, {"query"}) or request.get("node") == "__graph__"


def _settled(value: JSON) -> JSON:
    """Return *value* with the tool's placeholder as one of ours, so that it equals what is redacted here."""
    if isinstance(value, str):
        return value.replace(_REDACTED_BY_AGENTTAPE, "REDACTED0000")
    if isinstance(value, dict):
        return {name: _settled(each) for name, each in value.items()}
    return [_settled(each) for each in value] if isinstance(value, list) else value


def _with_assets(value: JSON, read_asset: ReadAsset) -> JSON:
    """Return *value* with the content of its assets in place, text as text and binary as bytes."""
    if isinstance(value, list):
        return [_with_assets(each, read_asset) for each in value]
    if not isinstance(value, dict):
        return value
    digest = value.get("__agenttape_asset__")
    if isinstance(digest, str):
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise CassetteCorruptError(f"it refers to an asset by {digest[:80]!r}, which is no digest")
        content = read_asset(digest.replace(":", "-"))
        return content if value.get("encoding") == "base64" else content.decode("utf-8", "replace")
    if value.keys() == {"__agenttape_bytes__"}:
        return _unbase64(value["__agenttape_bytes__"])
    return {name: _with_assets(each, read_asset) for name, each in value.items()}


def _agenttape_notes(translated: Sequence[Mapping[str, JSON]]) -> Iterator[str]:
    yield "tuples and sets were recorded as lists, objects as mappings; they come back as such"
    rebuilt = [each for each in translated if each["kind"] == "llm" and "url" in each["request"]]
    if any(each["request"]["url"].startswith(_OPENAI) for each in rebuilt):
        yield f"calls of the OpenAI SDK were recorded above HTTP; they answer requests to {_OPENAI}"
    observed = [f"#{each['index']}" for each in translated if OBSERVED in each["metadata"]]
    if observed:
        yield f"{', '.join(observed)}: recorded by a callback, which nothing asks for in replay"


# agentcassette


def _is_agentcassette(root: Mapping[str, JSON]) -> bool:
    return isinstance(root.get("steps"), list) and "interactions" not in root


def _agentcassette_meta(root: Mapping[str, JSON]) -> dict[str, JSON]:
    if root.get("version", 1) != 1:
        raise SchemaVersionError(f"agentcassette's version {root.get('version')!r} is not supported")
    return {"model": root["model"]} if isinstance(root.get("model"), str) else {}


def _from_agentcassette(raw: dict[str, JSON], _read_asset: ReadAsset) -> dict[str, JSON]:
    kind = raw.get("type")
    arguments = _mapping_of(raw.get("arguments") or {}, "'arguments'")
    named = _mapping_of(arguments.get("kwargs") or {}, "'kwargs'")
    positional = arguments.get("args") or []
    if not isinstance(positional, list):
        raise CassetteCorruptError("'args' must be a list")
    request: dict[str, JSON] = {"args": {name: values.encode(each) for name, each in named.items()}}
    request["positional"] = [values.encode(each) for each in positional]
    out: dict[str, JSON] = {
        "kind": kind if kind in ("llm", *BOUNDARY_KINDS) else "tool",
        "boundary": str(raw.get("name") or "call"),
        "request": request,
        "response": values.encode(raw.get("result")),
        "latency_ms": raw.get("duration_ms"),
    }
    given, taken = raw.get("input_tokens"), raw.get("output_tokens")
    if kind == "llm" and isinstance(given, int) and isinstance(taken, int):
        out["usage"] = {"input_tokens": given, "output_tokens": taken, "total_tokens": given + taken}
    problem = _first_repr(raw.get("result"), "result") or _first_repr(positional, "args") or _first_repr(named, "args")
    if problem:
        out["metadata"] = {UNPLAYABLE: problem}
    return out


def _first_repr(value: JSON, where: str) -> str | None:
    if isinstance(value, dict):
        if value.keys() == {"__repr__"}:
            return f"{where} is only the text of an object, {str(value['__repr__'])[:80]!r}; record it again"
        found = (_first_repr(each, f"{where}.{name}") for name, each in value.items())
    elif isinstance(value, list):
        found = (_first_repr(each, f"{where}[{position}]") for position, each in enumerate(value))
    else:
        return None
    return next(filter(None, found), None)


def _agentcassette_notes(translated: Sequence[Mapping[str, JSON]]) -> Iterator[str]:
    if translated:
        yield "tuples and sets were recorded as lists, objects as mappings; they come back as such"
        yield (
            "positional arguments were recorded without their names and are compared by position; "
            "an argument that was not recorded counts as left to its default"
        )


# The tools


@dataclass(frozen=True, slots=True)
class _Tool:
    """One tool's format.

    Attributes:
        name: What it is called, with the versions whose format is known.
        wrote: Say from a file's root whether the tool wrote it.
        listed: Return the interactions of a root.
        translate: Return one interaction without its index.
        notes: Say what does not come back as it was, of the whole cassette.
        meta: Return facts about the run, after checking the version.
    """

    name: str
    wrote: Callable[[Mapping[str, JSON]], bool]
    listed: Callable[[Mapping[str, JSON]], JSON]
    translate: Callable[[dict[str, JSON], ReadAsset], dict[str, JSON]]
    notes: Callable[[Sequence[Mapping[str, JSON]]], Iterator[str]] = lambda _: iter(())
    meta: Callable[[Mapping[str, JSON]], dict[str, JSON]] = lambda _: {}


_TOOLS = (
    _Tool(
        "AgentTape",
        _is_agenttape,
        lambda root: root["interactions"],
        _from_agenttape,
        _agenttape_notes,
        _agenttape_meta,
    ),
    _Tool(
        "agentcassette",
        _is_agentcassette,
        lambda root: root["steps"],
        _from_agentcassette,
        _agentcassette_notes,
        _agentcassette_meta,
    ),
    _Tool("vcrpy", _is_vcr, lambda root: root["interactions"], _from_vcr),
    _Tool("ddapm-test-agent", _is_single_exchange, lambda root: [root], _from_vcr),
)

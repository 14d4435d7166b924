"""Requests as other tools write them: without what they leave out, and in the forms that they know."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias
from urllib.parse import urlencode

from pytest_agenttape import bodies, values
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import JSON
from pytest_agenttape.redaction import is_placeholder
from pytest_agenttape.redaction.names import Rule, body_rule, parameter_rule

Request: TypeAlias = Mapping[str, JSON]

_NAME_RULES = {"json": body_rule, "form": parameter_rule}
# What can be passed to the OpenAI SDK by name; what else is in a body was passed as `extra_body`.
_OPENAI_PARAMETERS = frozenset(
    "access_programs audio background background_options context_management conversation dimensions encoding_format"
    " frequency_penalty function_call functions image include input instructions logit_bias logprobs"
    " max_completion_tokens max_output_tokens max_tokens max_tool_calls messages metadata modalities model moderation n"
    " parallel_tool_calls prediction presence_penalty previous_response_id prompt prompt_cache_key prompt_cache_options"
    " prompt_cache_retention reasoning reasoning_effort response_format safety_identifier seed service_tier stop store"
    " stream text temperature tool_choice tools top_logprobs top_p truncation user verbosity web_search_options".split()
)
_MADE_BY_THE_SDK = {"stream": False, "encoding_format": "base64"}  # unless the caller says otherwise


def without_secret_fields(request: Request, rules: KeyRules) -> Request:
    """Return *request* without the fields of its body that filters take out: those named like a secret, or redacted."""

    def is_kept(name: str, value: JSON, rule_of: Callable[[str], Rule]) -> bool:
        return not is_redacted(value, rules) and rule_of(name) in (Rule.NONE, Rule.LOOSE)

    for part, rule_of in _NAME_RULES.items():
        body = request.get(part)
        if isinstance(body, dict):
            kept = {name: value for name, value in body.items() if is_kept(name, value, rule_of)}
            others = {name: value for name, value in request.items() if name != part}
            return {**others, part: kept} if kept else others
    return request


def is_redacted(value: JSON, rules: KeyRules) -> bool:
    """Return whether *value* stands for a secret."""
    return isinstance(value, str) and is_placeholder(value, rules.placeholders, rules.placeholder)


def is_untyped(recorded: Request) -> bool:
    """Return whether *recorded* is a request whose body has no content type."""
    return "url" in recorded and not any(name.lower() == "content-type" for name in recorded.get("headers") or ())


def without_content_type(asked: Request, recorded: Request) -> Request:
    """Return *asked* with its body in the form that it was *recorded* in without a content type.

    vcrpy keeps what aiohttp's caller gave: no header of aiohttp's own, and a form as the mapping or the pairs it is.
    """
    given = recorded.get("json")
    if "form" in asked and isinstance(given, dict | list):
        body: Mapping[str, JSON] = {"json": given} if _as_form(given) == asked["form"] else {"form": asked["form"]}
    else:
        body = bodies.encode_body(bodies.decode_body(asked), None)
    return {"method": asked["method"], "url": asked["url"], **body}


def _as_form(given: JSON) -> JSON:
    try:
        pairs = given if isinstance(given, dict) else [(name, value) for name, value in given]
        said = urlencode(pairs, doseq=True).encode()  # as aiohttp does
        return bodies.encode_body(said, "application/x-www-form-urlencoded").get("form")
    except (TypeError, ValueError):
        return None


def as_openai_call(asked: Request, recorded: Request) -> Request:
    """Return *asked* as the arguments of the SDK's method, which is what was *recorded* of a call above HTTP."""
    body, kept = asked.get("json"), recorded.get("json")
    if not isinstance(body, dict) or not isinstance(kept, dict):
        return asked
    passed = {
        name: value
        for name, value in body.items()
        if name in kept or (name in _OPENAI_PARAMETERS and _MADE_BY_THE_SDK.get(name) != value)
    }
    return {**asked, "json": passed}


def without_nulls(value: JSON) -> JSON:
    """Return *value* without the keys whose value is null: a dump of an SDK's object has them, HTTP has not."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


def plain_arguments(request: Request) -> Request:
    """Return *request* with its typed arguments as text, lists and mappings."""
    arguments = request.get("args")
    if not isinstance(arguments, dict):
        return request
    return {**request, "args": {name: plain(each) for name, each in arguments.items()}}


def flattened(request: Request) -> Iterator[Request]:
    """Yield *request* as it is, and with a list as ``*args`` or a mapping as ``**kwargs`` among the other arguments."""
    yield request
    given = request.get("args")
    if not isinstance(given, dict):
        return
    lists = [None, *(name for name, each in given.items() if isinstance(each, list))]
    mappings = [None, *(name for name, each in given.items() if isinstance(each, dict))]
    for many in lists:
        for named in mappings:
            if many is not None or named is not None:
                yield {**request, "args": _spread(given, many, named)}


def _spread(given: Mapping[str, JSON], many: str | None, named: str | None) -> dict[str, JSON]:
    out: dict[str, JSON] = {}
    for name, value in given.items():
        if name == many:
            out.update({f"*{name}[{at}]": each for at, each in enumerate(value)})
        elif name != named:
            out[name] = value
    return {**out, **(given[named] if named is not None else {})}


def plain(stored: JSON) -> JSON:
    """Return a value in stored form as other tools write it: text, lists and mappings."""
    if isinstance(stored, dict) and isinstance(stored.get("fields"), dict) and "$type" in stored:
        return {name: plain(each) for name, each in stored["fields"].items() if not name.startswith("_")}
    try:
        return _written(values.decode(stored), stored)
    except AgentTapeError:
        return stored


def _written(value: object, stored: JSON) -> JSON:
    """Return *value* as it is written; what no tool writes in a form of its own stays as it is *stored*."""
    match value:
        case enum.Enum():
            return value.value
        case datetime.date() | datetime.time():
            return value.isoformat()
        case decimal.Decimal() | uuid.UUID():
            return str(value)
        case set() | frozenset():
            return [plain(values.encode(each)) for each in sorted(value, key=repr)]
        case list() | tuple():
            return [plain(values.encode(each)) for each in value]
        case dict():
            return {str(key): plain(values.encode(each)) for key, each in value.items()}
    return stored

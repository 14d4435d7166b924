"""Requests, responses, URLs and headers of HTTP libraries, as tools return them and exceptions carry them.

They come back with their content, and without a connection. Privates: ``_content`` and ``_request`` of httpx's and
requests' responses (httpx 0.28, httpx2 2.16, requests 2.33), ``_cookies`` of requests' prepared requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from pytest_agenttape.model import JSON
from pytest_agenttape.values._forms import MARKER, DecodePart, EncodePart, Family, Stored, cannot_record
from pytest_agenttape.values._lookup import class_name, loaded_class

# Any: the libraries are optional, their types are not importable.


def _headers(items: Iterable[tuple[str, str]]) -> dict[str, JSON]:
    """Return headers as a mapping; the values of a repeated one in a list."""
    out: dict[str, Any] = {}
    for name, value in items:
        out.setdefault(str.__str__(name), []).append(value)  # names may be of a class that knows no case
    return {name: values[0] if len(values) == 1 else values for name, values in out.items()}


def _header_items(stored: dict[str, JSON]) -> list[tuple[str, str]]:
    return [(name, each) for name, value in stored.items() for each in (value if isinstance(value, list) else [value])]


# --- httpx and httpx2


def _encode_httpx_request(request: Any, part: EncodePart) -> Stored:
    out: Stored = {
        MARKER: class_name(type(request)),
        "method": request.method,
        "url": str(request.url),
        "headers": _headers(request.headers.multi_items()),
    }
    if "_content" in vars(request):  # else it was a stream, which is used up
        out["body"] = part(request.content, ".content")
    return out


def _decode_httpx_request(cls: Any, stored: Stored, part: DecodePart) -> object:
    headers = _header_items(stored["headers"])
    if "body" in stored:
        request = cls(stored["method"], stored["url"], headers=headers, content=part(stored["body"]))
    else:
        request = cls(stored["method"], stored["url"], headers=headers, stream=iter(()))
    request.headers = type(request.headers)(headers)
    return request


def _encode_httpx_response(response: Any, part: EncodePart) -> Stored:
    if "_content" not in vars(response):
        raise cannot_record(type(response), "its body has not been read")
    out: Stored = {
        MARKER: class_name(type(response)),
        "status": response.status_code,
        "reason": response.reason_phrase,
        "http_version": response.http_version,
        "headers": _headers(response.headers.multi_items()),
        "body": part(response.content, ".content"),
    }
    if response._request is not None:
        out["request"] = part(response._request, ".request")
    if response.history:
        out["history"] = part(response.history, ".history")
    with suppress(RuntimeError):  # it was not sent by a client
        out["elapsed_ms"] = round(response.elapsed.total_seconds() * 1000, 3)
    return out


def _decode_httpx_response(cls: Any, stored: Stored, part: DecodePart) -> object:
    response = cls(
        stored["status"],
        headers=_header_items(stored["headers"]),
        request=part(stored.get("request")),
        history=part(stored.get("history", [])),
        extensions={"http_version": stored["http_version"].encode(), "reason_phrase": stored["reason"].encode()},
    )
    response._content = part(stored["body"])
    if "elapsed_ms" in stored:
        response.elapsed = timedelta(milliseconds=stored["elapsed_ms"])
    return response


# --- requests


def _encode_prepared_request(request: Any, part: EncodePart) -> Stored:
    out: Stored = {
        MARKER: class_name(type(request)),
        "method": request.method,
        "url": request.url,
        "headers": _headers((request.headers or {}).items()),
    }
    if isinstance(request.body, str | bytes):  # else it was a stream, which is used up
        out["body"] = part(request.body, ".body")
    return out


def _decode_prepared_request(cls: Any, stored: Stored, part: DecodePart) -> object:
    request = cls()
    request.method, request.url, request.body = stored["method"], stored["url"], part(stored.get("body"))
    request.headers = _case_insensitive(_header_items(stored["headers"]))
    request._cookies = _cookie_jar([])
    return request


def _encode_requests_response(response: Any, part: EncodePart) -> Stored:
    if response._content is False:
        raise cannot_record(type(response), "its body has not been read")
    out: Stored = {
        MARKER: class_name(type(response)),
        "status": response.status_code,
        "reason": response.reason,
        "url": response.url,
        "headers": _headers(response.headers.items()),
        "body": part(response.content, ".content"),
        "encoding": response.encoding,
        "elapsed_ms": round(response.elapsed.total_seconds() * 1000, 3),
    }
    if len(response.cookies):
        out["cookies"] = [
            {"name": each.name, "value": each.value, "domain": each.domain, "path": each.path}
            for each in response.cookies
        ]
    if response.request is not None:
        out["request"] = part(response.request, ".request")
    if response.history:
        out["history"] = part(response.history, ".history")
    return out


def _decode_requests_response(cls: Any, stored: Stored, part: DecodePart) -> object:
    response = cls()
    response.status_code, response.reason, response.url = stored["status"], stored["reason"], stored["url"]
    response.headers = _case_insensitive(_header_items(stored["headers"]))
    response._content, response._content_consumed = part(stored["body"]), True
    response.encoding = stored["encoding"]
    response.elapsed = timedelta(milliseconds=stored["elapsed_ms"])
    response.cookies = _cookie_jar(stored.get("cookies", []))
    response.request = part(stored.get("request"))
    response.history = part(stored.get("history", []))
    return response


def _case_insensitive(items: Iterable[tuple[str, str]]) -> Any:
    cls: Any = loaded_class("requests.structures", "CaseInsensitiveDict")
    return cls(items)


def _cookie_jar(cookies: Iterable[dict[str, JSON]]) -> Any:
    cls: Any = loaded_class("requests.cookies", "RequestsCookieJar")
    jar = cls()
    for each in cookies:
        jar.set(each["name"], each["value"], domain=each["domain"], path=each["path"])
    return jar


# --- what they are made of


def _encode_text(value: object, _: EncodePart) -> Stored:
    return {MARKER: class_name(type(value)), "value": str(value)}


def _decode_text(cls: Any, stored: Stored, _: DecodePart) -> object:
    return cls(stored["value"])


def _encode_pairs(value: Any, part: EncodePart) -> Stored:
    items = value.multi_items() if hasattr(value, "multi_items") else value.items()
    return {MARKER: class_name(type(value)), "headers": part(_headers(items), "")}


def _decode_pairs(cls: Any, stored: Stored, part: DecodePart) -> object:
    items = _header_items(part(stored["headers"]))
    if cls.__name__.endswith("Proxy"):  # multidict's view of another
        below: Any = loaded_class("multidict", cls.__name__.removesuffix("Proxy"))
        return cls(below(items))
    made = cls()
    for name, value in items:
        made.add(name, value)
    return made


def _decode_message(cls: Any, stored: Stored, part: DecodePart) -> object:
    made = cls()
    for name, value in _header_items(part(stored["headers"])):
        made[name] = value  # which adds to those of the same name
    return made


def _decode_items(cls: Any, stored: Stored, part: DecodePart) -> object:
    return cls(_header_items(part(stored["headers"])))


_FORMS: tuple[tuple[str, str, Callable[..., Stored], Callable[..., object]], ...] = (
    *(
        (library, name, encode, decode)
        for library in ("httpx", "httpx2")
        for name, encode, decode in (
            ("Request", _encode_httpx_request, _decode_httpx_request),
            ("Response", _encode_httpx_response, _decode_httpx_response),
            ("URL", _encode_text, _decode_text),
            ("Headers", _encode_pairs, _decode_items),
        )
    ),
    ("requests", "PreparedRequest", _encode_prepared_request, _decode_prepared_request),
    ("requests", "Response", _encode_requests_response, _decode_requests_response),
    ("requests.structures", "CaseInsensitiveDict", _encode_pairs, _decode_items),
    ("yarl", "URL", _encode_text, _decode_text),
    *(
        ("multidict", name, _encode_pairs, _decode_pairs)
        for name in ("MultiDict", "CIMultiDict", "MultiDictProxy", "CIMultiDictProxy")
    ),
    ("urllib3", "HTTPHeaderDict", _encode_pairs, _decode_pairs),
    ("http.client", "HTTPMessage", _encode_pairs, _decode_message),
)


def _family(module: str, name: str, encode: Callable[..., Stored], decode: Callable[..., object]) -> Family:
    return Family(lambda cls: cls is loaded_class(module, name), encode, decode)


HTTP_FAMILIES = tuple(_family(*form) for form in _FORMS)

"""A request as a cassette stores it: readable, whatever its content encoding."""

from __future__ import annotations

from collections.abc import Container

from pytest_agenttape import bodies
from pytest_agenttape.bodies.messages import HttpRequest, grouped, header
from pytest_agenttape.matching.headers import is_stored
from pytest_agenttape.model import JSON


def stored_request(request: HttpRequest, compared: Container[str] = ()) -> dict[str, JSON]:
    """Return *request* as a cassette stores it, its secrets still in it; headers that are *compared* stay."""
    body, encoding = without_encoding(request)
    undone = ("content-encoding",) if encoding else ()
    kept = tuple([each for each in request.headers if is_stored(*each, compared) and each[0].lower() not in undone])
    stored: dict[str, JSON] = {"method": request.method, "url": request.url, "headers": grouped(kept)}
    if encoding:
        stored["encoded"] = encoding
    stored.update(bodies.encode_body(body, header(request.headers, "content-type")))
    return stored


def without_encoding(request: HttpRequest) -> tuple[bytes, str]:
    """Return the body of *request* without its content encoding, and which that was; empty if none was undone."""
    encoding = header(request.headers, "content-encoding")
    if not encoding or not request.body:
        return request.body, ""
    try:
        return bodies.decode_content(request.body, encoding), encoding
    except ValueError:  # kept as it is sent, with the header
        return request.body, ""

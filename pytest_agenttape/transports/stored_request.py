"""A request as a cassette stores it: readable, whatever its content encoding."""

from __future__ import annotations

from collections.abc import Container, Mapping
from types import MappingProxyType

from pytest_agenttape import bodies
from pytest_agenttape.bodies.messages import HttpRequest, by_name, grouped, header
from pytest_agenttape.matching.headers import stored_headers
from pytest_agenttape.model import JSON

_NONE: Mapping[str, JSON] = MappingProxyType({})


def stored_request(
    request: HttpRequest, compared: Container[str] = (), expected: Mapping[str, JSON] = _NONE
) -> dict[str, JSON]:
    """Return *request* as a cassette stores it, its secrets still in it; headers that are *compared* stay.

    What its body has in common with the stored request that is *expected* is the same object.
    """
    kept = stored_headers(request.headers, compared)  # those of the body among them
    said = by_name(kept)
    body, undone = _decoded(request.body, said.get("content-encoding"))
    if undone:
        kept = tuple([each for each in kept if each[0].lower() != "content-encoding"])
    stored: dict[str, JSON] = {"method": request.method, "url": request.url, "headers": grouped(kept)}
    if undone:
        stored["encoded"] = undone
    stored.update(bodies.encode_body(body, said.get("content-type"), expected.get("json")))
    return stored


def without_encoding(request: HttpRequest) -> tuple[bytes, str]:
    """Return the body of *request* without its content encoding, and which that was; empty if none was undone."""
    return _decoded(request.body, header(request.headers, "content-encoding"))


def _decoded(body: bytes, encoding: str | None) -> tuple[bytes, str]:
    if not encoding or not body:
        return body, ""
    try:
        return bodies.decode_content(body, encoding), encoding
    except ValueError:  # kept as it is sent, with the header
        return body, ""

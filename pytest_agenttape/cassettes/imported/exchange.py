"""HTTP exchanges of other tools in the form that this project records."""

from __future__ import annotations

from collections.abc import Container

from pytest_agenttape import bodies, providers
from pytest_agenttape.bodies.messages import CONNECTION_HEADERS, Headers, grouped, header, standard_phrase
from pytest_agenttape.cassettes.imported.body import Body
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.matching.headers import stored_headers
from pytest_agenttape.model import JSON

_OF_THE_ENCODED = frozenset(("content-encoding", "content-length"))


def exchange(request: dict[str, JSON], response: dict[str, JSON]) -> dict[str, JSON]:
    """Return an interaction for an HTTP exchange, seen through its provider's view if there is one."""
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


def request_of(method: JSON, url: JSON, headers: Headers, body: Body) -> dict[str, JSON]:
    """Return a request in stored form.

    Raises:
        CassetteCorruptError: It has no method or no URL.
    """
    if not isinstance(url, str) or not isinstance(method, str):
        raise CassetteCorruptError("its request has no method and URL")
    body, dropped, encoded = _undone(body, headers)
    kept = _without(stored_headers(headers), _OF_THE_ENCODED if encoded else dropped)  # which is not compared
    stored: dict[str, JSON] = {"method": method.upper(), "url": url, "headers": grouped(kept), **encoded}
    return stored | body.stored(header(headers, "content-type"))


def response_of(status: JSON, headers: Headers, body: Body, *, reason: JSON, version: JSON) -> dict[str, JSON]:
    """Return a response in stored form, its content encoding undone.

    Raises:
        CassetteCorruptError: It has no status.
    """
    if not isinstance(status, int) or isinstance(status, bool):
        raise CassetteCorruptError(f"its response has no status, found {status!r}")
    body, dropped, encoded = _undone(body, headers)
    stored: dict[str, JSON] = {"status": status, "headers": grouped(_without(headers, dropped | CONNECTION_HEADERS))}
    if isinstance(version, str) and version and version != "HTTP/1.1":
        stored["http_version"] = version
    if isinstance(reason, str) and reason and reason != standard_phrase(status):
        stored["reason"] = reason
    return stored | encoded | body.stored(header(headers, "content-type"))


def _undone(body: Body, headers: Headers) -> tuple[Body, frozenset[str], dict[str, JSON]]:
    """Return *body* without its content encoding, the headers that do not apply to that, and what to do again."""
    encoding = header(headers, "content-encoding")
    if not encoding or body == Body():
        return body, frozenset(), {}
    try:
        decoded = body.without_encoding(encoding)
    except ValueError:  # kept as it came, header and all
        return body, frozenset(), {}
    if decoded is not None and bodies.can_encode(encoding):
        return decoded, frozenset(), {"encoded": encoding}
    return decoded or body, _OF_THE_ENCODED, {}


def _without(headers: Headers, dropped: Container[str]) -> Headers:
    return tuple(pair for pair in headers if pair[0].lower() not in dropped)

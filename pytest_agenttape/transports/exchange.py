"""One HTTP exchange through a session, the same for every library: what is asked, served, recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from pytest_agenttape import bodies, providers
from pytest_agenttape.canonical import is_transport_header
from pytest_agenttape.errors import AgentTapeError, StreamingReplayError
from pytest_agenttape.model import JSON
from pytest_agenttape.scope import Scope
from pytest_agenttape.session import Entry, Poison, Session
from pytest_agenttape.wire import Headers, HttpRequest, HttpResponse, header

_POISONOUS = frozenset({401, 403, 429})
_LAST_EVENTS = frozenset({"[DONE]", "message_stop", "response.completed", "response.failed", "response.incomplete"})
# Describe one connection, not the answer.
_CONNECTION_HEADERS = frozenset({"transfer-encoding", "connection", "keep-alive", "trailer", "upgrade"})


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """A recorded failure below HTTP; each library raises it as the class of its own named *type*."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that reached a session, and what the session decided."""

    session: Session
    entry: Entry
    operation: providers.Operation | None
    request: HttpRequest

    @property
    def is_live(self) -> bool:
        return self.entry.is_live

    @property
    def inside(self) -> Scope:
        """The scope in which the request is sent for real: connections are allowed there."""
        return Scope(self.session, self.entry)


def begin(found: Scope, request: HttpRequest) -> Exchange:
    """Let the session of *found* decide what *request* gets.

    Raises:
        UnmatchedInteractionError: Nothing answers, and nothing may run for real.
    """
    __tracebackhide__ = True
    session: Session = found.owner
    stored = stored_request(session, request)
    operation = providers.identify(request.method, request.url, bodies.stored_json(stored))
    kind, boundary, metadata = "http", None, {}
    if operation is not None:
        kind, boundary = "llm", operation.boundary
        metadata = {"provider": operation.provider, "operation": operation.operation}
        if operation.model is not None:
            metadata["model"] = operation.model
    entry = session.begin(kind, boundary, stored, parent=found.crossing, metadata=metadata)
    return Exchange(session, entry, operation, _overridden(session, entry, operation, request))


def stored_request(session: Session, request: HttpRequest) -> dict[str, JSON]:
    """Return *request* as a cassette holds it, redacted."""
    kept = tuple((name, value) for name, value in request.headers if not is_transport_header(name.lower()))
    content_type = header(request.headers, "content-type")
    redactor = session.redactor
    headers = _mapping(redactor.headers(kept))
    stored: dict[str, JSON] = {"method": request.method, "url": redactor.url(request.url), "headers": headers}
    stored.update(redactor.body(bodies.encode_body(request.body, content_type), content_type))
    return stored


def served(exchange: Exchange) -> HttpResponse | TransportFailure:
    """Return what the recording answers."""
    recorded = exchange.entry.interaction
    assert recorded is not None
    if recorded.error is not None:
        return TransportFailure(str(recorded.error.get("type")), str(recorded.error.get("message") or ""))
    return _read_response(recorded.response, exchange.request.method)


def failure_after(exchange: Exchange) -> TransportFailure | None:
    """Return the recorded failure that ended the stream, if one did."""
    recorded = exchange.entry.interaction
    stored = recorded.response.get("stream_error") if recorded and isinstance(recorded.response, dict) else None
    if not isinstance(stored, dict):
        return None
    return TransportFailure(str(stored.get("type")), str(stored.get("message") or ""))


def past_the_end(exchange: Exchange) -> StreamingReplayError:
    """Return the error for a reader that goes on where the recorded one stopped."""
    error = StreamingReplayError(
        f"{exchange.request.method} {exchange.entry.call.request['url']}: the recording of this stream ends here, "
        "because its reader stopped early; record it again to read further"
    )
    exchange.session.refuse(error)
    return error


@dataclass(slots=True)
class Recording:
    """Collects a live response as it passes by, and hands it to the session once."""

    exchange: Exchange
    status: int
    headers: Headers
    reason: str = ""
    http_version: str = "HTTP/1.1"
    _chunks: list[bytes] = field(default_factory=list)
    _is_over: bool = False

    def add(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def end(self) -> None:
        """The body was read to its end."""
        self._finish(complete=True)

    def close(self) -> None:
        """The reader stopped; the recording says whether the end was reached."""
        if not self._is_over:
            self._finish(complete=self._has_no_body() or self._saw_last_event())

    def fail(self, type_name: str, module: str, message: str) -> None:
        """The connection broke in the middle of the body."""
        self._finish(complete=False, error={"type": type_name, "module": module, "message": message})

    def _finish(self, *, complete: bool, error: dict[str, JSON] | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        exchange = self.exchange
        stored = self._stored()
        if error is not None:
            stored["stream_error"] = exchange.session.redactor.value(error)
        if not complete:
            stored["complete"] = False
        answer = providers.read_answer(exchange.operation, stored) if exchange.operation else None
        usage = dict(answer.usage) if answer and answer.usage else None
        exchange.session.finish(exchange.entry, response=stored, usage=usage, poison=self._poison())

    def _stored(self) -> dict[str, JSON]:
        raw, headers = b"".join(self._chunks), self.headers
        encoding = header(headers, "content-encoding")
        if encoding:
            try:
                raw = bodies.decode_content(raw, encoding)
            except ValueError:  # kept as it came, header and all
                encoding = None
        dropped = _CONNECTION_HEADERS | ({"content-encoding", "content-length"} if encoding else set())
        redactor = self.exchange.session.redactor
        kept = tuple((name, value) for name, value in headers if name.lower() not in dropped)
        stored: dict[str, JSON] = {"status": self.status, "headers": _mapping(redactor.headers(kept))}
        if self.http_version != "HTTP/1.1":
            stored["http_version"] = self.http_version
        if self.reason and self.reason != _standard_phrase(self.status):
            stored["reason"] = self.reason
        content_type = header(headers, "content-type")
        stored.update(redactor.body(bodies.encode_body(raw, content_type), content_type))
        return stored

    def _has_no_body(self) -> bool:
        if self.exchange.request.method == "HEAD" or self.status in (204, 304) or self.status < 200:
            return True
        length = header(self.headers, "content-length")
        return length is not None and length.isdigit() and sum(map(len, self._chunks)) >= int(length)

    def _saw_last_event(self) -> bool:
        tail = b"".join(self._chunks[-4:])[-65536:]
        return any(
            f"data: {last}".encode() in tail or f"event: {last}".encode() in tail or f'"type":"{last}"'.encode() in tail
            for last in _LAST_EVENTS
        )

    def _poison(self) -> Poison | None:
        if self.status in _POISONOUS or self.status >= 500:
            return Poison(self.status, f"a live call was answered with {self.status}")
        return None


def record_failure(exchange: Exchange, error: BaseException, *, is_timeout: bool) -> None:
    """Keep a live request that got no response."""
    name = type(error).__name__
    stored = {"type": name, "module": type(error).__module__, "message": str(error)}
    poison = Poison("timeout", f"a live call ended with {name}") if is_timeout else None
    exchange.session.finish(exchange.entry, error=exchange.session.redactor.value(stored), poison=poison)


def _overridden(
    session: Session, entry: Entry, operation: providers.Operation | None, request: HttpRequest
) -> HttpRequest:
    """Send a live LLM call to the configured model in place of the one that was asked for."""
    model = session.settings.config.model_override
    if model is None or not entry.is_live or operation is None:
        return request
    body = bodies.stored_json(entry.call.request)
    if not isinstance(body, dict) or "model" not in body:
        return request
    entry.metadata["model"] = model
    changed = json.dumps({**json.loads(request.body), "model": model}, ensure_ascii=False, separators=(",", ":")).encode()
    headers = tuple(
        (name, str(len(changed)) if name.lower() == "content-length" else value) for name, value in request.headers
    )
    return HttpRequest(request.method, request.url, headers, changed)


def _read_response(stored: Mapping[str, JSON], method: str) -> HttpResponse:
    if not isinstance(stored, dict) or not isinstance(stored.get("status"), int):
        raise AgentTapeError("the recording of this request holds no HTTP response with a status; record it again")
    headers = _listed(stored.get("headers") or {})
    content_type = header(headers, "content-type")
    chunks = bodies.decode_chunks(stored, content_type)
    status = stored["status"]
    if chunks and method != "HEAD":
        length = str(sum(map(len, chunks)))
        headers = tuple((name, length if name.lower() == "content-length" else value) for name, value in headers)
    return HttpResponse(
        status=status,
        headers=headers,
        chunks=chunks,
        reason=str(stored.get("reason") or _standard_phrase(status)),
        http_version=str(stored.get("http_version") or "HTTP/1.1"),
        complete=stored.get("complete", True) is not False,
    )


def _mapping(headers: Headers) -> dict[str, JSON]:
    """Group *headers* by name; a name that is sent more than once has a list."""
    grouped: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for name, value in headers:
        grouped.setdefault(names.setdefault(name.lower(), name), []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}


def _listed(headers: Mapping[str, JSON]) -> Headers:
    return tuple(
        (name, str(each)) for name, value in headers.items() for each in (value if isinstance(value, list) else [value])
    )


def _standard_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""

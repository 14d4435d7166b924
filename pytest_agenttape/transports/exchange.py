"""One HTTP exchange through a session, the same for every library: requested, served, recorded."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pytest_agenttape import bodies, ownership, providers, telemetry
from pytest_agenttape.bodies.messages import (
    HttpRequest,
    HttpResponse,
    grouped,
    header,
)
from pytest_agenttape.errors import AgentTapeError, StreamingReplayError
from pytest_agenttape.model import JSON, TELEMETRY_KIND, Interaction
from pytest_agenttape.ownership import Owner, Scope
from pytest_agenttape.ownership.calls import Live, Recorder, Served
from pytest_agenttape.ownership.turns import Turn
from pytest_agenttape.process.cancellation import is_cancellation, is_unanswered, unanswered
from pytest_agenttape.providers import mcp
from pytest_agenttape.reading.delivery import without_cookies_of_networks
from pytest_agenttape.transports import pacing
from pytest_agenttape.transports.mcp import http as mcp_http
from pytest_agenttape.transports.pacing import Schedule
from pytest_agenttape.transports.stored_request import stored_request, without_encoding
from pytest_agenttape.transports.stored_response import read_response

_IDEMPOTENCY_KEYS = ("idempotency-key", "x-idempotency-key")
_ERRNO = re.compile(r"\[Errno (-?\d+)\] (.*)", re.DOTALL)
_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """A recorded failure below HTTP; each library raises it as its own class named *type*."""

    type: str
    message: str
    module: str = ""
    details: Mapping[str, JSON] = field(default_factory=dict)  # what the library's own class is made of besides

    @property
    def is_cancellation(self) -> bool:
        """Whether nothing failed, but the agent stopped waiting; a replay waits until it does so again."""
        return is_unanswered({"type": self.type, "module": self.module})

    @property
    def number(self) -> tuple[int, str] | None:
        """The system's number and words for what failed, if the message has them."""
        found = _ERRNO.fullmatch(self.message)
        return found and (int(found[1]), found[2])

    def named(self, faults: Mapping[str, str]) -> TransportFailure:
        """Return it with the library's own name of a fault from the tape: ``timeout``, ``connection``, ``reset``."""
        return replace(self, type=faults[self.type]) if self.type in faults else self


class Exchange(NamedTuple):
    """A request that reached a session, and what the session decided."""

    owner: Owner
    call: Served | Live
    operation: providers.Operation | None
    request: HttpRequest
    calls_before: int
    is_changed: bool = False

    @property
    def is_live(self) -> bool:
        return self.call.is_live

    def header(self, name: str, value: str) -> str:
        """Return what is sent for the header *name*, of which the agent gave *value*."""
        is_key = name.lower() in _IDEMPOTENCY_KEYS
        return (header(self.request.headers, name.lower()) or value) if is_key else value

    @property
    def live(self) -> Live:
        """The call; only for one that runs for real."""
        assert isinstance(self.call, Live)
        return self.call

    @property
    def recorded(self) -> Interaction | None:
        """The recording that answers it, if any."""
        return self.call.recorded

    @property
    def is_unanswered(self) -> bool:
        """Whether the agent did not wait for the answer when this was recorded."""
        return self.recorded is not None and is_unanswered(self.recorded.error or {})

    @property
    def turn(self) -> Turn | None:
        """When the recorded answer is due among others; None if at once."""
        return self.call.turn

    @property
    def recorder(self) -> Recorder:
        """The session that decided."""
        return self.call.recorder

    @property
    def inside(self) -> Scope:
        """The scope in which the request is sent for real: connections are allowed, libraries below record nothing."""
        return Scope(self.owner, self.live, is_aside=True)

    def calls_meanwhile(self) -> int:
        """Return how many calls the agent has made since this one."""
        return self.recorder.calls_made - self.calls_before


def owner_of(method: str, url: Callable[[], str]) -> Scope | None:
    """Return whom a request belongs to; None where it is passed on: to no session, or below another transport."""
    found = ownership.current(url, method)
    if found is None or found.is_aside or found.owner.admits(method, url()):
        return None
    return found


def is_answered(found: Scope, method: str, url: str, content_type: str = "") -> bool:
    """Return whether the session of *found* answers a request as telemetry; count it then.

    Raises:
        AgentTapeError: It is none, and only because its address is like telemetry's did it come this far.
    """
    if not found.owner.answers(method, url):
        return False
    if found.owner.answers(method, url, content_type):
        telemetry.count(method, url)
        return True
    ownership.current(lambda: url)
    return False


@contextmanager
def sending(exchange: Exchange) -> Iterator[None]:
    """Return a block that sends a live request, and keeps its failure."""
    try:
        with ownership.within(exchange.inside):
            yield
    except Exception as error:
        record_failure(exchange, error)
        raise


def begin(found: Scope, request: HttpRequest) -> Exchange:
    """Let the session of *found* decide about *request*.

    Raises:
        UnmatchedInteractionError: No recording answers, and the request may not run for real.
    """
    __tracebackhide__ = True
    if found.owner.answers(request.method, request.url) and is_answered(
        found, request.method, request.url, header(request.headers, "content-type") or ""
    ):
        asked = {"method": request.method, "url": request.url, "headers": grouped(request.headers)}
        return Exchange(found.owner, found.owner.begin(TELEMETRY_KIND, None, asked), None, request, calls_before=0)
    stored = stored_request(request, found.owner.match_headers, found.owner.expected)
    body = bodies.stored_json(stored)
    operation = providers.identify(request.method, request.url, body)
    is_rpc = mcp.method_of("POST", body) is not None
    kind, boundary, metadata = "http", None, {}
    if is_rpc and (boundary := mcp_http.tool_called(found.owner, request.method, request.url, body)) is not None:
        kind = "tool"
    elif operation is not None:
        kind, boundary = "llm", operation.boundary
        metadata = {"provider": operation.provider, "operation": operation.operation}
        if operation.model is not None:
            metadata["model"] = operation.model
    call = found.owner.begin(kind, boundary, stored, parent=found.running, metadata=metadata)
    if is_rpc:
        mcp_http.note_handshake(found.owner, request.url, body, call)
    sent = _with_own_key(call, _overridden(call, operation, request)) if isinstance(call, Live) else request
    return Exchange(
        found.owner, call, operation, sent, calls_before=call.recorder.calls_made, is_changed=sent is not request
    )


def served(exchange: Exchange) -> HttpResponse | TransportFailure:
    """Return the recorded answer."""
    recorded = exchange.call.recorded
    assert recorded is not None
    if recorded.error is not None:
        failure = _read_failure(recorded.error)
        if failure.is_cancellation:
            raise waited_in_vain(exchange)
        if exchange.turn is not None:
            exchange.turn.wait()
        return failure
    try:
        response = _numbered(recorded, exchange.call.call.request)
        if exchange.recorder.can_execute:  # its client would send them with the next live call, as they are stored
            response = without_cookies_of_networks(response)
        return read_response(response, exchange.request.method)
    except AgentTapeError as error:  # edited by hand
        raise exchange.recorder.refuse(error) from error.__cause__


def failure_after(exchange: Exchange) -> TransportFailure | None:
    """Return the recorded failure that came instead of an answer or ended its stream, if any."""
    recorded = exchange.call.recorded
    if recorded is None:
        return None
    stored = recorded.error
    if stored is None and isinstance(recorded.response, dict):
        stored = recorded.response.get("stream_error")
    return _read_failure(stored) if isinstance(stored, dict) else None


def past_the_end(exchange: Exchange) -> StreamingReplayError:
    """Return the error for a reader that goes on after the point where the recorded one stopped."""
    error = StreamingReplayError(
        f"{exchange.request.method} {exchange.call.call.request['url']}: the recording of this stream ends here, "
        "because its reader stopped early; record it again to read further"
    )
    exchange.recorder.refuse(error)
    return error


def schedule(exchange: Exchange, pieces: int) -> Schedule | None:
    """Return when the *pieces* of the recorded body are due; None if all are due at once, as they usually are."""
    recorded = exchange.call.recorded
    if recorded is None:
        return None
    failure = failure_after(exchange)
    never = (0 if recorded.error is not None else pieces) if failure is not None and failure.is_cancellation else None
    if never is None and not recorded.pace:
        return None

    def give_up() -> None:
        raise waited_in_vain(exchange)

    return Schedule(
        pace=recorded.pace if len(recorded.pace) == pieces + 1 else (),
        calls_meanwhile=exchange.calls_meanwhile,
        is_over=lambda: exchange.recorder.is_closed,
        never=never,
        give_up=give_up,
        longest=pacing.LONGEST_WAIT + (recorded.latency_ms or 0) / 1000,
    )


async def await_failure(exchange: Exchange) -> None:
    """Hold the task that made a request which failed, until its failure is due."""
    if exchange.turn is not None and exchange.recorded is not None and exchange.recorded.error is not None:
        await exchange.turn.waited()


def schedule_without_answer(exchange: Exchange) -> Schedule | None:
    """Return the schedule of a request that the agent stopped waiting for; None if it got an answer."""
    recorded = exchange.recorded
    return schedule(exchange, 0) if recorded is not None and recorded.error is not None else None


def waited_in_vain(exchange: Exchange) -> StreamingReplayError:
    """Return the error for an agent that does not give up where it did when recording."""
    error = StreamingReplayError(
        f"{exchange.request.method} {exchange.call.call.request['url']}: the agent stopped waiting for an answer when "
        "this was recorded, but is still waiting now; record it again"
    )
    exchange.recorder.refuse(error)
    return error


def record_failure(exchange: Exchange, error: BaseException, details: Mapping[str, JSON] | None = None) -> None:
    """Keep a live request that got no response, with *details*, unless the agent was interrupted."""
    if isinstance(error, AgentTapeError) or not (isinstance(error, Exception) or is_cancellation(error)):
        return
    stored = {**stored_failure(error), **(details or {})}
    exchange.recorder.finish(exchange.live, error=stored, failure=str(stored["type"]))
    explain(exchange, error)


def explain(exchange: Exchange, error: BaseException) -> None:
    """Add to *error* why the call is not recorded, if the failure was no outcome of the call at all."""
    poison = exchange.live.poison
    if poison is not None and poison.is_left_out:
        error.add_note(f"agenttape: {poison.text}, so it is not recorded\n  {poison.way_out}")


def stored_failure(error: BaseException) -> dict[str, JSON]:
    """Return *error* in the form that a cassette stores."""
    if is_cancellation(error):
        return unanswered()
    return {"type": type(error).__name__, "module": type(error).__module__, "message": str(error)}


def _read_failure(stored: Mapping[str, JSON]) -> TransportFailure:
    return TransportFailure(
        type=str(stored.get("type")),
        message=str(stored.get("message") or ""),
        module=str(stored.get("module") or ""),
        details={name: value for name, value in stored.items() if name not in ("type", "message", "module")},
    )


def _overridden(live: Live, operation: providers.Operation | None, request: HttpRequest) -> HttpRequest:
    """Return *request*, changed to name the configured model instead of the requested one."""
    model = live.recorder.model_override
    if model is None or operation is None or not operation.is_said:
        return request
    said, encoding = without_encoding(request)
    found = providers.with_model(request.url, json.loads(said), model)
    if found is None:
        return request
    live.send_to(model)
    url, body = found
    changed = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    changed = b"".join(bodies.encode_content([changed], encoding)) if encoding else changed
    headers = tuple(
        (name, str(len(changed)) if name.lower() == "content-length" else value) for name, value in request.headers
    )
    return HttpRequest(request.method, url, headers, changed)


def _with_own_key(live: Live, request: HttpRequest) -> HttpRequest:
    """Return *request* with an idempotency key of its own: the recorded UUIDs were keys of earlier requests."""
    space = live.recorder.key_space
    if space is None or not any(name.lower() in _IDEMPOTENCY_KEYS for name, _ in request.headers):
        return request

    def own(match: re.Match[str]) -> str:
        return str(uuid.uuid5(space, match[0]))  # the same one for a retry

    headers = tuple(
        (name, _UUID.sub(own, value) if name.lower() in _IDEMPOTENCY_KEYS else value) for name, value in request.headers
    )
    return request._replace(headers=headers) if headers != request.headers else request


def _numbered(recorded: Interaction, asked: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return the recorded response with the id under which it was asked for, where the protocol numbers requests."""
    response = recorded.response
    before, now = recorded.request.get("json"), asked.get("json")
    if before is now or not (
        isinstance(response, dict) and isinstance(before, dict) and isinstance(now, dict) and "jsonrpc" in before
    ):
        return response  # type: ignore[no-any-return]  # judged by who reads it
    return mcp.renumbered(response, before, now)

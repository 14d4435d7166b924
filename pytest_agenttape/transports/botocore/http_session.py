"""botocore, below boto3: the `send` of its session, which every client and every look-up of credentials goes through.

Third-party private used here: botocore 1.34-1.44 `AWSResponse._content`, the body that was read already.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore import awsrequest, exceptions  # type: ignore[import-untyped]  # it has no types
from urllib3 import HTTPResponse

from pytest_agenttape import ownership
from pytest_agenttape.bodies.messages import HttpRequest, text_of, whole
from pytest_agenttape.libraries import Library
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, TransportFailure
from pytest_agenttape.transports.urllib3 import response as urllib3

_BOTOCORE = Library("botocore", seen="1.34-1.44")
_FAULTS = {"timeout": "ReadTimeoutError", "connection": "EndpointConnectionError", "reset": "ConnectionClosedError"}
# Where a machine on AWS asks for its own credentials and region.
_METADATA_HOSTS = frozenset({"169.254.169.254", "fd00:ec2::254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"})

_lock = threading.Lock()


def install(library: str) -> None:
    """Patch `URLLib3Session.send`."""
    session = getattr(sys.modules[library], "URLLib3Session", None)
    with _lock:
        send = getattr(session, "send", None)
        if session is None or send is None:
            raise _BOTOCORE.lacks("URLLib3Session.send")
        if hasattr(send, "__agenttape__") or getattr(send, "__module__", "").partition(".")[0] != "botocore":
            return  # in place, or somebody's that answers everything while it is there
        urllib3.check()
        session.send = _wrap(send)


def _wrap(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def send(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        found = exchanges.owner_of(request.method, lambda: request.url)
        if found is None:
            return real(self, request)
        if _is_about_the_machine(request.url):
            return _ask_the_machine(found, functools.partial(real, self, request), request)
        exchange = exchanges.begin(found, _neutral(request))
        if not exchange.is_live:
            return _respond(request, exchange)
        with exchanges.sending(exchange), _as_sent(request, exchange):
            response = real(self, request)
        _record(response, exchange)
        return response

    send.__agenttape__ = True  # type: ignore[attr-defined]  # a mark of our own
    return send


def _is_about_the_machine(url: str) -> bool:
    return urlsplit(url).hostname in _METADATA_HOSTS


def _ask_the_machine(found: ownership.Scope, send: Callable[[], Any], request: Any) -> Any:
    """Ask what AWS says of the machine, credentials among it: not recorded, and in replay not there."""
    if not found.owner.can_execute:
        raise exceptions.ConnectTimeoutError(endpoint_url=request.url)
    with ownership.aside():
        return send()


# Replay -----------------------------------------------------------------------------------------------------------


def _respond(request: Any, exchange: Exchange) -> Any:
    __tracebackhide__ = True
    answer = exchanges.served(exchange)
    if isinstance(answer, TransportFailure):
        raise _failure(answer, request, exchange)
    parts = urlsplit(request.url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    raw = urllib3.replayed(answer, exchange, request.method, target)
    response = awsrequest.AWSResponse(request.url, raw.status, raw.headers, raw)
    if not request.stream_output:
        response.content  # noqa: B018  # read at once, as botocore itself does
    return response


def _failure(failure: TransportFailure, request: Any, exchange: Exchange) -> Exception:
    """Return the recorded *failure* as botocore's own, with its message."""
    if failure.is_cancellation:
        return exchanges.waited_in_vain(exchange)
    failure = failure.named(_FAULTS)
    found = getattr(exceptions, failure.type, None)
    if not (isinstance(found, type) and issubclass(found, exceptions.BotoCoreError)):
        found = exceptions.HTTPClientError
    told = {"endpoint_url": request.url, "proxy_url": "", "error": failure.message, "request": request}
    try:
        error: Exception = found(**told)
    except (KeyError, TypeError):  # its message is made of something else
        error = exceptions.HTTPClientError(**told)
    error.args = (failure.message,)
    return error


# Recording --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _as_sent(request: Any, exchange: Exchange) -> Iterator[None]:
    """Put what was read of the body into the request; a file is given back, for botocore rewinds it to try again."""
    body = request.body
    if hasattr(body, "read"):
        request.body = exchange.request.body
    try:
        yield
    finally:
        request.body = body


def _record(response: Any, exchange: Exchange) -> None:
    """Let *response* be recorded while its body is read, or as it is where botocore has read it whole."""
    raw = response.raw
    if response._content is None and isinstance(raw, HTTPResponse):
        urllib3.record(raw, exchange)
        return
    recording = urllib3.recording(raw, exchange, raw.headers.items(), is_decoded=False)
    recording.add(response.content)
    recording.end()


def _neutral(request: Any) -> HttpRequest:
    return HttpRequest(
        method=request.method,
        url=request.url,
        headers=tuple([(name, text_of(value)) for name, value in request.headers.items()]),
        body=whole(request.body),
    )

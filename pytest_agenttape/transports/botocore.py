"""botocore, below boto3: the `send` of its session, which every client and every look-up of credentials goes through.

Third-party privates used here: botocore 1.34-1.43 `AWSResponse._content`, the body that was read already;
`CredentialResolver.load_credentials` and `.providers`, which it does not document.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore import awsrequest, credentials, exceptions
from urllib3 import HTTPResponse

from pytest_agenttape import ownership
from pytest_agenttape.bodies.messages import HttpRequest
from pytest_agenttape.libraries import Library
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports import urllib3
from pytest_agenttape.transports.exchange import Exchange, TransportFailure

_BOTOCORE = Library("botocore", seen="1.34-1.43")

_lock = threading.Lock()


def install(library: str) -> None:
    """Patch `URLLib3Session.send`."""
    session = getattr(sys.modules[library], "URLLib3Session", None)
    with _lock:
        send = getattr(session, "send", None)
        if send is None:
            raise _BOTOCORE.lacks("URLLib3Session.send")
        if hasattr(send, "__agenttape__") or send.__module__.partition(".")[0] != "botocore":
            return  # in place, or somebody's that answers everything while it is there
        urllib3.check()
        _BOTOCORE.require(credentials.CredentialResolver, "load_credentials")
        session.send = _wrap(send)


def _wrap(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def send(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        found = ownership.current(lambda: request.url)
        if found is None or found.owner.admits(request.method, request.url):
            return real(self, request)
        exchange = exchanges.begin(found, _neutral(request))
        if not exchange.is_live:
            return _respond(request, exchange)
        try:
            with ownership.within(exchange.inside), _as_sent(request, exchange):
                response = real(self, request)
        except Exception as error:
            exchanges.record_failure(exchange, error)
            raise
        _record(response, exchange)
        return response

    send.__agenttape__ = True  # type: ignore[attr-defined]  # a mark of our own
    return send


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
        headers=tuple((name, _text(value)) for name, value in request.headers.items()),
        body=_whole(request.body),
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _whole(body: Any) -> bytes:
    if body is None:
        return b""
    content = body.read() if hasattr(body, "read") else body
    return content.encode() if isinstance(content, str) else bytes(content)

"""botocore, below boto3: the `send` of its session, which every client and every look-up of credentials goes through.

A replay asks nobody for credentials (no metadata service, no role, no program): whatever is not in the environment gets
a stand-in. A recording looks them up as ever, and keeps nothing of that.

Third-party privates used here: botocore 1.34-1.44 `AWSResponse._content`, the body that was read already;
`CredentialResolver.load_credentials` and `.providers`, `METHOD` of one, and `RefreshableCredentials._refresh`.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore import awsrequest, credentials, exceptions  # type: ignore[import-untyped]  # it has no types
from urllib3 import HTTPResponse

from pytest_agenttape import ownership
from pytest_agenttape.bodies.messages import HttpRequest
from pytest_agenttape.libraries import Library
from pytest_agenttape.process.patching import Patch
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports import urllib3
from pytest_agenttape.transports.exchange import Exchange, TransportFailure

_BOTOCORE = Library("botocore", seen="1.34-1.44")
_STAND_IN = ("AKIAREPLAYED00000000", "a-stand-in-of-pytest-agenttape-in-replay")
# Where a machine on AWS asks for its own credentials and region.
_METADATA_HOSTS = frozenset({"169.254.169.254", "fd00:ec2::254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"})

_lock = threading.Lock()


def install(library: str) -> None:
    """Patch `URLLib3Session.send`, and what looks up credentials."""
    session = getattr(sys.modules[library], "URLLib3Session", None)
    with _lock:
        send = getattr(session, "send", None)
        if session is None or send is None:
            raise _BOTOCORE.lacks("URLLib3Session.send")
        if hasattr(send, "__agenttape__") or send.__module__.partition(".")[0] != "botocore":
            return  # in place, or somebody's that answers everything while it is there
        urllib3.check()
        _BOTOCORE.require(credentials.CredentialResolver, "load_credentials")
        _BOTOCORE.require(credentials.RefreshableCredentials, "_refresh", "get_frozen_credentials")
        session.send = _wrap(send)
        for patch in _PATCHES:
            patch.install()


def _wrap(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def send(self: Any, request: Any) -> Any:
        __tracebackhide__ = True
        found = ownership.current(lambda: request.url)
        if found is None or found.is_aside or found.owner.admits(request.method, request.url):
            return real(self, request)
        if _is_about_the_machine(request.url):
            return _ask_the_machine(found, functools.partial(real, self, request), request)
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


# Credentials ------------------------------------------------------------------------------------------------------


class _StandIn(credentials.Credentials):  # type: ignore[misc]  # botocore has no types
    """Credentials that sign what is never sent. One that outlives its session gets real ones, looked up then."""

    def __init__(self, look_up: Callable[[], Any]) -> None:
        self._look_up = look_up
        self._found: Any = None
        super().__init__(*_STAND_IN, method="agenttape")

    def get_frozen_credentials(self) -> Any:
        if ownership.only_replays():
            return credentials.ReadOnlyCredentials(*_STAND_IN, None)
        self._found = self._found or self._look_up()
        if self._found is None:
            raise exceptions.NoCredentialsError
        return self._found.get_frozen_credentials()

    def _normalize(self) -> None:
        """Nothing is held."""


def _current(name: str) -> property:
    """Return a property with what the credentials say now; what their constructor sets is not kept."""
    return property(lambda self: getattr(self.get_frozen_credentials(), name, None), lambda *_: None)


for _name in ("access_key", "secret_key", "token", "account_id"):
    setattr(_StandIn, _name, _current(_name))


def _loading(real: Callable[..., Any]) -> Callable[..., Any]:
    def load_credentials(self: Any) -> Any:
        if not ownership.only_replays():
            with ownership.aside():
                return real(self)
        for provider in self.providers:
            if provider.METHOD == "env" and (found := provider.load()) is not None:
                return found
        return _StandIn(functools.partial(load_credentials, self))

    return load_credentials


def _refreshing(real: Callable[..., Any]) -> Callable[..., Any]:
    def refresh(self: Any) -> None:
        if not ownership.only_replays():
            with ownership.aside():
                real(self)

    return refresh


def _freezing(real: Callable[..., Any]) -> Callable[..., Any]:
    def get_frozen_credentials(self: Any) -> Any:
        found = real(self)
        return credentials.ReadOnlyCredentials(*_STAND_IN, None) if found is None else found

    return get_frozen_credentials


_PATCHES = (
    Patch(credentials.CredentialResolver, "load_credentials", _loading),
    Patch(credentials.RefreshableCredentials, "_refresh", _refreshing),
    Patch(credentials.RefreshableCredentials, "get_frozen_credentials", _freezing),
)

"""requests: its adapter's `send`, through responses.

Third-party privates used here: responses 0.25-0.26 `RequestsMock._on_request`, `._real_send`, `._patcher` (recording
needs the real adapter and the unread body, which no public hook provides) and `.unbound_on_send`; Python 3.11-3.14
`temp_original` of what `unittest.mock.patch` returns.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
from collections.abc import Iterator
from typing import Any

import requests
import requests.adapters
import responses
from urllib3 import HTTPResponse
from urllib3.exceptions import MaxRetryError
from urllib3.util import Retry

from pytest_agenttape import ownership
from pytest_agenttape.bodies.messages import HttpRequest, HttpResponse, text_of, whole
from pytest_agenttape.libraries import Library
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, TransportFailure
from pytest_agenttape.transports.urllib3 import response as urllib3
from pytest_agenttape.transports.urllib3.pool import carried, hearing
from pytest_agenttape.transports.urllib3.retries import left

_RESPONSES = Library("responses", seen="0.25-0.26")
_FAULTS = {"timeout": "ReadTimeout", "connection": "ConnectionError", "reset": "ConnectionError"}


class _Wire(responses.RequestsMock):
    """responses' patching of the adapter with our own answer."""

    _real_send: Any = None  # set on each instance; hides the `_PassThrough` of the base class

    # Any: requests' own, as in responses
    def _on_request(self, adapter: Any, request: Any, *, retries: Retry | None = None, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        found = ownership.current(lambda: request.url or "", request.method or "")
        if found is None or found.owner.admits(request.method or "GET", request.url or ""):
            return self._real_send(adapter, request, **kwargs)
        exchange = exchanges.begin(found, _neutral(request))
        if not exchange.is_live:
            raw, again = _respond(adapter, request, exchange, retries or adapter.max_retries)
            if again is not None:
                return self._on_request(adapter, request, retries=again, **kwargs)
            return adapter.build_response(request, raw)
        with hearing(exchange) as ear:  # of what was sent: the adapter may make another response of it
            try:
                with ownership.within(exchange.inside), _as_sent(request, exchange):
                    response = self._real_send(adapter, request, **kwargs)
            except Exception as error:
                if not ear.has_heard:
                    exchanges.record_failure(exchange, error)
                raise
        if not ear.has_heard:
            _record(response, exchange)
        return response


# Replay -----------------------------------------------------------------------------------------------------------


def _respond(adapter: Any, request: Any, exchange: Exchange, retries: Retry) -> tuple[HTTPResponse, Retry | None]:
    """Return the recorded answer, and the retries that are left if urllib3 would not take it for the last."""
    __tracebackhide__ = True
    answer = exchanges.served(exchange)
    if isinstance(answer, TransportFailure):
        raise _failure(answer, request)
    response = _Recorded(request, answer, exchange, retries).get_response(request)
    pool = functools.partial(adapter.poolmanager.connection_from_url, request.url)
    try:
        return response, left(retries, response, exchange.recorded, request.path_url, pool)
    except MaxRetryError as error:
        raise requests.exceptions.RetryError(error, request=request) from error


class _Recorded(responses.BaseResponse):
    """A recorded answer in the form that responses understands."""

    def __init__(self, request: Any, answer: HttpResponse, exchange: Exchange, retries: Any) -> None:
        super().__init__(request.method, request.url)
        self._retries = retries
        self._answer = answer
        self._exchange = exchange

    def get_response(self, request: Any) -> HTTPResponse:
        return urllib3.replayed(self._answer, self._exchange, request.method, request.path_url, retries=self._retries)


def _failure(failure: TransportFailure, request: Any) -> Exception:
    failure = failure.named(_FAULTS)
    found = getattr(requests.exceptions, failure.type, None)
    if isinstance(found, type) and issubclass(found, requests.RequestException):
        return found(carried(failure.message, request.url) or failure.message, request=request)
    return requests.ConnectionError(f"{failure.type}: {failure.message}", request=request)


# Recording --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _as_sent(request: Any, exchange: Exchange) -> Iterator[None]:
    """Make *request* send `exchange.request`: a file or generator cannot be read twice, and the model may differ."""
    url, body, length = request.url, request.body, request.headers.get("Content-Length")
    request.url, request.body = exchange.request.url, exchange.request.body or None
    given = dict(request.headers)
    request.headers.update({name: exchange.header(name, value) for name, value in given.items()})
    if length is not None:
        request.headers["Content-Length"] = str(len(exchange.request.body))
    try:
        yield
    finally:
        request.url, request.body = url, body
        request.headers.update(given)
        if length is not None:
            request.headers["Content-Length"] = length


def _record(response: Any, exchange: Exchange) -> None:
    """Record *response* while its body is read."""
    raw = response.raw
    if isinstance(raw, HTTPResponse):
        urllib3.record(raw, exchange)
        return
    # A custom adapter of the user's has put something else there.
    recording = urllib3.recording(raw, exchange, response.headers.items(), is_decoded=True)
    recording.add(response.content)
    recording.end()


def _neutral(request: Any) -> HttpRequest:
    return HttpRequest(
        method=request.method or "GET",
        url=request.url or "",
        headers=tuple([(text_of(name), text_of(value)) for name, value in request.headers.items()]),
        body=whole(request.body),
    )


# Patching ---------------------------------------------------------------------------------------------------------

_lock = threading.Lock()
_ours: dict[Any, Any] = {}  # requests' own `send` -> what replaces it


def install(library: str) -> None:
    """Patch `HTTPAdapter.send`, below any mock of the user's that is already active."""
    with _lock:
        _check_privates()
        urllib3.check()
        adapter = sys.modules[library].HTTPAdapter
        innermost = _innermost_patch(adapter.send)
        send = adapter.send if innermost is None else innermost.temp_original
        if send in _ours.values():
            return
        top = send.__module__.partition(".")[0]
        if top == "responses":  # an unknown form of its mock: requests that it passes through would bypass us
            raise _RESPONSES.lacks("RequestsMock.unbound_on_send.<locals>.send")
        if top != "requests":
            return  # a replacement by other code that answers everything
        ours = _ours[send] = _Wire(real_adapter_send=send, assert_all_requests_are_fired=False).unbound_on_send()
        if innermost is None:
            adapter.send = ours
        else:
            innermost.temp_original = ours
        responses.RequestsMock._real_send = _PassThrough()  # type: ignore[assignment]  # read by each of them


@functools.cache
def _check_privates() -> None:
    """Make sure, once, that responses has what we use."""
    _RESPONSES.require(responses.RequestsMock, "_on_request", "unbound_on_send")
    made = vars(responses.RequestsMock())
    for name in ("_real_send", "_patcher"):
        if name not in made:
            raise _RESPONSES.lacks(f"RequestsMock.{name}")


class _PassThrough:
    """What a mock of the user's passes through to: our `send` instead of requests' own."""

    def __get__(self, mock: Any, owner: type) -> Any:
        send = mock.__dict__["_real_send"]
        return _ours.get(send, send)

    def __set__(self, mock: Any, send: Any) -> None:
        mock.__dict__["_real_send"] = send


def _innermost_patch(send: Any) -> Any:
    """Return the patch that holds requests' own `send` below the mocks of responses; None if there are none."""
    patch = None
    while (
        getattr(send, "__qualname__", "") == "RequestsMock.unbound_on_send.<locals>.send" and send not in _ours.values()
    ):
        mock = inspect.getclosurevars(send).nonlocals["self"]
        patch, send = mock._patcher, mock._patcher.temp_original
    return patch

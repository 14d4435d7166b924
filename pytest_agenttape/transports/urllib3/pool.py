"""urllib3's own users (Elasticsearch, OpenSearch, Kubernetes, MinIO): its connection pools' `urlopen`.

Below requests and botocore, which are recorded themselves, it passes everything on. Redirects and retries that a pool
follows by itself happen below the recording; a `PoolManager` follows them from above, and each is recorded.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from urllib3 import HTTPResponse, exceptions
from urllib3.util import Retry

from pytest_agenttape.bodies.messages import HttpRequest, text_of, whole
from pytest_agenttape.libraries import Library
from pytest_agenttape.transports import exchange as exchanges
from pytest_agenttape.transports.exchange import Exchange, TransportFailure
from pytest_agenttape.transports.urllib3 import response as urllib3
from pytest_agenttape.transports.urllib3.retries import left, made, told_by

_URLLIB3 = Library("urllib3", seen="1.26-2.x")
_DEFAULT_PORTS = {"http": 80, "https": 443}

_CAUSE = re.compile(r"\(Caused by (\w+)\((.*)\)\)\Z", re.DOTALL)

_MOST_RETRIES = 100  # a user may ask for ever

_lock = threading.Lock()


def install(library: str) -> None:
    """Patch `HTTPConnectionPool.urlopen`."""
    pool = getattr(sys.modules[library], "HTTPConnectionPool", None)
    with _lock:
        urlopen = None if pool is None else vars(pool).get("urlopen")  # what it inherits does nothing
        if pool is None or urlopen is None:
            raise _URLLIB3.lacks("HTTPConnectionPool.urlopen")
        if hasattr(urlopen, "__agenttape__") or getattr(urlopen, "__module__", "").partition(".")[0] != "urllib3":
            return  # in place, or somebody's that answers everything while it is there
        urllib3.check()
        pool.urlopen = _wrap(urlopen)


def _wrap(real: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(real)

    @functools.wraps(real)
    def urlopen(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        target = functools.partial(_absolute, self, url)
        found = exchanges.owner_of(method, target)
        if found is None:
            return _heard(real(self, method, url, *args, **kwargs))
        asked = signature.bind(self, method, url, *args, **kwargs)
        asked.apply_defaults()
        options = asked.arguments
        if options["headers"] is None:
            options["headers"] = self.headers
        exchange = exchanges.begin(found, _neutral(method, target(), options))
        if not exchange.is_live:
            response = _respond(self, exchange, options)
            again = left(_retries(self, options), response, exchange.recorded, url, lambda: self)
            if again is None:
                return response
            options["retries"] = again
            return urlopen(*asked.args, **asked.kwargs)
        _restore(exchange, options)
        with exchanges.sending(exchange):
            response = real(*asked.args, **asked.kwargs)
        _record(response, exchange, options)
        return response

    urlopen.__agenttape__ = True  # type: ignore[attr-defined]  # a mark of our own
    return urlopen


def _absolute(pool: Any, url: str) -> str:
    if not url.startswith("/"):  # as a proxy is asked
        return url
    port = "" if pool.port in (None, _DEFAULT_PORTS.get(pool.scheme)) else f":{pool.port}"
    return f"{pool.scheme}://{f'[{pool.host}]' if ':' in pool.host else pool.host}{port}{url}"


def _neutral(method: str, url: str, options: Mapping[str, Any]) -> HttpRequest:
    return HttpRequest(
        method=method.upper(),
        url=url,
        headers=tuple((text_of(name), text_of(value)) for name, value in options["headers"].items()),
        body=whole(options["body"]),
    )


def _is_on(name: str, options: Mapping[str, Any]) -> bool:
    """Return whether the option *name* of the response is on; urllib3 1.26 has no argument of its own for it."""
    return bool(options.get(name, options.get("response_kw", {}).get(name, True)))


# Below another library -------------------------------------------------------------------------------------------


class Ear:
    """Hears of the response to a request that another library sends, before that library or its user reads of it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.has_heard = False

    def hear(self, response: Any) -> None:
        """Let the response be recorded while its body is read; a request that is tried again comes by twice."""
        if isinstance(response, HTTPResponse) and not self.has_heard:
            self.has_heard = True
            urllib3.record(response, self._exchange, told_by(response))


_ear: ContextVar[Ear | None] = ContextVar("agenttape_ear", default=None)


@contextmanager
def hearing(exchange: Exchange) -> Iterator[Ear]:
    """Return a block in which the response to a request sent below is recorded for *exchange*."""
    ear = Ear(exchange)
    token = _ear.set(ear)
    try:
        yield ear
    finally:
        _ear.reset(token)


def _heard(response: Any) -> Any:
    ear = _ear.get()
    if ear is not None:
        ear.hear(response)
    return response


# Replay -----------------------------------------------------------------------------------------------------------


def _respond(pool: Any, exchange: Exchange, options: Mapping[str, Any]) -> Any:
    __tracebackhide__ = True
    answer = exchanges.served(exchange)
    if isinstance(answer, TransportFailure):
        if answer.type in urllib3.FAULTS:
            raise _after_retries(_failure(answer, pool, exchange, options["url"]), pool, options)
        raise _failure(answer, pool, exchange, options["url"])
    return urllib3.replayed(
        answer,
        exchange,
        options["method"],
        options["url"],
        preload_content=_is_on("preload_content", options),
        decode_content=_is_on("decode_content", options),
        retries=_retries(pool, options),
    )


def _failure(failure: TransportFailure, pool: Any, exchange: Exchange, url: str) -> Exception:
    """Return the recorded *failure* as urllib3's own, with its message and what it carries."""
    if failure.is_cancellation:
        return exchanges.waited_in_vain(exchange)
    failure = failure.named(urllib3.FAULTS)
    error = made(failure.type, failure.message, pool, url)
    cause = _CAUSE.search(failure.message)
    if cause is not None and isinstance(error, exceptions.MaxRetryError):
        error.reason = made(cause[1], cause[2], pool, url)
    return error


def carried(message: str, url: str) -> exceptions.MaxRetryError | None:
    """Return the error of urllib3 below one of requests with this *message*; None if none is told."""
    cause = _CAUSE.search(message)
    error = made("MaxRetryError", message, None, url) if cause is not None else None
    if cause is None or not isinstance(error, exceptions.MaxRetryError):
        return None
    error.reason = made(cause[1], cause[2], None, url)
    return error


def _retries(pool: Any, options: Mapping[str, Any]) -> Retry:
    """Return the retries that urllib3 begins a request with."""
    return Retry.from_int(options["retries"], redirect=options["redirect"], default=pool.retries)


def _after_retries(error: Exception, pool: Any, options: Mapping[str, Any]) -> Exception:
    """Return what urllib3 raises if every retry that it makes of itself ends in *error*: a fault is for all of them."""
    retries = _retries(pool, options)
    try:
        for _ in range(_MOST_RETRIES):
            retries = retries.increment(options["method"], options["url"], error=error, _pool=pool)
    except exceptions.HTTPError as raised:
        return raised
    return error


# Recording --------------------------------------------------------------------------------------------------------


def _restore(exchange: Exchange, options: dict[str, Any]) -> None:
    """Put what is to be sent into *options*: a file is used up, and a model may be another."""
    sent = exchange.request
    if options["body"] is not None:
        options["body"] = sent.body
    if exchange.is_changed or any(name.lower() == "content-length" for name, _ in sent.headers):
        options["headers"] = type(options["headers"])(sent.headers)
    if options["url"].startswith("/"):
        options["url"] = f"/{sent.url.split('/', 3)[3]}"


def _record(response: Any, exchange: Exchange, options: Mapping[str, Any]) -> None:
    """Let *response* be recorded while its body is read, or as it is where that has been done."""
    tried = told_by(response, before=options["retries"])
    if not _is_on("preload_content", options) and isinstance(response, HTTPResponse):
        urllib3.record(response, exchange, tried)
        return
    is_decoded = _is_on("decode_content", options) and urllib3.can_decode(response)
    recording = urllib3.recording(response, exchange, response.headers.items(), is_decoded=is_decoded, tried=tried)
    recording.add(response.data)
    recording.end()

"""What urllib3 tried again by itself, below a recording: the response that came of it tells, in replay as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from urllib3 import HTTPResponse, exceptions
from urllib3.util import Retry

from pytest_agenttape.model import JSON
from pytest_agenttape.transports.exchange import stored_failure

KEY = "retries"


def told_by(raw: Any, before: object = None) -> list[JSON]:
    """Return what the history of *raw* has of this request, in stored form; *before* are the retries that it had."""
    history = getattr(getattr(raw, "retries", None), "history", ())
    earlier = len(before.history) if isinstance(before, Retry) else 0
    return [dict(_stored(each)) for each in history[earlier:]]


def _stored(tried: Any) -> Iterator[tuple[str, JSON]]:
    if tried.status is not None:
        yield "status", tried.status
    if tried.redirect_location:
        yield "location", tried.redirect_location
    if tried.error is not None:
        yield "error", stored_failure(tried.error)


def replayed(retries: Retry, recorded: JSON, method: str, url: str) -> Retry:
    """Return *retries* after those that were *recorded* in a response to a *method* request for *url*."""
    tries = recorded.get(KEY) if isinstance(recorded, dict) else None
    for each in tries if isinstance(tries, list) else ():
        if isinstance(each, dict):
            retries, url = _after(retries, each, method, url), str(each.get("location", url))
    return retries


def _after(retries: Retry, tried: Mapping[str, JSON], method: str, url: str) -> Retry:
    error = tried.get("error")
    given: dict[str, Any] = {}  # the arguments of one of urllib3's methods
    if isinstance(error, dict):
        given["error"] = made(str(error.get("type")), str(error.get("message") or ""), None, url)
    else:
        headers = {"location": str(tried["location"])} if "location" in tried else {}
        given["response"] = HTTPResponse(status=tried.get("status") or 0, headers=headers)
    try:
        return retries.increment(method, url, **given)
    except exceptions.HTTPError:  # the agent allows fewer than when this was recorded
        return retries


def made(name: str, message: str, pool: Any, url: str) -> Exception:
    """Return urllib3's own error *name* with *message*, and what it carries."""
    found = getattr(exceptions, name, None)
    if not (isinstance(found, type) and issubclass(found, exceptions.HTTPError)):
        return exceptions.ProtocolError(f"{name}: {message}")
    error = found.__new__(found)  # each takes something else
    error.args = (message,)
    vars(error).update(pool=pool, url=url, reason=None, conn=None, original_error=None)
    return error

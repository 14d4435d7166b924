"""What urllib3 tried again by itself, below a recording: the response that came of it tells, in replay as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from urllib3 import HTTPResponse, exceptions
from urllib3.util import Retry

from pytest_agenttape.model import JSON, Interaction
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


def left(
    retries: Retry, response: HTTPResponse, recorded: Interaction | None, target: str, pool: Callable[[], Any]
) -> Retry | None:
    """Return what is left of *retries* after the *response* of one try; None if urllib3 takes that for the answer.

    A fault is one try, and another tool has recorded each; a recording of ours holds what came of them all.

    Raises:
        MaxRetryError: Nothing is left, and urllib3 raises then.
    """
    if recorded is None or not (recorded.is_made_up or recorded.imported_from):
        return None
    method = recorded.request["method"]
    if not retries.is_retry(method, response.status, "retry-after" in response.headers):
        return None
    try:
        return retries.increment(method, target, response=response, _pool=pool())
    except exceptions.MaxRetryError:
        if retries.raise_on_status:
            raise
        return None


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

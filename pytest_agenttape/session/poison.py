"""Failures that do not belong in a good recording: what they are, and which calls have to be refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pytest_agenttape.model import JSON, Call
from pytest_agenttape.ownership.calls import Live, Poison
from pytest_agenttape.session.run import Run

_STATUSES = frozenset({401, 403, 429})
_ANSWERS_TO_CHALLENGES = ("authorization", "proxy-authorization")


_OF_ANOTHER_LOOP = re.compile(
    r"^Event loop is closed$| attached to a different loop$| is bound to a different event loop$"
)
_ALLOW = (
    "if the failure is what the test is about, allow it: allow_errors=True "
    "(or the statuses, such as allow_errors=[429])"
)
_OWN_LOOP = (
    "make the client in the test or in a fixture with the test's loop, or run the tests in one loop "
    '(asyncio_default_test_loop_scope = "session" of pytest-asyncio)'
)


def poison_of(status: object, failure: str = "", stored: JSON = None) -> Poison | None:
    """Return what is wrong with a live call, if anything.

    It got *status*, or ended with the exception *failure*; *stored* is that error, or the response that it broke off.
    """
    if failure == "RuntimeError" and _OF_ANOTHER_LOOP.search(_words(stored)):
        return Poison(None, "the client of a live call belongs to another event loop", _OWN_LOOP)
    if isinstance(status, int) and (status in _STATUSES or status >= 500):
        return Poison(status, f"a live call got status {status}", _ALLOW)
    return Poison("timeout", f"a live call failed with {failure}", _ALLOW) if "Timeout" in failure else None


def _words(stored: JSON) -> str:
    error = stored.get("stream_error", stored) if isinstance(stored, Mapping) else None
    return str(error.get("message")) if isinstance(error, Mapping) else ""


def poisoned(run: Run, allowed: frozenset[object] | bool, digest_of: Callable[[Any], str]) -> list[tuple[Live, Poison]]:
    """Return the failed live calls that must not be kept: not allowed, and not repeated later with success."""

    def is_allowed(poison: Poison) -> bool:
        return not poison.is_left_out and (allowed if isinstance(allowed, bool) else poison.code in allowed)

    live = [(at, each) for at, each in enumerate(run) if isinstance(each, Live)]
    bad = [(at, each, each.poison) for at, each in live if each.poison and each.is_kept and not is_allowed(each.poison)]
    good = {_attempt_at(each.call, digest_of): at for at, each in live if not each.poison} if bad else {}
    return [(each, poison) for at, each, poison in bad if good.get(_attempt_at(each.call, digest_of), -1) < at]


def _attempt_at(call: Call, digest_of: Callable[[Any], str]) -> tuple[str, str | None, str]:
    """Return what a call and its retries share; credentials are left out, as only the retry of a challenge has them."""
    request, headers = call.request, call.request.get("headers")
    if isinstance(headers, dict):
        asked = {name: each for name, each in headers.items() if name.lower() not in _ANSWERS_TO_CHALLENGES}
        request = {**request, "headers": asked}
    return call.kind, call.boundary, digest_of(request)

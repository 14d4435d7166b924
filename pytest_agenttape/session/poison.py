"""Failures that do not belong in a good recording: what they are, and which calls have to be refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pytest_agenttape import providers
from pytest_agenttape.model import Call, Interaction
from pytest_agenttape.ownership.calls import Live, Poison
from pytest_agenttape.providers import Failure, mcp
from pytest_agenttape.providers.tolerant import at, number
from pytest_agenttape.session.run import Run

_STATUSES = frozenset({401, 402, 403, 407, 408, 424, 429})  # 424: of a model that the provider asks
_ANSWERS_TO_CHALLENGES = ("authorization", "proxy-authorization")
_OF_ANOTHER_LOOP = re.compile(
    r"^Event loop is closed$| attached to a different loop$| is bound to a different event loop$"
)
_OWN_LOOP = (
    "make the client in the test or in a fixture with the test's loop, or run the tests in one loop "
    '(asyncio_default_test_loop_scope = "session" of pytest-asyncio)'
)


def poison_of(outcome: Interaction, status: object, failure: str) -> Poison | None:
    """Return what is wrong with the *outcome* of a live call, if anything.

    It got *status*, or ended with an exception of the class *failure*.
    """
    if failure == "RuntimeError" and _OF_ANOTHER_LOOP.search(_message(outcome)):
        return Poison((), "the client of a live call belongs to another event loop", _OWN_LOOP)
    got, found = number(status), _failure(outcome, status)
    if found is not None and found.status is None:
        return _allowable("the stream of a live call ended before its last event", "truncated")
    means = found.status if found is not None else None
    if _is_bad(got) or _is_bad(means):
        return _allowable(_in_words(got, means), *_both(got, means), said=found.said if found is not None else "")
    return _allowable(f"a live call failed with {failure}", "timeout") if "Timeout" in failure else None


def has_failed(outcome: Interaction, status: object, failure: str) -> bool:
    """Return whether a live call ended with anything but an answer, whoever is to blame."""
    if outcome.error is not None or failure or (number(status) or 0) >= 400:
        return True
    return at(mcp.as_tool_call(outcome).response, "isError") is True or _failure(outcome, status) is not None


def _failure(outcome: Interaction, status: object) -> Failure | None:
    if outcome.error is None:
        return providers.failure_of(outcome.boundary, outcome.response) if outcome.kind == "llm" else None
    got = number(status) if outcome.kind == "llm" else None
    return None if got is None else providers.failure_said(got, _message(outcome))


def _is_bad(status: int | None) -> bool:
    return status is not None and (status in _STATUSES or status >= 500)


def _in_words(got: int | None, means: int | None) -> str:
    if got is None:
        return f"a live call got an error that means {means}"
    if got >= 400:
        return f"a live call got status {got}" + ("" if _is_bad(got) else f", which means {means}")
    return f"a live call got status {got} with error {means} inside"


def _both(got: int | None, means: int | None) -> tuple[int, ...]:
    """Return the statuses that allow a failure: a success is none."""
    return tuple(dict.fromkeys(each for each in (got, means) if each is not None and each >= 400))


def _allowable(text: str, *codes: int | str, said: str = "") -> Poison:
    way_out = (
        f"if the failure is what the test is about, allow it: allow_errors=[{codes[-1]!r}], or True for all failures"
    )
    return Poison(codes, text, way_out, said=said)


def _message(outcome: Interaction) -> str:
    error = outcome.error or at(outcome.response, "stream_error")
    return str(error.get("message")) if isinstance(error, Mapping) else ""


def poisoned(run: Run, allowed: frozenset[object] | bool, digest_of: Callable[[Any], str]) -> list[tuple[Live, Poison]]:
    """Return the failed live calls that must not be kept: not allowed, and not repeated later with success."""

    def is_allowed(poison: Poison) -> bool:
        if isinstance(allowed, bool):
            return allowed and not poison.is_left_out
        return not allowed.isdisjoint(poison.codes)

    live = [(place, each) for place, each in enumerate(run) if isinstance(each, Live)]
    kept = [(place, each, each.poison) for place, each in live if each.is_kept]
    bad = [(place, each, poison) for place, each, poison in kept if poison is not None and not is_allowed(poison)]
    good = {_attempt_at(each.call, digest_of): place for place, each in live if not each.poison} if bad else {}
    return [(each, poison) for place, each, poison in bad if good.get(_attempt_at(each.call, digest_of), -1) < place]


def _attempt_at(call: Call, digest_of: Callable[[Any], str]) -> tuple[str, str | None, str]:
    """Return what a call and its retries share; credentials are left out, as only the retry of a challenge has them."""
    request, headers = call.request, call.request.get("headers")
    if isinstance(headers, dict):
        asked = {name: each for name, each in headers.items() if name.lower() not in _ANSWERS_TO_CHALLENGES}
        request = {**request, "headers": asked}
    return call.kind, call.boundary, digest_of(request)

"""What the user drops or changes before it is recorded: functions that see each call, and headers by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import reduce
from typing import Any, Self, TypeAlias

from pytest_agenttape.errors import AgentTapeError, ConfigError
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership.calls import Poison
from pytest_agenttape.settings.config import Config

Hook: TypeAlias = Callable[[Interaction], Interaction | None]

_REQUEST, _RESPONSE = "before_record_request", "before_record_response"  # keys of the configuration
_UNDECORATED = "take its decorator away instead"
_WAYS_OUT = {"http": "return it", "llm": "return it, or name its host in ignore_hosts"}
_DROPPED = Poison(
    (),
    f"{_RESPONSE} dropped the answer of a live call",
    "a replay would have no answer for it: drop only answers after which the same request gets another one, or drop "
    f"the request ({_REQUEST}), so that it is always real",
)


@dataclass(frozen=True, slots=True)
class BeforeRecording:
    """The functions of one session, each in the order in which they are called.

    They get a copy of the call without its secrets, and return it, a changed copy, or None to drop it.
    """

    class Dropped(Exception):
        """A request is to be real and in no cassette."""

    requests: tuple[Hook, ...]
    responses: tuple[Hook, ...]
    frozen: Selection

    @classmethod
    def of(cls, config: Config, frozen: Selection) -> Self | None:
        """Return the functions that *config* names; None if there are none. No *frozen* call can be dropped.

        Raises:
            ConfigError: One cannot be imported.
        """
        if not config.before_record_request and not config.before_record_response:
            return None
        requests = tuple(_function(each, _REQUEST) for each in config.before_record_request)
        responses = tuple(_function(each, _RESPONSE) for each in config.before_record_response)
        return cls(requests, responses, frozen)

    def request(self, kind: str, boundary: str | None, stored: dict[str, JSON]) -> dict[str, JSON]:
        """Return the request to be compared and recorded.

        Raises:
            Dropped: A function returned None.
            ConfigError: A function raised, returned something else, or dropped a call that must not be real.
        """
        if not self.requests:
            return stored
        call = Interaction(index=0, kind=kind, boundary=boundary, request=stored)
        seen = _seen(self.requests, _REQUEST, call.copy())
        if seen is not None:
            return seen.request
        if kind != "http" or self.frozen.covers(call):
            what = f"a call to the {kind} {boundary}" if boundary else "a request that is frozen"
            way_out = _WAYS_OUT.get(kind, _UNDECORATED)
            raise ConfigError(f"{_REQUEST} dropped {what}, which would run for real in each replay; {way_out}")
        raise BeforeRecording.Dropped

    def response(self, outcome: Interaction, poison: Poison | None) -> tuple[Interaction, Poison | None]:
        """Return the outcome of a live call to be recorded, and what is wrong with it.

        Raises:
            ConfigError: A function raised, or returned something else.
        """
        if not self.responses:
            return outcome, poison
        seen = _seen(self.responses, _RESPONSE, outcome.copy())
        return (outcome, _DROPPED) if seen is None else (seen, poison)


def _seen(hooks: Sequence[Hook], name: str, call: Interaction) -> Interaction | None:
    seen: Interaction | None = call
    for hook in hooks:
        if seen is None:
            break
        seen = _called(hook, name, seen)
    return seen


def _called(hook: Hook, name: str, call: Interaction) -> Interaction | None:
    try:
        found: Any = hook(call)
    except AgentTapeError:
        raise
    except Exception as error:
        said = f"{name} raised {type(error).__name__}: {error}"
        raise ConfigError(f"{said}\n  it is given an Interaction, with .request and .response") from error
    if found is not None and not isinstance(found, Interaction):
        raise ConfigError(f"{name} must return the call that it was given, changed or not, or None, not {found!r}")
    return found


def _function(given: Any, key: str) -> Hook:
    if not isinstance(given, str):
        hook: Hook = given
        return hook
    module, _, path = given.partition(":")
    try:
        found: Any = reduce(getattr, path.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key} = {given!r}: cannot be imported: {error}") from error
    if not callable(found):
        raise ConfigError(f"{key} = {given!r}: is not a function")
    return found  # type: ignore[no-any-return]  # checked as far as can be


def without_headers(recorded: Interaction, dropped: Sequence[str]) -> Interaction:
    """Return *recorded* without the headers of its response that the user does not want to keep."""
    response = recorded.response
    if not dropped or "url" not in recorded.request or not isinstance(response, dict):
        return recorded
    headers = {
        name: value
        for name, value in (response.get("headers") or {}).items()
        if not any(fnmatchcase(name.lower(), each.lower()) for each in dropped)
    }
    return replace(recorded, response={**response, "headers": headers})

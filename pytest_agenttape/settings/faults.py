"""Faults from the tape: what goes wrong in a replay, at which calls, and in which way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from pytest_agenttape import values
from pytest_agenttape.errors import AgentTapeError, ConfigError
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.model import JSON, unknown_name
from pytest_agenttape.settings.selectors import parse_tokens

BROKEN = ("timeout", "connection", "reset")
_EFFECTS = ("status", "body", "error", "after_events", "result")
_TOGETHER = (frozenset({"status", "body"}), frozenset({"error", "after_events"}))


class _Absent:
    """Stands for an argument that is not given, as None is a result, too."""

    def __repr__(self) -> str:
        return "..."


ABSENT: Final = _Absent()
Broken: TypeAlias = Literal["timeout", "connection", "reset"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, made by `fault`.

    Attributes:
        text: The fault as a test spells it; bodies, headers and results are left out.
        target: The calls that it is for.
        nth: The first of them that gets it, from 1.
        times: How many of them get it, one after the other.
        status: The status of the answer; None if it is not given.
        headers: Headers of that answer, as a cassette has them.
        body: The body of the answer: bytes, text or a decoded JSON value; `ABSENT` if it is not given.
        broken: In which way the connection breaks; None if it does not.
        raised: The exception that a function raises, in stored form; None if it does not.
        after_events: The number of events after which a stream breaks; None if it does not.
        delay: By how many seconds the clock moves before the answer.
        result: What a function returns, in stored form; `ABSENT` if it is not given.
    """

    text: str
    target: Selection
    nth: int
    times: int
    status: int | None = None
    headers: Mapping[str, JSON] = field(default_factory=dict)
    body: object = ABSENT
    broken: str | None = None
    raised: dict[str, JSON] | None = None
    after_events: int | None = None
    delay: float = 0.0
    result: JSON = ABSENT

    def __repr__(self) -> str:
        return self.text

    @property
    def delays_only(self) -> bool:
        """Whether the call gets the recorded answer, but late."""
        given = (self.status, self.broken, self.raised, self.after_events)
        return all(each is None for each in given) and self.body is ABSENT and self.result is ABSENT


def fault(
    target: str,
    *,
    nth: int = 1,
    times: int = 1,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    body: object = ABSENT,
    error: Broken | Exception | type[Exception] | None = None,
    after_events: int | None = None,
    delay: float | None = None,
    result: object = ABSENT,
) -> Fault:
    """Return a fault for the marker option `faults`, for `use_cassette` and for `agenttape_cassette.inject`.

    A call that gets it is not answered by its recording, which is left for the next attempt; one that is only delayed
    is answered as recorded.

    Args:
        target: A kind, a boundary name, a host or ``"*"``.
        nth: The first call of these that gets the fault, from 1.
        times: How many calls get it, one after the other.
        status: The status of the answer, which has the provider's own error body; with *body* that one. 429 and 503
            come with ``retry-after: 0``.
        headers: Headers of that answer, besides those that it has anyway.
        body: The body of the answer: bytes, text or a value for JSON. Without *status* all else is as recorded.
        error: ``"timeout"``, ``"connection"`` or ``"reset"``, raised as the library's own class; for a function also
            an exception.
        after_events: The number of events after which a stream breaks, with *error* or else ``"reset"``.
        delay: How many seconds later the pinned clock is when the answer comes.
        result: What a function returns.

    Raises:
        ConfigError: An argument is invalid, or contradicts another.
    """
    given = {
        "nth": None if nth == 1 else nth,
        "times": None if times == 1 else times,
        "status": status,
        "headers": headers,
        "body": None if body is ABSENT else ABSENT,
        "error": error,
        "after_events": after_events,
        "delay": delay,
        "result": None if result is ABSENT else ABSENT,
    }
    text = _spelled(target, {name: value for name, value in given.items() if value is not None})
    try:
        _check_effects([name for name, value in given.items() if value is not None])
        return Fault(
            text=text,
            target=Selection.of(parse_tokens([target], "target")),
            nth=_count(nth, "nth", 1),
            times=_count(times, "times", 1),
            status=None if status is None else _status(status),
            headers=_headers(headers),
            body=_body(body),
            broken=error if isinstance(error, str) and _is_known(error) else None,
            raised=None if error is None or isinstance(error, str) else _stored(error),
            after_events=None if after_events is None else _count(after_events, "after_events", 0),
            delay=0.0 if delay is None else _seconds(delay),
            result=ABSENT if result is ABSENT else values.encode(result, "result"),
        )
    except ConfigError as problem:
        raise ConfigError(f"{text}: {problem}") from None


def parse_faults(given: object) -> tuple[Fault, ...]:
    """Return the option `faults` as a tuple; a single fault is one.

    Raises:
        ConfigError: Something in it was not made by `fault`.
    """
    listed = (given,) if isinstance(given, Fault) or not isinstance(given, Iterable) else tuple(given)
    for each in listed:
        if not isinstance(each, Fault):
            raise ConfigError(
                f"faults takes what fault(...) returns, such as faults=[fault('llm', status=429)]; found {each!r}"
            )
    return listed


def _spelled(target: object, given: Mapping[str, object]) -> str:
    return f"fault({', '.join((repr(target), *(f'{name}={_shown(name, value)}' for name, value in given.items())))})"


def _shown(name: str, value: object) -> str:
    if isinstance(value, type):
        return value.__name__
    return "..." if name == "headers" else repr(value)


def _check_effects(given: list[str]) -> None:
    effects = frozenset(name for name in given if name in _EFFECTS)
    if len(effects) > 1 and effects not in _TOGETHER:
        names = " and ".join(name for name in _EFFECTS if name in effects)
        raise ConfigError(f"{names} exclude each other; give two faults")
    if not effects and "delay" not in given:
        raise ConfigError(f"it does nothing; give it one of {', '.join(_EFFECTS)} and delay")
    if "headers" in given and not effects & {"status", "body"}:
        raise ConfigError("headers are those of an answer; give its status or body, too")


def _count(given: object, name: str, least: int) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and given >= least:
        return given
    raise ConfigError(f"{name} must be a whole number, {least} or more; found {given!r}")


def _status(given: object) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and 200 <= given <= 599:
        return given
    raise ConfigError(f"status must be a whole number from 200 to 599; found {given!r}")


def _seconds(given: object) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < 1e9:
        return float(given)
    raise ConfigError(f"delay must be a positive number of seconds; found {given!r}")


def _headers(given: object) -> dict[str, JSON]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(f"headers must be a mapping of names to values; found {given!r}")
    return {str(name): str(value) for name, value in given.items()}


def _body(given: object) -> object:
    if given is ABSENT or isinstance(given, bytes):
        return given
    try:
        json.dumps(given)
    except (TypeError, ValueError):
        raise ConfigError(f"body must be bytes, text or a value for JSON; found {given!r}") from None
    return given


def _is_known(word: str) -> bool:
    if word not in BROKEN:
        raise unknown_name("error", word, BROKEN)
    return True


def _stored(error: object) -> dict[str, JSON]:
    """Return an exception in stored form; each call that gets it is given one of its own."""
    made = error() if isinstance(error, type) and issubclass(error, Exception) else error
    if not isinstance(made, Exception) or isinstance(made, AgentTapeError):
        words = ", ".join(map(repr, BROKEN))
        raise ConfigError(f"error must be one of {words}, or an exception; found {error!r}")
    stored = values.encode_error(made)
    if type(values.decode_error(stored)) is not type(made):
        raise ConfigError(
            f"error: {type(made).__qualname__} cannot be made a second time; define it at the top of its module, with "
            "plain values as its attributes"
        )
    return dict(stored)

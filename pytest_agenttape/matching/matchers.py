"""Matchers: how an asked request finds its recording. A list of them is a fallback chain."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol, TypeAlias, TypeVar

from pytest_agenttape.callables import Nature, nature_of
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.canonical import KeyRules, canonical_text
from pytest_agenttape.model import JSON, MATCHERS, Interaction, MatcherName, unknown_name
from pytest_agenttape.redaction import any_secret

T = TypeVar("T")
Request: TypeAlias = Mapping[str, JSON]
MatcherSpec: TypeAlias = object  # whatever was given; `Matchers` is what may be


class Keyed(Protocol):
    """A matcher of the user's: requests are the same call if it returns the same key for both."""

    @property
    def key(self) -> Callable[..., object]:
        """Return the key of a request."""


class Comparing(Protocol):
    """A matcher of the user's that compares the asked request with a recorded one."""

    @property
    def matches(self) -> Callable[..., object]:
        """Return whether both are the same call."""


_Lent: TypeAlias = dict[str, JSON]  # a matcher's own copy of a request
_OneMatcher: TypeAlias = MatcherName | Callable[[_Lent], object] | Callable[[_Lent, _Lent], object] | Keyed | Comparing
Matchers: TypeAlias = _OneMatcher | Iterable[_OneMatcher]

_PARTS_OF_HTTP = frozenset({"method", "url", "headers", "json", "form", "text", "body_b64"})


@dataclass(frozen=True, slots=True)
class KeyMatcher:
    """Requests are the same call when *key* returns the same text for both.

    Attributes:
        name: Its name in messages.
        key: Returns the text.
        is_canonical: Whether only equal canonical requests have the same key.
    """

    name: str
    key: Callable[[Request], str]
    is_canonical: bool = True


@dataclass(frozen=True, slots=True)
class OrderMatcher:
    """The next unplayed recording of the same kind and boundary answers, whatever its request."""

    name: str


@dataclass(frozen=True, slots=True)
class PredicateMatcher:
    """*matches(asked, recorded)* says whether two requests are the same call."""

    name: str
    matches: Callable[[Request, Request], bool]


Matcher: TypeAlias = KeyMatcher | OrderMatcher | PredicateMatcher


def parse_matchers(specs: MatcherSpec, rules: KeyRules) -> tuple[Matcher, ...]:
    """Return the chain that *specs* (one matcher or an iterable of them) describes.

    Raises:
        ConfigError: A name is unknown, an object has no usable method, or the chain is empty.
    """
    if isinstance(specs, Mapping | bytes):
        raise ConfigError(f"matchers takes a matcher or a list of them, not {specs!r}")
    listed = list(specs) if isinstance(specs, Iterable) and not isinstance(specs, str) else [specs]
    if not listed:
        raise ConfigError(f"matchers is empty; valid: {', '.join(MATCHERS)}, or a callable")
    return tuple(_parse(spec, rules) for spec in listed)


def with_any_secret(chain: Sequence[Matcher], recordings: Callable[[], Sequence[Interaction]]) -> tuple[Matcher, ...]:
    """Return *chain*, followed by its canonical matchers that accept any text where *recordings* have secrets.

    These are asked for at the first miss.
    """
    return (
        *chain,
        *(_any_secret(each, recordings) for each in chain if isinstance(each, KeyMatcher) and each.is_canonical),
    )


def by_rules_of_today(
    chain: Sequence[Matcher], redact: Callable[[dict[str, JSON]], dict[str, JSON]]
) -> tuple[Matcher, ...]:
    """Return the canonical matchers of *chain*, for recordings with secrets that only *redact*, of today, finds."""
    return tuple(_redacting(each, redact) for each in chain if isinstance(each, KeyMatcher) and each.is_canonical)


def of_any_instance(matcher: KeyMatcher) -> KeyMatcher:
    """Return *matcher* for requests of which it does not matter which instance of a class made them."""
    return replace(matcher, key=lambda request: matcher.key({k: v for k, v in request.items() if k != "instance"}))


def _redacting(matcher: KeyMatcher, redact: Callable[[dict[str, JSON]], dict[str, JSON]]) -> KeyMatcher:
    return KeyMatcher(matcher.name, lambda request: matcher.key(redact(dict(request))))


def _any_secret(matcher: KeyMatcher, recordings: Callable[[], Sequence[Interaction]]) -> KeyMatcher:
    @cache  # at the first miss
    def make() -> Callable[[str], str]:
        found = recordings()
        stored = (json.dumps(each.request, ensure_ascii=False, separators=(",", ":")) for each in found)
        return any_secret((matcher.key(each.request) for each in found), stored)

    return KeyMatcher(matcher.name, lambda request: make()(matcher.key(request)))


def _parse(spec: MatcherSpec, rules: KeyRules) -> Matcher:
    if isinstance(spec, str):
        return _named(spec, rules)
    for method in ("key", "matches"):
        found = getattr(spec, method, None)
        if callable(found):
            return _from_method(found, _name_of(spec), method, rules)
    if callable(spec):
        return _from_callable(spec, _name_of(spec), rules)
    raise ConfigError(
        f"matcher {spec!r} is neither a name ({', '.join(MATCHERS)}) nor a callable of one request (a key) "
        "or of two (asked, recorded)"
    )


def _named(name: str, rules: KeyRules) -> Matcher:
    if name == "ignore_volatile":
        return KeyMatcher(name, lambda request: canonical_text(request, rules))
    if name == "exact":
        exact = rules.exact()
        return KeyMatcher(name, lambda request: canonical_text(request, exact))
    if name in ("ordered", "sequential"):
        return OrderMatcher(name)
    raise unknown_name("matcher", name, MATCHERS)


def _from_method(function: Callable[..., object], name: str, method: str, ignored: KeyRules) -> Matcher:
    if method == "matches":
        return _predicate(name, _checked(function, name, (2,)), ignored)
    if _arity(_checked(function, name, (1, 2))) == 1:
        return _key(name, function, ignored)
    # The shape that AgentTape documents: key(request, ignore_fields).
    fields = (*ignored.names, *(".".join(path) for path in ignored.paths))
    return _key(name, lambda request: function(request, fields), ignored)


def _from_callable(function: Callable[..., object], name: str, rules: KeyRules) -> Matcher:
    if _arity(_checked(function, name, (1, 2))) == 1:
        return _key(name, function, rules)
    return _predicate(name, function, rules)


def _key(name: str, function: Callable[[Request], object], rules: KeyRules) -> Matcher:
    def key(request: Request) -> str:
        lent = copy.deepcopy(request)  # a matcher may remove what it ignores; a recording must not change
        with _of_http_alone(request):
            return _guarded(name, lambda: _text_of(function(lent)))
        return canonical_text(request, rules)

    return KeyMatcher(name, key, is_canonical=False)


def _predicate(name: str, function: Callable[[Request, Request], object], rules: KeyRules) -> Matcher:
    last: list[tuple[Request, Request]] = []  # one request is compared with many recordings
    lent: dict[int, tuple[Request, Request]] = {}

    def matches(asked: Request, recorded: Request) -> bool:
        if not last or last[0][0] is not asked:
            last[:] = [(asked, copy.deepcopy(asked))]
        if id(recorded) not in lent:
            lent[id(recorded)] = (recorded, copy.deepcopy(recorded))
        with _of_http_alone(asked):
            return _guarded(name, lambda: bool(function(last[0][1], lent[id(recorded)][1])))
        return canonical_text(asked, rules) == canonical_text(recorded, rules)

    return PredicateMatcher(name, matches)


def _text_of(key: object) -> str:
    """Return a text that equal keys share.

    Raises:
        TypeError: *key* is not plain data, so equal keys could not be recognised.
    """
    return json.dumps(key, sort_keys=True, default=_as_plain)


def _as_plain(value: object) -> JSON:
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, set | frozenset):
        return {"set": sorted(map(_text_of, value))}
    raise TypeError(f"a key must be text, a number or plain data, not {type(value).__name__}")


@contextmanager
def _of_http_alone(asked: Request) -> Iterator[None]:
    """Return a block that is left where a matcher for HTTP looks for the parts of a message in a call of a tool."""
    try:
        yield
    except ConfigError as error:
        missed = error.__cause__
        if "url" in asked or not (isinstance(missed, KeyError) and missed.args and missed.args[0] in _PARTS_OF_HTTP):
            raise


def _guarded(name: str, ask: Callable[[], T]) -> T:
    try:
        return ask()
    except Exception as error:
        raise ConfigError(f"matcher {name!r} raised {type(error).__name__}: {error}") from error


def _checked(function: Callable[..., object], name: str, counts: tuple[int, ...]) -> Callable[..., object]:
    """Return *function*.

    Raises:
        ConfigError: It is async, or cannot take the right number of requests.
    """
    if nature_of(function) is not Nature.PLAIN:
        raise ConfigError(f"matcher {name!r} is async or a generator; it must be a plain function")
    if _arity(function) not in counts:
        takes = " or ".join("one request (a key)" if count == 1 else "two (asked, recorded)" for count in counts)
        raise ConfigError(f"matcher {name!r} must take {takes}")
    return function


def _arity(function: Callable[..., object]) -> int:
    """Return how many requests *function* takes: what it requires, else two if it can, else one."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins have no signature
        return 2
    if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
        return 0
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    required = sum(each.default is each.empty for each in positional)
    if required or any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return required or 2
    return min(len(positional), 2)


def _name_of(spec: object) -> str:
    name = getattr(spec, "name", None) or getattr(spec, "__name__", None)
    return str(name or type(spec).__name__)

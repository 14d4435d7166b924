"""Matchers: how an asked request finds its recording. A list of them is a fallback chain."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pytest_agenttape.canonical import EXACT, KeyRules, canonical_text
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import JSON, unknown_name

Request: TypeAlias = Mapping[str, JSON]
MatcherSpec: TypeAlias = object  # a name, a callable or an object with `key` or `matches`

NAMES = ("ignore_volatile", "exact", "ordered", "sequential")


@dataclass(frozen=True, slots=True)
class KeyMatcher:
    """Requests are the same call when *key* gives the same text for both."""

    name: str
    key: Callable[[Request], str]


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
    listed = list(specs) if isinstance(specs, Iterable) and not isinstance(specs, str) else [specs]
    if not listed:
        raise ConfigError(f"matchers is empty; valid: {', '.join(NAMES)}, or a callable")
    return tuple(_parse(spec, rules) for spec in listed)


def _parse(spec: MatcherSpec, rules: KeyRules) -> Matcher:
    if isinstance(spec, str):
        return _named(spec, rules)
    for method in ("key", "matches"):
        found = getattr(spec, method, None)
        if callable(found):
            return _from_callable(found, _name_of(spec), ignored=rules, as_key=method == "key")
    if callable(spec):
        return _from_callable(spec, _name_of(spec), ignored=rules, as_key=_arity(spec) == 1)
    raise ConfigError(
        f"matcher {spec!r} is neither a name ({', '.join(NAMES)}) nor a callable of one request (a key) "
        "or of two (asked, recorded)"
    )


def _named(name: str, rules: KeyRules) -> Matcher:
    if name == "ignore_volatile":
        return KeyMatcher(name, lambda request: canonical_text(request, rules))
    if name == "exact":
        return KeyMatcher(name, lambda request: canonical_text(request, EXACT))
    if name in ("ordered", "sequential"):
        return OrderMatcher(name)
    raise unknown_name("matcher", name, NAMES)


def _from_callable(function: Callable[..., object], name: str, *, ignored: KeyRules, as_key: bool) -> Matcher:
    if not as_key:
        return PredicateMatcher(name, lambda asked, recorded: bool(_guarded(name, function, asked, recorded)))
    if _arity(function) == 2:  # the shape that AgentTape documents: key(request, ignore_fields)
        fields = (*ignored.names, *(".".join(path) for path in ignored.paths))
        return KeyMatcher(name, lambda request: repr(_guarded(name, function, request, fields)))
    return KeyMatcher(name, lambda request: repr(_guarded(name, function, request)))


def _guarded(name: str, function: Callable[..., object], *arguments: object) -> object:
    try:
        return function(*arguments)
    except Exception as error:
        raise ConfigError(f"matcher {name!r} raised {type(error).__name__}: {error}") from error


def _arity(function: Callable[..., object]) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    return sum(
        each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) and each.default is each.empty
        for each in parameters
    )


def _name_of(spec: object) -> str:
    name = getattr(spec, "name", None) or getattr(spec, "__name__", None)
    return str(name or type(spec).__name__)

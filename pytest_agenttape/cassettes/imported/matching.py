"""Matches recordings of other tools, which lack credentials and the names of arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

from pytest_agenttape import values
from pytest_agenttape.cassettes.imported.agenttape import is_rebuilt
from pytest_agenttape.cassettes.imported.loosened import (
    as_openai_call,
    flattened,
    is_redacted,
    is_untyped,
    plain,
    plain_arguments,
    without_content_type,
    without_nulls,
    without_secret_fields,
)
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.matching.canonical import KeyRules, canonical_text
from pytest_agenttape.matching.matchers import PredicateMatcher, Request
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.redaction.names import Rule, parameter_rule

MATCHER = "imported"

DefaultsOf: TypeAlias = Callable[[str | None], Mapping[str, object]]  # (boundary) -> defaults of its arguments


def is_imported(recordings: Sequence[Interaction]) -> bool:
    """Return whether any of *recordings* was made by another tool."""
    return any(each.imported_from is not None for each in recordings)


def matchers(
    recordings: Sequence[Interaction], rules: KeyRules, defaults_of: DefaultsOf = lambda _: {}
) -> tuple[PredicateMatcher, ...]:
    """Return the matcher for recordings of other tools, to be tried last; empty if there are no such recordings.

    Those tools leave out or blank headers, query parameters and fields of a body that hold credentials, so no header
    and nothing named like a secret is compared; they write typed arguments as text; agentcassette does not record the
    names of positional arguments, nor defaults.
    """
    foreign = {id(each.request): each for each in recordings if each.imported_from is not None}
    if not foreign:
        return ()
    texts = {key: _loose_text(each.request, rules) for key, each in foreign.items()}
    last: list[tuple[Request, str]] = []  # one request is compared with many recordings

    def matches(asked: Request, recorded: Request) -> bool:
        found = foreign.get(id(recorded))
        if found is None or found.request is not recorded:
            return False
        if "positional" in recorded:
            defaults = defaults_of(found.boundary)
            return any(_is_called_so(each, recorded, defaults, rules) for each in flattened(plain_arguments(asked)))
        if not last or last[0][0] is not asked:
            last[:] = [(asked, _loose_text(asked, rules))]
        if texts[id(recorded)] == last[0][1]:
            return True
        if is_rebuilt(found):
            return _loose_text(as_openai_call(without_nulls(asked), recorded), rules) == _loose_text(
                without_nulls(recorded), rules
            )
        if is_untyped(recorded):
            return _loose_text(without_content_type(asked, recorded), rules) == texts[id(recorded)]
        return "args" in recorded and texts[id(recorded)] == _loose_text(_spread(asked, recorded), rules)

    return (PredicateMatcher(MATCHER, matches),)


def shown_rules(recordings: Sequence[Interaction], rules: KeyRules) -> KeyRules:
    """Return *rules* plus what is not compared in recordings of other tools, for messages."""
    return replace(rules, paths=(*rules.paths, ("headers",))) if is_imported(recordings) else rules


def _loose_text(request: Request, rules: KeyRules) -> str:
    url = request.get("url")
    if not isinstance(url, str):
        return canonical_text(request, rules)
    names = {name.lower() for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    secret = frozenset(name for name in names if parameter_rule(name) is not Rule.NONE)
    # The multipart boundary in the content type is needed to normalise the body; the header itself is not compared.
    kept = {name: value for name, value in (request.get("headers") or {}).items() if name.lower() == "content-type"}
    without_content_type = replace(rules, names=rules.names | secret | {"content-type"})
    return canonical_text({**without_secret_fields(request, rules), "headers": kept}, without_content_type)


def _is_called_so(asked: Request, recorded: Request, defaults: Mapping[str, object], rules: KeyRules) -> bool:
    named = _by_name(asked, recorded, defaults, rules)
    return named is not None and _loose_text({"args": asked["args"]}, rules) == _loose_text(named, rules)


def _by_name(asked: Request, recorded: Request, defaults: Mapping[str, object], rules: KeyRules) -> Request | None:
    """Return *recorded* with the names that *asked* gives to its positional arguments; None if they do not fit.

    An argument that was not recorded had its default, so it must have that value. Under the name of a secret any value
    fits, and without the name it was not known to be one.
    """
    given, positional, named = asked.get("args"), recorded["positional"], recorded["args"]
    if not isinstance(given, dict) or len(given) < len(positional):
        return None
    by_position = {
        name: given[name] if is_redacted(given[name], rules) else value
        for name, value in zip(given, positional, strict=False)
    }
    if not by_position.keys().isdisjoint(named):
        return None
    args = {**by_position, **named}
    if not all(name in args or _is_default(value, name, defaults) for name, value in given.items()):
        return None
    return {"args": {**given, **args}}


def _is_default(stored: JSON, name: str, defaults: Mapping[str, object]) -> bool:
    try:
        return name in defaults and bool(plain(values.encode(defaults[name])) == stored)
    except AgentTapeError:
        return False


def _spread(asked: Request, recorded: Request) -> Request:
    """Return *asked* as AgentTape writes it: ``**kwargs`` among the other arguments, ``*args`` even if empty."""
    asked = plain_arguments(asked)
    given, kept = asked.get("args"), recorded.get("args")
    if not isinstance(given, dict) or not isinstance(kept, dict):
        return asked
    args = {name: value for name, value in kept.items() if value == [] and name not in given}
    for name, value in given.items():
        args.update(value if name not in kept and isinstance(value, dict) and value else {name: value})
    return {**asked, "args": args}

"""The tokens of `live`, `frozen` and `repeats`: kinds, labels, boundary names, hosts and ``"*"``."""

from __future__ import annotations

import fnmatch
import re
import sys
from collections.abc import Iterable
from typing import TypeAlias

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.model import KINDS, is_nearly, unknown_name
from pytest_agenttape.providers import BOUNDARIES

Tokens: TypeAlias = Iterable[str] | str | None

_LIKE_A_HOST = re.compile(r"[.:*]|localhost")
_SEPARATOR = re.compile(r"[,;|\s]+")
_PATTERN = re.compile(r"[*?]|^\^|\[[^:\]]*\]")  # not the brackets of an address


def parse_tokens(given: Tokens, what: str) -> frozenset[str]:
    """Return *given* as a set of tokens; a single string is one token.

    Raises:
        ConfigError: An entry is not a non-empty string.
    """
    if given is not None and not isinstance(given, Iterable):
        raise _no_token(what, given)
    listed = [given] if isinstance(given, str) else list(given or ())
    for token in listed:
        if not isinstance(token, str) or not token:
            raise _no_token(what, token)
    return frozenset(listed)


def known_tokens(named: Iterable[str | None]) -> frozenset[str]:
    """Return every valid token but hosts; *named* are registered, recorded or called: boundaries and labels."""
    return frozenset({*KINDS, "*", *BOUNDARIES, *(name for name in named if name)})


def problems(given: frozenset[str], known: frozenset[str], what: str) -> list[ConfigError]:
    """Return an error for each token of *given* that is neither *known* nor a host.

    It may be misspelled, several, a pattern, a dotted path or a URL.
    """
    found = (_problem(each, known, f"{what} token") for each in sorted(given - known))
    return [each for each in found if each is not None]


def refuse_unknown(given: frozenset[str], known: frozenset[str], what: str) -> None:
    """Raise before a call that the user meant to protect runs for real.

    Raises:
        ConfigError: A token is neither *known* nor a host.
    """
    for problem in problems(given, known, what):
        raise problem


def _problem(token: str, known: frozenset[str], what: str) -> ConfigError | None:
    problem = _no_name(token, known)
    if problem is not None:
        return ConfigError(f"{what} {token!r} {problem}")
    if not _may_be_host(token) or is_nearly(token, known):
        return unknown_name(what, token, sorted(known))
    return None


def _no_name(token: str, known: frozenset[str]) -> str | None:
    """Return why *token* names nothing, if that can be told from what it looks like."""
    parts = [repr(each) for each in _SEPARATOR.split(token) if each]
    if len(parts) > 1:
        return f"looks like several: give each of its own, {{{', '.join(parts)}}}"
    host = _host_of(token)
    if host:
        return f"is an address: name its host, {host!r}"
    if _PATTERN.search(token.removeprefix("*.")):
        meant = sorted(fnmatch.filter(known - {"*"}, token))
        return "looks like a pattern: name each boundary" + "".join(f", {each!r}" for each in meant)
    path, _, last = token.rpartition(".")
    if path and (last in known or _is_function(path, last)):
        return f"is the path of a function: name its boundary, {last!r}"
    return None


def _host_of(token: str) -> str:
    """Return the host, with its port if it has one, of an address that says more; empty if *token* is none."""
    host = (token.partition("://")[2] or token).partition("/")[0]
    return host if host != token and _may_be_host(host) and not _may_be_host(token) else ""


def _may_be_host(token: str) -> bool:
    last = token.rpartition(".")[2]
    return bool(_LIKE_A_HOST.search(token)) and "_" not in last and bool(Selection.of({token}).hosts)


def _is_function(path: str, name: str) -> bool:
    """Return whether *name* is a function of the imported module, or of a class in it, that *path* leads to."""
    module, _, owner = path.rpartition(".")
    found: object = sys.modules.get(path) or vars(sys.modules.get(module, object)).get(owner)
    return callable(getattr(found, "__dict__", {}).get(name))


def _no_token(what: str, found: object) -> ConfigError:
    return ConfigError(f"{what} takes kinds ({', '.join(KINDS)}), boundary names, hosts or '*'; found {found!r}")

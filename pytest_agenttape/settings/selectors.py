"""The tokens of `live`, `frozen` and `repeats`: kinds, boundary names and ``"*"``; of `repeats` hosts, too."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TypeAlias

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import KINDS, unknown_name
from pytest_agenttape.providers import BOUNDARIES

Tokens: TypeAlias = Iterable[str] | str | None

_LIKE_A_HOST = re.compile(r"[.:*]|localhost")
_NEARLY = 0.8  # similarity above which a token counts as a typo of a name


def parse_tokens(given: Tokens, what: str) -> frozenset[str]:
    """Return *given* as a set of tokens; a single string is one token.

    Raises:
        ConfigError: An entry is not a non-empty string.
    """
    if given is not None and not isinstance(given, Iterable):
        raise ConfigError(f"{what} takes kinds ({', '.join(KINDS)}), boundary names or '*'; found {given!r}")
    listed = [given] if isinstance(given, str) else list(given or ())
    for token in listed:
        if not isinstance(token, str) or not token:
            raise ConfigError(f"{what} takes kinds ({', '.join(KINDS)}), boundary names or '*'; found {token!r}")
    return frozenset(listed)


def known_tokens(named: Iterable[str | None]) -> frozenset[str]:
    """Return every valid token; *named* are the boundaries that are registered, recorded or called."""
    return frozenset({*KINDS, "*", *BOUNDARIES, *(name for name in named if name)})


def problems(given: frozenset[str], known: frozenset[str], what: str) -> list[ConfigError]:
    """Return an error for each token of *given* that is not *known*."""
    return [unknown_name(f"{what} token", token, sorted(known)) for token in sorted(given - known)]


def host_problems(given: frozenset[str], known: frozenset[str], what: str) -> list[ConfigError]:
    """Return an error for each token of *given* that is not *known*; one that may be a host, if it resembles one."""
    tokens = given - known
    hosts = {each for each in tokens if _LIKE_A_HOST.search(each)}
    nearly = {each for each in hosts if difflib.get_close_matches(each, known, n=1, cutoff=_NEARLY)}
    return problems(frozenset(tokens - hosts | nearly), known, what)


def refuse_mistyped(given: frozenset[str], known: frozenset[str], what: str) -> None:
    """Raise before a call that the user meant to protect runs for real.

    Raises:
        ConfigError: A token is not *known*, but resembles one that is.
    """
    for token in sorted(given - known):
        if difflib.get_close_matches(token, known, n=1, cutoff=_NEARLY):
            raise unknown_name(f"{what} token", token, sorted(known))

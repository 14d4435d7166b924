"""The tokens of `live`, `frozen` and `repeats`: kinds, labels, boundary names, hosts and ``"*"``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import KINDS, is_nearly, unknown_name
from pytest_agenttape.providers import BOUNDARIES

Tokens: TypeAlias = Iterable[str] | str | None

_LIKE_A_HOST = re.compile(r"[.:*]|localhost")


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
    """Return an error for each token of *given* that is not *known*; one that may be a host, if it resembles one."""
    tokens = given - known
    hosts = {each for each in tokens if _LIKE_A_HOST.search(each)}
    nearly = {each for each in hosts if is_nearly(each, known)}
    return [unknown_name(f"{what} token", each, sorted(known)) for each in sorted(tokens - hosts | nearly)]


def refuse_mistyped(given: frozenset[str], known: frozenset[str], what: str) -> None:
    """Raise before a call that the user meant to protect runs for real.

    Raises:
        ConfigError: A token is not *known*, but resembles one that is.
    """
    for token in sorted(given - known):
        if is_nearly(token, known):
            raise unknown_name(f"{what} token", token, sorted(known))


def _no_token(what: str, found: object) -> ConfigError:
    return ConfigError(f"{what} takes kinds ({', '.join(KINDS)}), boundary names, hosts or '*'; found {found!r}")

"""Calls that tokens name: kinds, labels, boundary names, HTTP hosts, ``"*"`` for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.hosts import HostRule, host_rules, is_url_allowed
from pytest_agenttape.model import JSON, Call, Interaction


@dataclass(frozen=True, slots=True)
class Selection:
    """The calls that some tokens name.

    Attributes:
        names: Kinds, labels, boundary names and ``"*"``.
        hosts: Hosts; a token that could be a boundary's name and a host's is both.
    """

    names: frozenset[str] = frozenset()
    hosts: tuple[HostRule, ...] = ()

    @classmethod
    def of(cls, tokens: Iterable[str]) -> Self:
        """Return the calls that *tokens* name."""
        names = frozenset(tokens)
        if not names:
            return cls()
        hosts: list[HostRule] = []
        for each in sorted(names - {"*"}):
            with suppress(ConfigError):  # no host, so a name
                hosts += host_rules(each)
        return cls(names, tuple(hosts))

    def __bool__(self) -> bool:
        return bool(self.names)

    def covers(self, call: Call | Interaction) -> bool:
        """Return whether a token names *call*."""
        names = self.names
        if not names:
            return False
        if call.kind in names or call.boundary in names or call.label in names or "*" in names:
            return True
        return self.reaches(call.request)

    def reaches(self, request: Mapping[str, JSON]) -> bool:
        """Return whether a token names the host of a request."""
        url = request.get("url")
        return isinstance(url, str) and is_url_allowed(url, self.hosts)


NOTHING = Selection()

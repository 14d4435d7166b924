"""Which of several recordings of equal requests answers: the one that agrees in what is not compared.

Two users, or two servers of a test, are told apart by the order in which they first appear. Whoever was answered by a
recording of one of them gets that one's answers from then on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from urllib.parse import urlsplit

from pytest_agenttape.hosts import is_local
from pytest_agenttape.matching.canonical import KeyRules, canonical_text
from pytest_agenttape.matching.headers import VOLATILE_HEADERS
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.redaction import placeholders_in

_MOST = 1_000  # recordings that are looked at


class Ties:
    """What is known of the users and servers of one run, and of one recording."""

    def __init__(self, recordings: Sequence[Interaction], rules: KeyRules) -> None:
        self._recordings = recordings
        self._given_rules = rules
        self._texts: dict[int, str] = {}  # what each recording has, by its position
        self._parties: dict[int, tuple[str, ...]] = {}  # and who asked
        self._answered: list[tuple[Mapping[str, JSON], Mapping[str, JSON]]] = []  # not yet looked at
        self._recorded_as: dict[str, str] = {}  # who asks: who that was when recorded
        self._asks_as: dict[str, str] = {}  # and back

    @cached_property
    def _rules(self) -> KeyRules:
        # Headers that differ in each run by their nature agree with nothing.
        return replace(self._given_rules.exact(), names=VOLATILE_HEADERS, base_url=True, credentials=frozenset())

    def note(self, asked: Mapping[str, JSON], recorded: Mapping[str, JSON]) -> None:
        """Remember that *recorded* answered *asked*."""
        self._answered.append((asked, recorded))

    def choose(self, asked: Mapping[str, JSON], positions: Iterable[int]) -> tuple[int, bool]:
        """Return the best of *positions* to answer *asked*, and whether it agrees in all but the volatile headers."""
        text, who = canonical_text(asked, self._rules), list(_parties(asked))
        if who:
            self._catch_up()
        best, best_score = -1, (-1, -1)
        for position, _ in zip(positions, range(_MOST), strict=False):
            score = (int(self._is_of(who, position)), int(self._text(position) == text))
            if score > best_score:
                best, best_score = position, score
            if best_score == (1, 1):
                break
        return best, best_score[1] == 1

    def _text(self, position: int) -> str:
        if position not in self._texts:
            self._texts[position] = canonical_text(self._recordings[position].request, self._rules)
        return self._texts[position]

    def _is_of(self, who: list[str], position: int) -> bool:
        """Return whether nothing known speaks against *who* having asked what was recorded."""
        if position not in self._parties:
            self._parties[position] = tuple(_parties(self._recordings[position].request))
        recorded = self._parties[position]
        return all(
            self._recorded_as.get(now, then) == then and self._asks_as.get(then, now) == now
            for now, then in zip(who, recorded, strict=False)
        )

    def _catch_up(self) -> None:
        for asked, recorded in self._answered:
            for now, then in zip(_parties(asked), _parties(recorded), strict=False):
                self._recorded_as.setdefault(now, then)
                self._asks_as.setdefault(then, now)
        self._answered.clear()


def _parties(request: Mapping[str, JSON]) -> Iterator[str]:
    """Yield the server and the secrets of a request, in the order in which they stand in it."""
    url = request.get("url")
    if isinstance(url, str):
        yield _server(url)
    yield from placeholders_in(json.dumps(request, sort_keys=True, default=str))


def _server(url: str) -> str:
    """Return the port of a test server, whose number is new in each run."""
    try:
        parts = urlsplit(url)
        return f":{parts.port}" if is_local((parts.hostname or "").lower()) else ""
    except ValueError:
        return ""

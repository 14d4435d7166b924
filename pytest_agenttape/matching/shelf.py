"""The recordings, indexed by what a matcher compares."""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from pytest_agenttape.matching.call_tree import CallTree
from pytest_agenttape.matching.matchers import KeyMatcher, Matcher, OrderMatcher, PredicateMatcher, Request
from pytest_agenttape.model import Call, Interaction

Lane: TypeAlias = bool | str  # whether another call's body made it, or "observed"
_Key: TypeAlias = str | bytes
_BucketKey: TypeAlias = tuple[str, str | None, Lane, _Key]
_LONGEST_KEY = 256  # characters; of a longer one its digest is kept, or each call would hold its whole conversation


@dataclass(slots=True)
class Bucket:
    """Positions of recordings that share a key, and how far they are played."""

    positions: list[int] = field(default_factory=list)
    cursor: int = 0

    def unplayed(self, played: Collection[int]) -> Iterator[int]:
        return (
            self.positions[at] for at in range(self.cursor, len(self.positions)) if self.positions[at] not in played
        )

    def next_unplayed(self, played: Collection[int]) -> int | None:
        while self.cursor < len(self.positions):
            if self.positions[self.cursor] not in played:
                return self.positions[self.cursor]
            self.cursor += 1
        return None


class Shelf:
    """The recordings, indexed by what one matcher compares; the index is built on first use."""

    def __init__(self, matcher: Matcher, recordings: Sequence[Interaction], tree: CallTree) -> None:
        self.matcher = matcher
        self._recordings = recordings
        self._tree = tree
        self._further: dict[int, Interaction] = {}  # by position: requests that a recording answers, too

    @cached_property
    def buckets(self) -> dict[_BucketKey, Bucket]:
        found: dict[_BucketKey, Bucket] = {}
        for position, each in enumerate(self._recordings):
            if each.unplayable is None:
                found.setdefault(self._key_of(each), Bucket()).positions.append(position)
        for position, each in self._further.items():
            self._put(found, position, each)
        return found

    def add(self, position: int, completed: Interaction) -> None:
        """Let the recording at *position* answer the request of *completed*, too."""
        self._further[position] = completed
        if "buckets" in vars(self):
            self._put(self.buckets, position, completed)

    def key(self, request: Request) -> _Key:
        """Return what equal requests share."""
        if not isinstance(self.matcher, KeyMatcher):
            return ""
        key = self.matcher.key(request)
        return key if len(key) <= _LONGEST_KEY else hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()

    def equals_of(self, recorded: Interaction) -> list[int]:
        """Return the positions of the recordings of the same request as *recorded*."""
        bucket = self.buckets.get(self._key_of(recorded))
        if bucket is None or isinstance(self.matcher, OrderMatcher):
            return []
        if isinstance(self.matcher, PredicateMatcher):
            matches = self.matcher.matches
            return [each for each in bucket.positions if matches(recorded.request, self._recordings[each].request)]
        return bucket.positions

    def _put(self, buckets: dict[_BucketKey, Bucket], position: int, completed: Interaction) -> None:
        bucket = buckets.setdefault(self._key_of(completed), Bucket())
        if completed.unplayable is None and position not in bucket.positions:
            insort(bucket.positions, position)
            bucket.cursor = 0

    def _key_of(self, recorded: Interaction) -> _BucketKey:
        return recorded.kind, recorded.boundary, lane_of(recorded, self._tree), self.key(recorded.request)


def lane_of(recorded: Interaction, tree: CallTree) -> Lane:
    return "observed" if recorded.is_observed else tree.is_nested(recorded)


def lanes_for(call: Call) -> tuple[Lane, ...]:
    """Return what can answer *call*: what a recorded body called is played along with it, and answers no agent."""
    if call.observed:
        return ("observed",)
    return (True, False) if call.nested else (False,)

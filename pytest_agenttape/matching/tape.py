"""The tape: recordings in order, and which of them were played."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from pytest_agenttape.matching.call_tree import CallTree
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.matching.completion import Completion
from pytest_agenttape.matching.matchers import KeyMatcher, Matcher, OrderMatcher, PredicateMatcher, of_any_instance
from pytest_agenttape.matching.namesakes import Namesakes
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.matching.shelf import Bucket, Lane, Shelf, lane_of, lanes_for
from pytest_agenttape.matching.step import Step, is_same
from pytest_agenttape.matching.ties import Ties
from pytest_agenttape.model import JSON, Call, Interaction

# Made at every call: a named tuple costs a third of what a frozen dataclass does.


class Replay(NamedTuple):
    """Serve this recording; `descendants` are the recorded calls its body made."""

    recorded: Interaction
    descendants: tuple[Interaction, ...] = ()
    is_kept: bool = True  # not what the body of a live tool asked for
    agrees: bool = True  # also in what is not compared, if there were several
    is_repeat: bool = False  # it was served before


class Tape:
    """Recordings by what they answer. Each is served once, in recorded order. Not thread-safe by itself.

    Of the calls that *repeats* names, the last recording is served again to equal requests beyond it.
    """

    def __init__(
        self,
        recordings: Sequence[Interaction],
        matchers: tuple[Matcher, ...],
        rules: KeyRules | None = None,
        completion: Completion | None = None,
        repeats: Selection | None = None,
    ) -> None:
        self.recordings = tuple(recordings)
        self._completion = completion or Completion(recordings)
        self._repeats = repeats or Selection()
        self._called: set[str | None] = set()  # the boundaries whose recordings are completed
        self._namesakes = Namesakes(recordings)
        self._ties = Ties(self.as_asked, rules or KeyRules())
        self._tree = CallTree.of(self.recordings)
        self._is_flat = self._tree.is_flat  # asked at every call
        self._shelves = [Shelf(matcher, self.recordings, self._tree) for matcher in matchers]
        keyed = (each for each in matchers if isinstance(each, KeyMatcher))
        self._of_any_instance = [Shelf(of_any_instance(each), self.recordings, self._tree) for each in keyed]
        self._played: set[int] = set()
        self._step = Step(_positions_for_agent(self.recordings, self._tree))
        if not (isinstance(matchers[0], KeyMatcher) and matchers[0].is_canonical):
            self._leave_step()
        self._positions = {each.index: position for position, each in enumerate(self.recordings)}
        #: Whether only equal canonical requests match, so a served recording is always one of this very request.
        self.is_keyed = all(_is_canonical(matcher) for matcher in matchers)

    @cached_property
    def _lanes(self) -> set[Lane]:
        return {lane_of(each, self._tree) for each in self.recordings}

    def take(self, call: Call) -> Replay | None:
        """Return the first unplayed recording that answers *call*, and mark it played; or a repeat."""
        if call.boundary not in self._called:
            self._complete(call)
        if (position := self._step.next) is not None and self._is_word_for_word(call, position):
            self._step.go_on()
            agrees, is_repeat = True, False
        else:
            self._leave_step()
            position, agrees, is_repeat = self._search(call)
        if position is None:
            return None
        self._ties.note(call.request, self._completion.recordings[position].request)
        return self._play(position, agrees=agrees, is_repeat=is_repeat)

    @property
    def expected(self) -> Mapping[str, JSON]:
        """The request that the next recording answers, as long as calls come as they were recorded; else empty."""
        position = self._step.next
        return {} if position is None or not self.is_keyed else self._completion.recordings[position].request

    def peek(self, call: Call) -> Interaction | None:
        """Return the recording that would answer *call*, and leave it unplayed."""
        position, _, _ = self._search(call)
        return None if position is None else self.recordings[position]

    def _is_word_for_word(self, call: Call, position: int) -> bool:
        """Return whether *call* is what was recorded at *position*, the first that is left."""
        if call.nested or call.observed or (call.function is not None and self._namesakes.are_told_apart(call)):
            return False
        recorded = self._completion.recordings[position]
        if recorded.kind != call.kind or recorded.boundary != call.boundary:
            return False
        if "job" in recorded.metadata and recorded.job not in (None, call.job, call.work):
            return False
        return is_same(call.request, recorded.request)

    def _leave_step(self) -> None:
        """Look at all recordings for each call from now on."""
        self._step.end()
        _ = self._shelves[0].buckets

    def _search(self, call: Call) -> tuple[int | None, bool, bool]:
        """Return the position of what answers *call*, whether it agrees in what is not compared, and is a repeat."""
        if call.boundary not in self._called:
            self._complete(call)
        for lane in lanes_for(call):
            if lane not in self._lanes:
                continue
            for shelf in self._shelves:
                position, agrees = self._find(shelf, call, lane)
                if position is not None:
                    return position, agrees, False
                if self._repeats and lane != "observed" and self._repeats.covers(call):
                    position, agrees = self._find_last(shelf, call, lane)
                    if position is not None:
                        return position, agrees, True
        return None, True, False

    def same_request(self, call: Call) -> list[Interaction]:
        """Return the recordings, played or not, whose request is that of *call* by the first key that has any.

        They are as they would be asked for now.
        """
        for shelf in self._shelves:
            if isinstance(shelf.matcher, KeyMatcher):
                key = shelf.key(call.request)
                buckets = (shelf.buckets.get((call.kind, call.boundary, nested, key)) for nested in (False, True))
                found = [self.as_asked[each] for bucket in buckets if bucket for each in bucket.positions]
                if told := list(self._namesakes.of(found, call)):
                    return told
        return []

    def of_function(self, call: Call) -> Iterable[Interaction]:
        """Return the recordings of the function that *call* is one of."""
        of_name = (each for each in self.recordings if each.kind == call.kind and each.boundary == call.boundary)
        return self._namesakes.of((each for each in of_name if not each.is_observed), call)

    def of_any_instance(self, call: Call) -> Iterator[Interaction]:
        """Yield the unplayed recordings of the request of *call*, whichever instance made it; the best first."""
        if call.boundary not in self._called:
            self._complete(call)
        for lane in lanes_for(call):
            for shelf in self._of_any_instance:
                bucket = shelf.buckets.get((call.kind, call.boundary, lane, shelf.key(call.request)), Bucket())
                bucket.next_unplayed(self._played)
                unplayed = (self.recordings[each] for each in bucket.unplayed(self._played))
                yield from self._namesakes.of(unplayed, call)

    @property
    def as_asked(self) -> Sequence[Interaction]:
        """The recordings as they would be asked for now: with arguments that functions have gained since."""
        return self._completion.recordings

    def as_asked_now(self, recorded: Interaction) -> Interaction:
        """Return *recorded* as it would be asked for now."""
        return self.as_asked[self._positions[recorded.index]]

    def is_played(self, recorded: Interaction) -> bool:
        """Return whether *recorded* was served, or belongs to one that was."""
        return self._positions[recorded.index] in self._played

    @property
    def unplayed(self) -> list[Interaction]:
        """The recordings that were not served and should have been, in order."""
        return [
            each
            for position, each in enumerate(self.recordings)
            if position not in self._played
            and not each.is_observed
            and each.unplayable is None
            and not self._is_spare(position)
        ]

    def _is_spare(self, position: int) -> bool:
        """Return whether a call that may repeat was made, but less often than when it was recorded."""
        recorded = self.as_asked[position]
        above = self._positions.get(-1 if recorded.parent is None else recorded.parent)
        if above is not None and above not in self._played and self._is_spare(above):
            return True
        if not self._repeats.covers(recorded):
            return False
        return any(each in self._played for each in self._shelves[0].equals_of(recorded))

    def _complete(self, call: Call) -> None:
        self._called.add(call.boundary)
        for position in self._completion.complete(call):
            for shelf in (*self._shelves, *self._of_any_instance):
                shelf.add(position, self.as_asked[position])

    def _find(self, shelf: Shelf, call: Call, lane: Lane) -> tuple[int | None, bool]:
        """Return the position of the recording that answers *call*, and whether it agrees in what is not compared."""
        bucket = shelf.buckets.get((call.kind, call.boundary, lane, shelf.key(call.request)))
        if bucket is None:
            return None, True
        if isinstance(shelf.matcher, PredicateMatcher):
            return self._find_by_predicate(shelf.matcher, bucket, call), True
        position = bucket.next_unplayed(self._played)
        if position is None or not isinstance(shelf.matcher, KeyMatcher):
            return position, True
        if self._namesakes.are_told_apart(call):
            unplayed = bucket.unplayed(self._played)
            return next((each for each in unplayed if self._namesakes.is_of(self.recordings[each], call)), None), True
        if len(bucket.positions) == 1:
            return position, True
        if call.job is not None and self.recordings[position].job not in (None, call.job, call.work):
            of_job = (
                each for each in bucket.unplayed(self._played) if self.recordings[each].job in (call.job, call.work)
            )
            position = next(of_job, None)
            if position is not None:
                return position, True
        return self._ties.choose(call.request, bucket.unplayed(self._played))

    def _find_last(self, shelf: Shelf, call: Call, lane: Lane) -> tuple[int | None, bool]:
        """Return the position of the last recording, played, of the request of *call*, and whether it agrees."""
        bucket = shelf.buckets.get((call.kind, call.boundary, lane, shelf.key(call.request)))
        if bucket is None or isinstance(shelf.matcher, OrderMatcher):
            return None, True
        backwards = bucket.positions[::-1]
        if isinstance(shelf.matcher, PredicateMatcher):
            matches = shelf.matcher.matches
            return next((each for each in backwards if matches(call.request, self.as_asked[each].request)), None), True
        return (backwards[0], True) if len(backwards) == 1 else self._ties.choose(call.request, backwards)

    def _find_by_predicate(self, matcher: PredicateMatcher, bucket: Bucket, call: Call) -> int | None:
        bucket.next_unplayed(self._played)  # recordings already played from the front are not looked at again
        for position in bucket.positions[bucket.cursor :]:
            if position not in self._played and matcher.matches(call.request, self.as_asked[position].request):
                return position
        return None

    def _play(self, position: int, *, agrees: bool, is_repeat: bool = False) -> Replay:
        recorded = self.recordings[position]
        self._played.add(position)
        if self._is_flat:
            return Replay(recorded, (), True, agrees, is_repeat)
        descendants = tuple(self._tree.descendants(recorded.index))
        self._played.update(self._positions[each.index] for each in descendants)
        return Replay(recorded, descendants, agrees=agrees, is_repeat=is_repeat)


def _positions_for_agent(recordings: Sequence[Interaction], tree: CallTree) -> Iterator[int]:
    """Yield, when asked for each, the positions of the recordings that answer calls of the agent's own."""
    is_flat = tree.is_flat
    for position, recorded in enumerate(recordings):
        is_nested = not is_flat and tree.is_nested(recorded)
        if not is_nested and not recorded.is_observed and recorded.unplayable is None:
            yield position


def _is_canonical(matcher: Matcher) -> bool:
    # Another tool's recording is matched by what the tool kept, and counts as an equal request.
    return matcher.name == "imported" or (isinstance(matcher, KeyMatcher) and matcher.is_canonical)

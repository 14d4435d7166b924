"""Calls that were under way together end in the order in which they ended when they were recorded.

A call that ended while another one was under way cannot have needed that one's answer. So the answer of the other one
can wait for it, and nothing comes to a halt as long as the run is the recorded one; if it is not, waiting has an end.
Nor can an equal call have needed it that was made meanwhile: before it is made the answer could lead to another equal
call, which would get what was that one's.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

from pytest_agenttape import clocks
from pytest_agenttape.model import Interaction
from pytest_agenttape.ownership.spans import ended_meanwhile, follow_each_other, made_meanwhile, span_of
from pytest_agenttape.ownership.strands import Strand
from pytest_agenttape.process import running, waits
from pytest_agenttape.process.freeze import waiting

_ABSENT = 0.25  # seconds of waiting for a call that has not been made yet
_MANY = 10  # such calls: then the run is not the recorded one, and waiting for more has little use
_SOON = 0.01  # seconds of waiting for one of these
_STUCK = 2.0  # seconds of waiting for a call that does not end
_BUSY = 4  # times as long, if threads only wait for a processor
# After an answer was given, how long the code that got it may take to deal with it:
_MOMENT = 0.15  # seconds
_SHORT = 0.005  # seconds, in a thread that has held still before
_WORK = 0.03  # seconds of the processor, of which a busy machine gives few
_ROUNDS = 20  # rounds of an event loop that it shares with the code that waits
ROUNDS_AFTER = 8  # once its task is over: until what waits for that task goes on, and what waits for this
_POLL = 0.0005  # seconds
_SELDOM = 0.01  # seconds, for who is woken


class Turns:
    """The recorded calls that were under way together."""

    def __init__(self, recordings: Iterable[Interaction]) -> None:
        listed = list(recordings)
        spans = [(span, each) for each in listed if (span := span_of(each)) is not None]
        if follow_each_other(span for span, _ in spans):
            spans = []
        self._before = ended_meanwhile(span for span, _ in spans)
        self._beside = made_meanwhile(spans)
        self._rounds = {each.index: rounds for each in listed if (rounds := _whole_number(each, "rounds")) is not None}
        self._outlasted = {each.index: timeouts for each in listed if (timeouts := _whole_number(each, "timeouts"))}
        self._waited_for = {each for earlier in self._before.values() for each in earlier} | {*self._beside.values()}
        self._asked: dict[int, Turn] = {}
        self._woken: defaultdict[int, dict[Turn, Callable[[], object]]] = defaultdict(dict)  # when that call ends
        self._answered: list[Turn] = []  # whose answers may not have been dealt with
        self._given_up: set[int] = set()
        self._still: set[threading.Thread] = set()  # that wait for something else after an answer
        self._lock = threading.Lock()

    def of(self, recorded: Interaction) -> Turn | None:
        """Return the turn of a call that is made now; None if neither it nor any other call waits for the other."""
        if not self._before and not self._outlasted and not self._beside:
            return None
        strand = Strand()
        with self._lock:
            for each in self._answered:
                each.has_moved_on = each.has_moved_on or each.strand == strand
            self._answered = [each for each in self._answered if not each.has_moved_on]
            before = self._before.get(recorded.index, ())
            outlasted = self._outlasted.get(recorded.index, 0)
            beside = self._beside.get(recorded.index)
            if not before and not outlasted and beside is None and recorded.index not in self._waited_for:
                return None
            turn = Turn(self, recorded.index, strand, before, beside, self._rounds.get(recorded.index))
            self._asked[recorded.index] = turn
            if outlasted:
                turn.hold_until(outlasted, (recorded.latency_ms or 0) / 1000 + _STUCK)
            return turn

    def take(self, turn: Turn) -> bool:
        """Return whether the answer of *turn*'s call is due; it counts as given then."""
        with self._lock:
            if turn.ended is None and not turn.is_held and self._is_due(turn):
                self._end(turn)
            return turn.ended is not None

    def end(self, turn: Turn) -> None:
        """Be told that the call of *turn* is over, whoever's turn it was."""
        with self._lock:
            if turn.ended is None:
                self._end(turn)

    def _end(self, turn: Turn) -> None:
        """End the call of *turn*, and those that ended in the same round of their loop."""
        ending = [turn]
        for each in ending:
            each.ended, each.worked = clocks.monotonic(), clocks.process_time()
            self._answered.append(each)
            woken = self._woken.pop(each.index, {})
            for wake in woken.values():
                wake()
            followers = [one for one in woken if one.ended is None and one.ends_in(0, after=each)]
            each.has_moved_on = each.has_moved_on or bool(followers)  # as far as they and all after them are concerned
            ending += filter(self._is_due, followers)

    def call_when_over(self, index: int, turn: Turn, wake: Callable[[], object]) -> None:
        """Call *wake*, for *turn*, when the call *index* has its answer; at once if it has."""
        with self._lock:
            if self._asked[index].ended is None:
                self._woken[index][turn] = wake
                return
        wake()

    def _is_due(self, turn: Turn) -> bool:
        return all(self._lets_pass(index, turn) for index in turn.before) and (
            turn.beside is None or turn.beside in self._asked or self._gives_up(turn.beside, turn, self._absent)
        )

    @property
    def _absent(self) -> float:
        """How long to wait for a call that has not been made yet."""
        return _ABSENT if len(self._given_up) < _MANY else _SOON

    def _gives_up(self, index: int, turn: Turn, longest: float) -> bool:
        """Return whether *turn* has waited for the call *index* for too long; then nobody waits for it again."""
        if index not in self._given_up and _is_past(longest, since=turn.asked):
            self._given_up.add(index)
        return index in self._given_up

    def _lets_pass(self, index: int, turn: Turn) -> bool:
        """Return whether *turn* need not wait, or no longer, for the call *index*."""
        if index in self._given_up:
            return True
        other = self._asked.get(index)
        if other is not None and other.strand == turn.strand:
            return True
        turn.awaited = (index, None if other is None else other.ended is not None)
        if other is not None and other.ended is not None:
            return self._has_dealt_with_it(other, turn)
        return self._gives_up(index, turn, self._absent if other is None else _STUCK)

    def _has_dealt_with_it(self, other: Turn, turn: Turn) -> bool:
        """Return whether the code that got the answer of *other* has dealt with it, or will not soon."""
        other.has_moved_on = other.has_moved_on or self._seems_dealt_with(other, turn)
        return other.has_moved_on

    def _seems_dealt_with(self, other: Turn, turn: Turn) -> bool:
        assert other.ended is not None
        if turn.has_seen_the_effect_of(other) and _is_quiet(other.strand, turn.strand):
            return True
        moment = _SHORT if other.strand.thread in self._still else _MOMENT
        if _is_past(moment, since=other.ended) or clocks.process_time() - other.worked > _WORK:
            if not other.strand.shares_loop(turn.strand):
                self._still.add(other.strand.thread)
            return True
        return False


def _is_past(longest: float, *, since: float) -> bool:
    """Return whether more than *longest* has passed in which a busy machine let all threads go on."""
    passed = clocks.monotonic() - since
    return passed > longest and (passed > longest * _BUSY or not running.others_run())


def _is_quiet(one: Strand, other: Strand) -> bool:
    """Return whether no thread has to do with the answer of *one* before *other* may have its own."""
    return one.is_alone or one.shares_loop(other) or not running.others_run()


class Turn:
    """A replayed call among others that were under way with it.

    Attributes:
        index: That of the recording.
        strand: Where it was made.
        before: The indices of the recorded calls that ended while it was under way.
        beside: The index of the last equal call that was made while it was under way; None if there is none.
        rounds: How many rounds of its loop it ended after the last of these; None if many, or if that is not known.
        asked: When it was made.
        ended: When its answer was given; None until then.
        worked: The time that the process had worked by then, in seconds.
        is_given: Whether the code that waits for it has got it.
        has_moved_on: Whether the code that got the answer has made its next call, or seems to have dealt with it.
        awaited: The call that it waits for, and whether that has its answer; None if it has not been made.
    """

    __slots__ = (
        "_held", "_looks", "_turns", "asked", "awaited", "before", "beside", "ended", "has_moved_on", "index",
        "is_given", "rounds", "strand", "worked",
    )  # fmt: skip

    def __init__(
        self,
        turns: Turns,
        index: int,
        strand: Strand,
        before: tuple[int, ...],
        beside: int | None,
        rounds: int | None,
    ) -> None:
        self._turns = turns
        self.index = index
        self._looks: dict[int, int] = {}
        self._held: tuple[int, float] | None = None
        self.strand = strand
        self.before = before
        self.beside = beside
        self.rounds = rounds
        self.asked = clocks.monotonic()
        self.ended: float | None = None
        self.worked = 0.0
        self.awaited: tuple[int, bool | None] | None = None
        self.is_given = False
        self.has_moved_on = False

    def hold_until(self, timeouts: int, longest: float) -> None:
        """Give the answer only after so many *timeouts* of the agent's; after so many seconds the agent has changed."""
        self._held = (waiting.passed() + timeouts, self.asked + longest)

    @property
    def is_held(self) -> bool:
        """Whether the agent has still to give up waiting, as it did when this was recorded."""
        return self._held is not None and waiting.passed() < self._held[0] and clocks.monotonic() < self._held[1]

    def stand_alone(self) -> None:
        """The call was made by a task that makes those of others, too."""
        self.strand = Strand(is_alone=True)

    def is_due(self) -> bool:
        """Return whether the answer is due, which counts as given then."""
        return self._turns.take(self)

    def wait(self) -> None:
        """Block the thread until the answer is due; at once in an event loop, which others wait for as well."""
        if waits.current_task() is not None:
            self.end()
            return
        while not self._turns.take(self):
            woken = threading.Event()
            woken.wait(_SELDOM if self._is_called(woken.set) else _POLL)
        self.is_given = True

    async def waited(self) -> None:
        """Hold the task until the answer is due."""
        rounds, awaited = 0, self.awaited
        while not self.is_due():
            if awaited != self.awaited:  # another call, or it has its answer now
                rounds, awaited = 0, self.awaited
            if self._under_way is not None:
                await waits.until_cancelled(_SELDOM, self._is_called)
            else:
                await pause(rounds)
            rounds += 1
        self.is_given = True

    @property
    def _under_way(self) -> int | None:
        """The index of the call that it waits for, if that is under way."""
        return self.awaited[0] if self.awaited is not None and self.awaited[1] is False else None

    def _is_called(self, wake: Callable[[], object]) -> bool:
        """Return whether *wake* is called when the call that this one waits for has its answer."""
        index = self._under_way
        if index is not None:
            self._turns.call_when_over(index, self, wake)
        return index is not None

    def end(self) -> None:
        """Be over: the answer was given at once, or nobody waits for it any more."""
        self._turns.end(self)
        self.is_given = True

    def ends_in(self, rounds: int, *, after: Turn) -> bool:
        """Return whether it ended within so many *rounds* of its loop *after* the one that ended before it."""
        is_last = self.before[:1] == (after.index,) and after.strand.shares_loop(self.strand)
        return is_last and self.rounds is not None and self.rounds <= rounds

    def has_seen_the_effect_of(self, other: Turn) -> bool:
        """Return whether the code that got the answer of *other* has dealt with it."""
        assert other.ended is not None
        if self.strand.is_alone and other.strand.is_alone:  # both answers come through one pipe, in their order
            return True
        is_over, shares_loop = other.strand.is_over(beside=self.strand), other.strand.shares_loop(self.strand)
        if not shares_loop and not (is_over and self.strand.may_wait_for(other.strand)):
            return is_over
        looks = self._looks[id(other)] = self._looks.get(id(other), 0) + 1
        return (other.is_given and self.ends_in(looks - 1, after=other)) or looks > (
            ROUNDS_AFTER if is_over and shares_loop else _ROUNDS
        )


async def pause(rounds: int) -> None:
    """Let other tasks run before the next look, after so many *rounds*."""
    if rounds < _ROUNDS * 2:
        await waits.let_others_run()
    else:
        await waits.until_cancelled(_POLL)


def _whole_number(recorded: Interaction, name: str) -> int | None:
    found = recorded.metadata.get(name)
    return found if isinstance(found, int) else None

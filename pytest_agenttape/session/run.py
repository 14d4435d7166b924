"""The calls of one run, in the order they started, and how they are laid out in a cassette."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple, TypeAlias, TypeVar

from pytest_agenttape import clocks, ownership
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON, Call, Interaction
from pytest_agenttape.ownership.calls import Live, Observed, Served
from pytest_agenttape.process.freeze import Freeze, layers, waiting
from pytest_agenttape.session.rounds import Rounds
from pytest_agenttape.session.run_clock import RunClock, ends_in_order

Begun: TypeAlias = Served | Live | Observed

_Begun = TypeVar("_Begun", Served, Live, Observed)
_Real = TypeVar("_Real", Live, Observed)


class Placed(NamedTuple):
    """The outcome of a call and its place in a cassette; it still has the numbers of its recording."""

    outcome: Interaction
    number: int
    parent: int | None
    is_live: bool
    is_over: bool = True  # if not, its answer is still being read
    start_ms: float | None = None  # when it started, if not as its outcome says


class Run:
    """The calls that a session has decided about.

    Attributes:
        lock: Must be held while the run is read or changed.
        clock: When they started.
        by_agent: How many calls the agent itself has begun; calls made by the body of a live tool do not count.

    Args:
        keeps_time: Whether a call can start when no recording says; if none can, nobody asks when replayed ones did.
    """

    def __init__(self, *, keeps_time: bool = True) -> None:
        self._keeps_time = keeps_time
        self.lock = threading.RLock()
        self.clock = RunClock()
        self.by_agent = 0
        self._process = os.getpid()
        self._begun: list[Begun] = []
        self._rounds = Rounds()
        self._made: set[tuple[str, str | None, str]] = set()

    def __len__(self) -> int:
        return len(self._begun)

    def __iter__(self) -> Iterator[Begun]:
        return iter(self._begun)

    def since(self, number: int) -> list[Begun]:
        """Return the calls after the first *number*."""
        return self._begun[number:]

    def add(self, begun: _Begun) -> _Begun:
        """Append a call; return it."""
        self._begun.append(begun)
        self.by_agent += begun.parent is None and not begun.call.observed
        return begun

    def serve(self, served: Served) -> Served:
        """Append a call that is answered by a recording; return it."""
        if self._keeps_time:
            self.clock.serve(served)
        return self.add(served)

    def repeat(self, served: Served) -> Served:
        """Append a call that is answered by a recording that was served before; return it."""
        served.repeated_at = self.clock.at(clocks.perf_counter())
        return self.add(served)

    def start(
        self, call: _Real, freeze: Freeze | None = None, digest_of: Callable[[Mapping[str, JSON]], str] | None = None
    ) -> _Real:
        """Append a call that is about to run for real; return it. One that was made before will move the clock."""
        call.started = clocks.perf_counter()
        call.start_ms = self.clock.at(call.started)  # one reading, or the call would seem to end later than it did
        if isinstance(call, Live):
            call.timeouts = waiting.passed()
            if freeze and digest_of and call.parent is None and self._is_made_again(call.call, digest_of):
                call.clock = freeze.now()
        return self.add(call)

    def let_time_pass(self, live: Live, freeze: Freeze) -> None:
        """Let a live call that was made before move the clock, or a loop that polls until a time would never end."""
        if live.clock is not None:
            elapsed = round(clocks.perf_counter() - live.started, 6)
            freeze.pass_time(elapsed, live.clock)
            live.slept = max(live.slept, elapsed)
        if live.slept:
            ownership.leave_if_serving()  # as when it is replayed, and lets time pass

    def count_rounds(self, live: Live) -> None:
        """Note how soon after another call a live one ends, in rounds of their event loop."""
        if live.parent is None:
            live.rounds = self._rounds.end(live.started)

    def end(self, live: Live, outcome: Interaction) -> None:
        """Keep the outcome of a call that ran for real."""
        live.interaction, live.ended = outcome, clocks.monotonic()
        self.clock.finish(live)

    @staticmethod
    def facts_of(call: Live | Observed) -> dict[str, JSON]:
        """Return what is recorded about when a call was made, and about the time that passed for the agent then."""
        facts: dict[str, JSON] = {"start_ms": round(call.start_ms, 3)}
        if isinstance(call, Live):
            given_up = waiting.given_up_since(call.timeouts)
            facts |= {"timeouts": given_up} if given_up else {}
            facts |= {} if call.rounds is None else {"rounds": call.rounds}
            facts |= {"clock_ms": round(call.slept * 1000, 6)} if call.slept else {}
        return facts

    def _is_made_again(self, call: Call, digest_of: Callable[[Mapping[str, JSON]], str]) -> bool:
        """Return whether an equal *call* was made live before it."""
        key = (call.kind, call.boundary, digest_of(call.request))
        is_again = key in self._made
        self._made.add(key)
        return is_again

    @property
    def is_forked(self) -> bool:
        """Whether this process is a child of the one that the run belongs to."""
        return self._process != os.getpid()

    def index(self, begun: Begun) -> int:
        """Return the position of a call, from 0."""
        return self._begun.index(begun)

    @property
    def live_calls(self) -> int:
        """How many calls ran for real."""
        return sum(each.is_live for each in self._begun)

    @property
    def lost(self) -> str:
        """How the first of the agent's calls ended that cannot be recorded; empty if there is none."""
        return next((each.lost for each in self._begun if isinstance(each, Live) and not each.parent and each.lost), "")

    def settle(self) -> None:
        """Finish the live calls whose answers the agent left unread."""
        for each in tuple(self._begun):
            if isinstance(each, Live):
                each.settle()

    def let_go(self) -> None:
        """Refer to the session only weakly, now that it is over, if all was replayed.

        In a cycle with its calls, it and all that was loaded would wait for the garbage collector, test after test.
        """
        replayed = [each.held_weakly() for each in self._begun if isinstance(each, Served)]
        if len(replayed) == len(self._begun):
            self._begun[:] = replayed

    def judge_left_open(self) -> AgentTapeError | None:
        """Refuse the first replayed conversation that the agent left open before its end; return the error."""
        judges = (each.judge for each in tuple(self._begun) if isinstance(each, Served) and each.judge is not None)
        return next(filter(None, (judge() for judge in judges)), None)

    def served(self) -> list[Interaction]:
        """Return the recordings that calls were answered from."""
        return [each.outcome for each in self._begun if isinstance(each, Served) and not each.recorded.is_made_up]

    def has_made(self, observed: Observed) -> bool:
        """Return whether a call that could be the *observed* one has been made since."""
        later = [each.call for each in self._begun[self.index(observed) + 1 :] if not each.call.observed]
        if observed.call.kind == "tool":
            return any(call.boundary == observed.call.boundary for call in later)
        return any(call.kind in (observed.call.kind, "http", "llm") for call in later)

    def laid_out(self, *, without: Collection[Begun] = (), is_live_only: bool = False, first: int = 0) -> list[Placed]:
        """Return the calls that are kept and have an outcome, with their places in a cassette, counted from *first*.

        The calls that a replayed call made itself follow it.
        """
        out: list[Placed] = []
        later = self._later_starts()
        numbers: dict[int, int] = {}
        for each in self._begun:
            if not each.is_kept or _is_left_out(each) or each in without or (is_live_only and not each.is_live):
                continue
            outcome = each.outcome
            if outcome is None:
                continue
            number = numbers[id(each)] = first + len(out)
            parent = numbers.get(id(each.parent)) if each.parent else None
            is_over = not isinstance(each, Live) or each.interaction is outcome
            start_ms = later.get(id(each), self._start_of(each, outcome))
            out.append(Placed(outcome, number, parent, each.is_live, is_over, start_ms))
            renumbered = {outcome.index: number}
            for nested in each.descendants:
                renumbered[nested.index] = first + len(out)
                above = None if nested.parent is None else renumbered.get(nested.parent)
                start_ms = self._start_of(each, nested)
                out.append(Placed(nested, first + len(out), above, is_live=False, start_ms=start_ms))
        return out

    def _later_starts(self) -> dict[int, float]:
        """Return new starts, by `id`, for calls of a mixed run, which otherwise would not end in its order.

        A replay ends calls in the order that their recorded times say.
        """
        if not 0 < self.live_calls < len(self._begun):
            return {}
        spans = []
        for each in self._begun:
            if not isinstance(each, Observed) and each.ended and each.is_kept and each.outcome is not None:
                start = self._start_of(each, each.outcome)
                start = each.outcome.start_ms if start is None else start
                spans.append((each.ended, id(each), start or 0.0, each.outcome.latency_ms or 0.0))
        return ends_in_order(spans)

    def _start_of(self, begun: Begun, recorded: Interaction) -> float | None:
        """Return when a replayed call started in this run; *begun* made it, or is it. None if as in the recording."""
        if begun.is_live:
            return None
        if not isinstance(begun, Served) or begun.repeated_at is None:
            return self.clock.start_of(recorded)
        after = (recorded.start_ms or 0) - (begun.recorded.start_ms or 0)
        return round(begun.repeated_at + after, 3)


def seconds_passed(recorded: Interaction) -> float:
    """Return by how much a recorded call has moved the agent's clock, which is pinned otherwise."""
    moved = recorded.metadata.get("clock_ms")
    return moved / 1000 if isinstance(moved, int | float) else 0.0


def _is_elsewhere() -> bool:
    found = ownership.bound()
    return ownership.is_outside() or (found is not None and found.running is not None)


def _note_sleep(seconds: float) -> None:
    """Note that the live call whose body runs here, and those above it, have slept."""
    found = ownership.bound()
    call = None if found is None else found.running
    while call is not None:
        call.slept += seconds
        call = call.parent


waiting.leave_out(_is_elsewhere)
layers.tell_outsiders(ownership.is_outside, ownership.leave_if_serving)
layers.note_advances(_note_sleep)


def _is_left_out(begun: Begun) -> bool:
    return isinstance(begun, Live) and begun.poison is not None and begun.poison.is_left_out

"""When the calls of a run started, as if each replayed one had taken as long as when it was recorded.

A refreshed cassette has calls of two runs. Measured by one clock, a kept call of last year and a new one would start at
the same moment, and none of the kept ones would leave room for a new one before it.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytest_agenttape import clocks
from pytest_agenttape.model import Interaction
from pytest_agenttape.ownership.calls import Live, Served
from pytest_agenttape.ownership.turns import Turn

_APART = 0.01  # milliseconds between two ends


class RunClock:
    """Milliseconds since the session opened.

    Calls that are replayed keep the times of their recording, moved by what live calls before them took longer.
    """

    def __init__(self) -> None:
        self._opened = clocks.perf_counter()
        self._shift = 0.0  # of replayed calls
        self._skipped = 0.0  # what replayed calls took when they were recorded, and did not take now
        self._live_end = 0.0
        self._shifts: dict[int, float] = {}  # by the index of a recording
        self._under_way: list[tuple[Turn, float]] = []  # with the end

    def at(self, moment: float) -> float:
        """Return the time of a call that starts now, at *moment* by the process's own `perf_counter`."""
        self._note_ends()
        return self._milliseconds(moment) + self._skipped

    def serve(self, served: Served) -> None:
        """Be told of a replayed call that starts."""
        served.began = clocks.monotonic()
        recorded = served.recorded
        start, latency = recorded.start_ms, recorded.latency_ms
        if start is None:
            return
        self._shift = max(self._shift, self._live_end - start)
        if self._shift:
            self._shifts |= dict.fromkeys((recorded.index, *(each.index for each in served.descendants)), self._shift)
        end = start + self._shift + (latency or 0)
        if served.turn is None:
            self._pass(end)
        else:
            self._pass(start + self._shift)
            self._under_way.append((served.turn, end))

    def finish(self, live: Live) -> None:
        """Be told of a live call that is over."""
        if live.interaction is not None and live.is_kept:
            self._live_end = max(self._live_end, live.start_ms + (live.interaction.latency_ms or 0))

    def start_of(self, recorded: Interaction) -> float | None:
        """Return when a replayed call started in this run; None if as when it was recorded."""
        shift = self._shifts.get(recorded.index)
        return None if shift is None or recorded.start_ms is None else round(recorded.start_ms + shift, 3)

    def _pass(self, moment: float) -> None:
        self._skipped = max(self._skipped, moment - self._milliseconds(clocks.perf_counter()))

    def _note_ends(self) -> None:
        over = [end for turn, end in self._under_way if turn.ended is not None]
        self._under_way = [each for each in self._under_way if each[0].ended is None]
        for end in over:
            self._pass(end)

    def _milliseconds(self, moment: float) -> float:
        return (moment - self._opened) * 1000


def ends_in_order(spans: Iterable[tuple[float, int, float, float]]) -> dict[int, float]:
    """Return new starts, by name, for calls that would end before one that had ended when they did.

    *spans* has, for each call, when it ended, its name, and its start and duration in milliseconds.
    """
    found: dict[int, float] = {}
    last = 0.0
    for _, name, start, duration in sorted(spans):
        if start + duration < last:
            start = found[name] = round(last + _APART - duration, 3)
        last = max(last, start + duration)
    return found

"""When the pieces of a long-lived event stream come: measured in the calls that the agent makes meanwhile, not in time.

A server pushes through such a stream what later calls cause. Replayed at once, answers would come before their
questions, and a stream that ended would be opened again.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from pytest_agenttape import clocks

POLL = 0.05  # seconds between two looks at what is due
LONGEST_WAIT = 60.0  # seconds that a replay waits for the agent, which took less when recording


class Arrivals:
    """Notes for each chunk of a live stream how many calls the agent had made meanwhile."""

    def __init__(self, calls_meanwhile: Callable[[], int]) -> None:
        self._calls_meanwhile = calls_meanwhile
        self._sizes: list[int] = []
        self._calls: list[int] = []

    def note(self, chunk: bytes) -> None:
        """A chunk has come."""
        self._sizes.append(len(chunk))
        self._calls.append(self._calls_meanwhile())

    def pace(self, events: Sequence[bytes]) -> list[int] | None:
        """Return the calls made before each of *events* and before the end; None when all came in one go."""
        chunk_ends = list(accumulate(self._sizes))
        event_ends = accumulate(map(len, events))
        pace = [*(self._calls[bisect_left(chunk_ends, end)] for end in event_ends), self._calls_meanwhile()]
        return pace if any(pace) else None


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each piece of a replayed stream, and last its end, is due.

    Attributes:
        pace: The calls to be made before each, and last before the end; empty when nothing waits for a call.
        calls_meanwhile: How many calls the agent has made since the stream was opened.
        is_over: Whether nobody waits any more, as the session is closed.
        never: The piece that never comes: the agent stopped waiting for it.
        give_up: Called when that piece is waited for and nothing happens for *longest* seconds; raises.
        longest: The longest wait for a piece.
    """

    pace: tuple[int, ...]
    calls_meanwhile: Callable[[], int]
    is_over: Callable[[], bool]
    never: int | None
    give_up: Callable[[], None]
    longest: float

    def is_due(self, piece: int) -> bool:
        """Say whether the piece can be handed out now."""
        if self.is_over():
            return True
        return piece != self.never and (not self.pace or self.calls_meanwhile() >= self.pace[piece])

    def wait(self, piece: int, closed: threading.Event) -> None:
        """Hold the thread that reads until the piece is due or the stream is closed."""
        started = clocks.monotonic()
        while not self.is_due(piece) and not closed.wait(POLL):
            if self.is_overdue(piece, started):
                return

    def is_overdue(self, piece: int, started: float) -> bool:
        """Say whether a piece waited for since *started* is handed out although the agent makes other calls now."""
        if clocks.monotonic() - started < self.longest:
            return False
        if piece == self.never:
            self.give_up()
        return True

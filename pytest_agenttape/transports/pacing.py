"""When the pieces of a long-lived event stream arrive, measured not in time but in calls made by the agent.

Through such a stream, a server pushes the effects of later calls. Replayed at once, answers would arrive before their
questions, and a stream that had ended would be opened again.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from pytest_agenttape import clocks

POLL = 0.05  # seconds between two checks of what is due
LONGEST_WAIT = 60.0  # seconds that a replay waits for the agent, which was faster when recording


class Arrivals:
    """Notes, for each chunk of a live stream, how many calls the agent had made by then."""

    def __init__(self, calls_meanwhile: Callable[[], int]) -> None:
        self._calls_meanwhile = calls_meanwhile
        self._sizes: list[int] = []
        self._calls: list[int] = []

    def note(self, chunk: bytes) -> None:
        """A chunk has arrived."""
        self._sizes.append(len(chunk))
        self._calls.append(self._calls_meanwhile())

    def pace(self, events: Sequence[bytes]) -> list[int] | None:
        """Return the number of calls made before each event and before the end; None if no call came in between."""
        chunk_ends = list(accumulate(self._sizes))
        event_ends = accumulate(map(len, events))
        pace = [*(self._calls[bisect_left(chunk_ends, end)] for end in event_ends), self._calls_meanwhile()]
        return pace if any(pace) else None


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each piece of a replayed stream is due, and finally its end.

    Attributes:
        pace: The number of calls before each piece, and before the end; empty if nothing waits for a call.
        calls_meanwhile: How many calls the agent has made since the stream was opened.
        is_over: Returns whether the session is closed, so that nobody waits any more.
        never: The piece that never arrives, because the agent stopped waiting for it.
        give_up: Called after a wait of *longest* seconds for that piece; raises.
        longest: The longest wait for a piece.
    """

    pace: tuple[int, ...]
    calls_meanwhile: Callable[[], int]
    is_over: Callable[[], bool]
    never: int | None
    give_up: Callable[[], None]
    longest: float

    def is_due(self, piece: int) -> bool:
        """Return whether the piece can be handed out now."""
        if self.is_over():
            return True
        return piece != self.never and (not self.pace or self.calls_meanwhile() >= self.pace[piece])

    def wait(self, piece: int, closed: threading.Event) -> None:
        """Block the reading thread until the piece is due or the stream is closed."""
        started = clocks.monotonic()
        while not self.is_due(piece) and not closed.wait(POLL):
            if self.is_overdue(piece, started):
                return

    def is_overdue(self, piece: int, started: float) -> bool:
        """Return whether the wait since *started* was too long, so that the piece is handed out early."""
        if clocks.monotonic() - started < self.longest:
            return False
        if piece == self.never:
            self.give_up()
        return True

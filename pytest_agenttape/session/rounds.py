"""How many rounds an event loop makes between the ends of two calls that run for real beside each other.

In the round in which a call ends, and some after it, the code that waits for it has not gone on: others that end
meanwhile are there together with it, such as for `asyncio.wait`.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

from pytest_agenttape import clocks
from pytest_agenttape.ownership.turns import ROUNDS_AFTER
from pytest_agenttape.process import waits

_NO_LOOP = object  # which makes something that is no loop


class Rounds:
    """Counts them, of asyncio's loops, from each end on until there are too many to matter."""

    def __init__(self) -> None:
        self._loop: Any = _NO_LOOP  # in which the last call has ended, weakly
        self._ended = 0.0  # by `perf_counter`
        self._made = 0
        self._ends = 0

    def end(self, started: float) -> int | None:
        """Be told that a call ends that has *started* then, by the process's own `perf_counter`.

        Returns:
            How many rounds the loop has made since the call before it ended, if that was under way with it; None for
            many, and where both were not in the same loop.
        """
        loop = waits.running_loop()
        is_same = loop is not None and self._loop() is loop
        made = self._made if is_same and started < self._ended and self._made < ROUNDS_AFTER else None
        self._loop, self._ended, self._made = _weakly(loop), clocks.perf_counter(), 0
        self._ends += 1
        if loop is not None:
            loop.call_soon(self._count, loop, self._ends)
        return made

    def _count(self, loop: Any, ends: int) -> None:
        if ends == self._ends:
            self._made += 1
            if self._made < ROUNDS_AFTER:
                loop.call_soon(self._count, loop, ends)


def _weakly(loop: Any) -> Any:
    try:
        return _NO_LOOP if loop is None else ref(loop)
    except TypeError:  # of a library whose loops cannot be referred to so
        return _NO_LOOP

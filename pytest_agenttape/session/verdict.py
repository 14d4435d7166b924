"""The first error, which decides a run: it is kept, whatever the agent does with the exception."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from pytest_agenttape.errors import AgentTapeError, add_note
from pytest_agenttape.process import cutting
from pytest_agenttape.process.cutting import Cut
from pytest_agenttape.process.user_stack import user_traceback

RETRIES_BEFORE_CUT = 10  # calls after the verdict that only raise; the next one cuts the run
RETRIES_OF_A_THREAD = 100  # the same in another thread than the main one, which may wait for its answers
REFUSALS_BEFORE_CUT = 100  # the same for a block opened by the user, which has no verdict


class RunCut(Cut):
    """Ends a run that keeps calling after its verdict."""


class Verdict:
    """What is decided about one run; callers must hold the run's lock.

    Attributes:
        first: The first error with which a call was refused, also in a block opened by the user.
        error: The same error if it decides the run: only in a session opened by the plugin.
        traceback: Where the user's code hit it.
        place: Returns where it is shown if no line of the user's code hit it: it is about a file, or about a child.
    """

    def __init__(self, *, is_sticky: bool) -> None:
        self._is_sticky = is_sticky
        self._refusals = self._further = self._cuts = 0
        self.first: AgentTapeError | None = None
        self.error: AgentTapeError | None = None
        self.traceback: TracebackType | None = None
        self.place: Callable[[], TracebackType | None] = lambda: None
        self._refused: list[tuple[AgentTapeError, TracebackType | None]] = []  # cut off before it grows long

    def keep(self, error: AgentTapeError) -> AgentTapeError:
        """Note that a call was refused with *error*; return it.

        Raises:
            RunCut: The run keeps making calls.
        """
        __tracebackhide__ = True
        if self.first is None:
            self.first = error
        elif self._is_sticky or self._refusals > REFUSALS_BEFORE_CUT:
            self._count_further()
        self._refusals += 1
        if not self._is_sticky:
            self._refused.append((error, user_traceback()))
        elif self.error is None:
            self.error, self.traceback = error, user_traceback()
        return error

    def stop(self) -> None:
        """Raise the error that decided the run, if there is one.

        Raises:
            RunCut: The run keeps making calls.
        """
        __tracebackhide__ = True
        if self.error is None:
            return
        self._count_further()
        raise self.error.with_traceback(None)  # or the same error would collect the frames of every call

    def fail(self) -> None:
        """Raise the error that decided the run, if there is one, at the place where the user's code hit it."""
        __tracebackhide__ = True
        if self.error is not None:
            raise self.error.with_traceback(self.traceback or self.place())

    def swallowed(self, leaving: BaseException | None = None) -> AgentTapeError | None:
        """Return the first error in a block opened by the user that was not *leaving* it, and that no test asserts.

        An agent that tries again gets the same error again; to assert the last one is to assert them all.
        """
        expected = {str(error) for error, _ in self._refused if error.is_expected or error is leaving}
        for error, traceback in self._refused:
            if str(error) not in expected:
                return error.with_traceback(traceback)
        return None

    def leave_with(self, error: BaseException, *, is_recording: bool) -> None:
        """Note on *error*, which leaves the block, that a call was refused before it."""
        __tracebackhide__ = True
        if isinstance(error, GeneratorExit):  # nobody sees that one
            self.refuse_swallowed(is_recording=is_recording)
        elif (swallowed := self.swallowed(error)) is not None:
            noted(error, swallowed)

    def refuse_swallowed(self, *, is_recording: bool) -> None:
        """Raise the error of a call that the block has swallowed; a recording says what it lacks when it is written."""
        __tracebackhide__ = True
        swallowed = self.swallowed()
        if swallowed is not None and not is_recording:
            raise swallowed

    def _count_further(self) -> None:
        __tracebackhide__ = True
        self._further += 1
        if self._further <= RETRIES_BEFORE_CUT:
            return
        message = f"run stopped after {RETRIES_BEFORE_CUT} more calls; it had already failed: {self.first}"
        if self._is_sticky and threading.current_thread() is not threading.main_thread():
            cutting.cut_main_thread(RunCut(message))  # a worker that died would never answer those who wait for it
            if self._further <= RETRIES_OF_A_THREAD:
                return
        self._cuts += 1
        raise cutting.insisted(cutting.cut(RunCut, message), self._cuts)


def noted(error: BaseException, problem: AgentTapeError) -> BaseException:
    """Return *error*, which hides *problem*, with a note that says so."""
    note = f"agenttape: {problem}"
    if note not in getattr(error, "__notes__", ()):
        add_note(error, note)
    return error
